"""The command line, called in this process or started as one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ablata.cli.main import main

QUICK = ("train.epochs=null", "train.steps=6", "train.evaluate_every=0", "model.width=4")


@dataclass(frozen=True)
class Answer:
    """What a command came to: exit status, standard output, standard error."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A lab home and a working folder of the test's own; signal handlers as they were."""
    monkeypatch.setenv("ABLATA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ABLATA_DB", raising=False)
    monkeypatch.delenv("ABLATA_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path / "home"
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def ablata(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """A function that calls the command line in this process."""

    def call(*arguments: str) -> Answer:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts the command line as a process, with pipes."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "ablata", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "80"}
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()
