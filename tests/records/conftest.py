"""A fresh ledger for each test, on SQLite and, with the same test bodies, on a throw-away Postgres server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablata.records import Ledger, NewArm, NewRun

WORKER = Path(__file__).with_name("worker_process.py")


def _server_binaries() -> Path | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "pg_ctl").exists()), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a Postgres server of this test session, without a database's name."""
    binaries = _server_binaries()
    if binaries is None:
        pytest.skip("no Postgres server under /usr/lib/postgresql")
    # The server refuses to run as root, so that root becomes the user its package made.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="ablata-postgres-"))
    if user:
        shutil.chown(folder, "postgres", "postgres")
    port = _free_port()

    def call(program: str, *arguments: str) -> None:
        command = [str(binaries / program), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False, **user)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        call("initdb", "--username=ablata", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        # A log file, because a server that kept the test's output pipe open would keep the call from returning.
        call("pg_ctl", "start", "-w", "-l", str(folder / "log"), "-o", settings)
        try:
            yield f"postgresql://ablata@127.0.0.1:{port}"
        finally:
            call("pg_ctl", "stop", "-m", "immediate")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def fresh_address(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """A function that returns the address of a new empty database of a name."""
    if request.param == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return lambda name: f"sqlite:///{folder / name}.sqlite3"
    server: str = request.getfixturevalue("postgres_server")

    def create(name: str) -> str:
        import psycopg

        # A schema of its own, which is far quicker to make than a database.
        schema = f"{name}_{os.urandom(4).hex()}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {schema}")
        return f"{server}/postgres?options=-csearch_path%3D{schema}"

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
