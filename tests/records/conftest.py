"""A fresh ledger for each test, on SQLite and, with the same test bodies, on a throw-away Postgres server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablata.records import Ledger, NewArm, NewRun

WORKER = Path(__file__).with_name("worker_process.py")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def fresh_address(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A function that returns the address of a new empty database of a name."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return lambda name: f"sqlite:///{folder / name}.sqlite3"
    create: Callable[[str], str] = request.getfixturevalue("postgres_schema")
    return create


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a run whose lease has lapsed without watching its worker for longer than half the lease."""
    monkeypatch.setattr("ablata.records.leases.SILENCE_SECONDS", 0.0)


@pytest.fixture
def address(fresh_address: Callable[[str], str]) -> str:
    """The address of an empty database."""
    return fresh_address("ledger")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A lab home."""
    return tmp_path / "home"


@pytest.fixture
def ledger(address: str, home: Path) -> Iterator[Ledger]:
    """An open, empty ledger."""
    with Ledger(address, home=home) as opened:
        yield opened


@pytest.fixture
def new_run() -> Callable[..., NewRun]:
    """A function that returns a run to be enqueued; keywords replace its parts."""

    def build(seed: int = 0, recipe: str = "base", **parts: object) -> NewRun:
        settings = {"recipe_name": recipe, "recipe": {"name": recipe}, "recipe_hash": f"hash-{recipe}"}
        return NewRun(**{**settings, "code": "c1", "data": "d1", "environment": "e1", "seed": seed, **parts})  # type: ignore[arg-type]

    return build


@pytest.fixture
def arms() -> list[NewArm]:
    """A control and one arm."""
    control = NewArm(
        name="control", recipe_name="base", recipe={"name": "base"}, recipe_hash="hash-base", is_control=True
    )
    nearest = NewArm(
        name="nearest",
        recipe_name="nearest",
        recipe={"name": "nearest"},
        recipe_hash="hash-nearest",
        change=["model.upsample=nearest"],
    )
    return [control, nearest]


@pytest.fixture
def start_worker(address: str, home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts another process on the ledger; see worker_process.py for what it can do."""
    started: list[subprocess.Popen[str]] = []

    def start(what: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", str(WORKER), what, address, str(home), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
