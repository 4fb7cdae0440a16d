"""Programs of a study whose launcher or worker is killed without warning: begun again, or gone on with, never twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ablata.records import Ledger

SCRIPT = """
import fcntl, os, pathlib, random, sys, time
folder, resumes, pause = pathlib.Path(sys.argv[2]), sys.argv[3] == "1", float(sys.argv[4])
busy = open(folder / "busy", "w")
fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails where another program of this run is still alive
state = folder / "state.txt"
step = int(state.read_text()) if resumes and state.exists() else 0
while step < 8:
    time.sleep(pause)
    step += 1
    draft = folder / "draft.txt"
    draft.write_text(str(step))
    os.replace(draft, state)
    with open(folder / "steps.txt", "a") as log:
        print(step, file=log)
    print(f"step {step} loss={1 / step}")
print("acc:", random.Random(int(sys.argv[1])).gauss(90, 1))
"""
Compare = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def compare(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Compare]:
    """A function that starts a comparison of two programs at three seeds, whose runs resume or not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(SCRIPT)
    started: list[subprocess.Popen[bytes]] = []

    def begin(*, resumes: bool, pause: float = 0.1) -> subprocess.Popen[bytes]:
        command = f"{sys.executable} train.py {{seed}} {{run_dir}} {int(resumes)} {pause}"
        words = [sys.executable, "-m", "ablata", "compare", "--score", "acc", "--seeds", "3", "--force-fixed"]
        words += ["--workers", "2", "--name", "killed", command, f"{command} other"]
        with (tmp_path / "said").open("ab") as said:
            started.append(subprocess.Popen(words, stdout=said, stderr=said))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def _wait(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _workers(ledger: Ledger) -> list[int]:
    return [int(str(run.owner).rpartition(":")[2]) for run in ledger.runs.find(state="running")]


def _begun(home: Path) -> bool:
    return any(len(log.read_text().split()) in range(2, 7) for log in (home / "runs").glob("*/steps.txt"))


def _check(ledger: Ledger, home: Path, *, resumes: bool) -> None:
    """Every run is there once, its curve is whole, and what it did tells whether it went on where it was."""
    cells = ledger.studies.cells("killed")
    assert len(cells) == len({cell.run.id for cell in cells}) == len(ledger.runs.find()) == 6
    assert {cell.run.state for cell in cells} == {"completed"}
    again = [cell.run for cell in cells if cell.run.attempt > 1]
    assert again
    for curve in ledger.metrics.of_study("killed"):
        assert list(curve.steps) == sorted(set(curve.steps))
    for run in again:
        folder = home / "runs" / run.id
        steps = [int(step) for step in (folder / "steps.txt").read_text().split()]
        assert steps[-8:] == list(range(1, 9)) or resumes
        assert (steps == list(range(1, 9))) == resumes or len(steps) == 8
        assert (folder / "output.log").read_text().count("acc:") == 1


@pytest.mark.slow
@pytest.mark.parametrize("resumes", [False, True], ids=["begins again", "goes on"])
def test_a_killed_worker_leaves_no_second_program_and_its_run_is_made_again(
    compare: Compare, ledger: Ledger, home: Path, resumes: bool
) -> None:
    # Long enough that a program left over is still at work when the next worker has started.
    study = compare(resumes=resumes, pause=0.7)
    _wait(lambda: _begun(home) and _workers(ledger))
    for pid in _workers(ledger):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert study.wait(60) == 0
    _check(ledger, home, resumes=resumes)


@pytest.mark.slow
def test_a_killed_launcher_takes_its_programs_along_and_the_same_command_goes_on(
    compare: Compare, ledger: Ledger, home: Path
) -> None:
    study = compare(resumes=True)
    _wait(lambda: _begun(home) and _workers(ledger))
    workers = _workers(ledger)
    study.kill()
    study.wait()
    for pid in workers:
        _wait(lambda pid=pid: not Path(f"/proc/{pid}").exists())  # type: ignore[misc]
    assert not list((home / "runs").glob("*/program")), "no program is left"
    assert compare(resumes=True).wait(60) == 0
    _check(ledger, home, resumes=True)


@pytest.mark.slow
def test_launcher_and_workers_killed_at_once_lose_and_double_nothing(
    compare: Compare, ledger: Ledger, home: Path
) -> None:
    study = compare(resumes=True)
    _wait(lambda: _begun(home) and _workers(ledger))
    for pid in [study.pid, *_workers(ledger)]:
        os.kill(pid, signal.SIGKILL)
    study.wait()
    assert compare(resumes=True).wait(60) == 0
    _check(ledger, home, resumes=True)
