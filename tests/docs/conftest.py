"""The command line in this process, for commands of pages: a lab's home and a working folder of the test's own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ablata.cli.main import main

Say = Callable[[Sequence[str]], tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which a page's commands run; signal handlers and the import path are as before afterwards."""
    for name in ("ABLATA_HOME", "ABLATA_DB", "ABLATA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    # A reader's `python3` is that of the environment that holds ablata.
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.chdir(tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def ablata(capsys: pytest.CaptureFixture[str]) -> Say:
    """A function that calls the command line; returns the exit status and all that was printed."""

    def call(arguments: Sequence[str]) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    return call
