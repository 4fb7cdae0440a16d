"""What judging needs is enough to judge: an environment that holds the core's libraries and nothing else."""

from __future__ import annotations

import os
import subprocess
import tomllib
import venv
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ablata

SOURCE = Path(ablata.__file__).parents[1]
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
TRAIN = """
import sys
seed, width = map(int, sys.argv[1:])
print(f"acc: {0.8 + 0.001 * width + 0.001 * (seed * width % 7)}")
"""
ARMS = [("base", 90.0, 0.1), ("wide", 93.0, 0.2)]
ROWS = [f"{arm},{seed},{score + step * seed}\n" for arm, score, step in ARMS for seed in range(4)]
TABLE = "arm,seed,top1\n" + "".join(ROWS)
NOTES = "# Learning rate\n\n| lr | val acc |\n|---|---|\n| 0.1 | 91.2 |\n| 0.01 | 90.1 |\n"
Ablata = Callable[..., subprocess.CompletedProcess[str]]


def closure(requirements: list[str]) -> dict[str, Path]:
    """Return what the distributions of these requirements, and of theirs, put into site-packages, by its name."""
    placed, waiting, known = dict[str, Path](), [Requirement(text) for text in requirements], set[str]()
    while waiting:
        asked = waiting.pop()
        if asked.name.lower() in known or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        known.add(asked.name.lower())
        found = distribution(asked.name)
        root = Path(str(found.locate_file("")))
        tops = {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}
        placed |= {top: root / top for top in tops}
        waiting += [Requirement(text) for text in found.requires or ()]
    return placed


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the dependencies of `pip install ablata` and no extra."""
    folder = tmp_path_factory.mktemp("core")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for name, place in closure(tomllib.loads(PROJECT.read_text())["project"]["dependencies"]).items():
        (packages / name).symlink_to(place)
    (packages / "source.pth").write_text(f"{SOURCE}\n")
    return folder / "bin" / "python"


@pytest.fixture
def run(core: Path, tmp_path: Path) -> Ablata:
    """Return a function that calls ablata in that environment and an empty folder, and gives what it printed."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "ABLATA_DB")}

    def call(
        *words: str, status: int = 0, program: tuple[str, ...] = ("-m", "ablata")
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [core, *program, *words],
            cwd=tmp_path,
            env=kept | {"ABLATA_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == status, done.stderr
        return done

    return call


def test_the_core_has_no_library_of_the_vision_extra(run: Ablata) -> None:
    names = ("torch", "torchvision", "timm", "sklearn", "scipy", "PIL", "cv2", "safetensors", "pyarrow")
    code = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert run(program=("-c", code)).stdout == "[]\n"


def test_the_core_compares_commands_and_reports_the_study(run: Ablata, core: Path, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    commands = [f"{core} train.py {{seed}} 16", f"{core} train.py {{seed}} 64"]
    said = run("compare", "--name", "width", "--seeds", "3", "--score", "acc", "--margin", "0.01", *commands).stdout
    assert "+ better" in said
    assert "width" in run("study", "list").stdout
    run("study", "report", "width")
    assert "better" in (tmp_path / "home" / "reports" / "width.html").read_text()
    assert run("runs", "list").stdout.count("completed") == 6


def test_the_core_judges_a_table(run: Ablata, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text(TABLE)
    assert "+ better" in run("judge", "results.csv", "--control", "base", "--margin", "0.5", "--html", "r.html").stdout
    assert "better" in (tmp_path / "r.html").read_text()
    face = "import ablata; print(ablata.judge('results.csv', control='base', margin=0.5).to_rows()[-1]['verdict'])"
    assert run(program=("-c", face)).stdout == "better\n"


def test_the_core_reads_notes(run: Ablata, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text(NOTES)
    assert "2 trials" in run("notes", "read", "notes.md").stdout


def test_the_core_says_what_training_needs(run: Ablata, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    commands = [("train", "digits"), ("recipes", "show", "digits"), ("study", "run", "quickstart"),
                ("data", "check", "images"), ("predict", "run", "image.png")]  # fmt: skip
    for words in commands:
        said = run(*words, status=2).stderr
        assert "is not installed" in said, words
        assert "pip install 'ablata[vision]'" in said, words
    face = "import ablata\ntry: ablata.train\nexcept ablata.errors.UserError as error: print(error.do)"
    assert run(program=("-c", face)).stdout == "pip install 'ablata[vision]'\n"
    assert "digits" in run("recipes", "list").stdout


BOARD = """
import asyncio
from ablata.board.server import board_app
from ablata.records.ledger import Ledger

async def status(app, path):
    said = []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    scope |= {"scheme": "http", "http_version": "1.1", "server": ("localhost", 80), "root_path": ""}
    async def sent(message): said.append(message)
    await app(scope, None, sent)
    return said[0]["status"]

with Ledger() as ledger:
    app = board_app(ledger)
    print([asyncio.run(status(app, path)) for path in ("/studies", "/runs", "/machine", "/api/v1/studies")])
"""


def test_the_core_shows_the_board(run: Ablata) -> None:
    assert run(program=("-c", BOARD)).stdout == "[200, 200, 200, 200]\n"
