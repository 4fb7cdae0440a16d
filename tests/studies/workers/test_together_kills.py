"""A group of runs that is killed, stopped or cancelled: every member goes on from its own last checkpoint."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.studies.launch import create
from ablata.studies.study import Study
from ablata.studies.workers.together import Together
from ablata.studies.workers.worker import work

NAME = "group"
PATIENCE_SECONDS = 1200
"""How long a machine that is busy elsewhere may take."""


def long_study() -> Study:
    """Six trainings of one network, saved ten times a second."""
    changes = ["train.epochs=30", "train.checkpoint_seconds=0.1", "train.log_every=5", "model.width=6"]
    arms = {"slow": ("optim.lr=0.02", "loss.smoothing=0.1")}
    return Study(
        name=NAME, question="?", control=load_recipe("digits", changes), arms=arms, margin=2.0, seeds=3, fixed=True
    )


def outcome(ledger: Ledger) -> dict[tuple[str, int], Any]:
    """Scores and every point of every curve, by arm and seed."""
    cells = ledger.studies.cells(NAME)
    assert {cell.run.state for cell in cells} == {"completed"}
    assert len(ledger.runs.find()) == len({cell.run.id for cell in cells}) == 6
    points: dict[str, dict[tuple[str, int], float]] = {cell.run.id: {} for cell in cells}
    for curve in ledger.metrics.of_runs(list(points)):
        points[curve.run] |= {(curve.name, step): one for step, one in zip(curve.steps, curve.values, strict=True)}
    return {(cell.arm, cell.seed): (cell.run.scores, points[cell.run.id]) for cell in cells}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Any]:
    home = tmp_path_factory.mktemp("quiet")
    with Ledger(home=home) as ledger:
        create(ledger, long_study())
        launcher = start(home)
        assert launcher.wait(PATIENCE_SECONDS) == 0
        assert {run.cost["together"] for run in ledger.runs.find() if run.cost} == {6.0}
        return outcome(ledger)


def start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    command = arguments or ("study", "run", NAME, "--workers", "1", "--together", "auto")
    environment = os.environ | {"ABLATA_HOME": str(home), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ablata", *command],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)
    return found


def at_work(ledger: Ledger, attempt: int) -> list[RunRow]:
    """The six runs, once all are trained in an attempt and each has a checkpoint; else none."""
    runs = ledger.runs.find(state="running")
    ready = [run for run in runs if run.attempt == attempt and (run.progress or {}).get("step", 0) > 50]
    saved = all((ledger.runs.folder(run) / "last.safetensors").is_file() for run in ready)
    return ready if len(ready) == 6 and saved else []


@contextmanager
def launched(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    launcher = start(home)
    try:
        yield launcher
    finally:
        launcher.kill()
        launcher.wait()


@pytest.mark.slow
def test_a_group_whose_worker_and_launcher_are_killed_ends_as_an_undisturbed_one(
    ledger: Ledger, undisturbed: dict[tuple[str, int], Any]
) -> None:
    create(ledger, long_study())
    with launched(ledger.home) as launcher:
        runs = until(lambda: at_work(ledger, 1), "the first group")
        worker = int(str(runs[0].owner).rpartition(":")[2])
        os.kill(worker, signal.SIGKILL)
        again = until(lambda: at_work(ledger, 2), "the second group")
        os.kill(launcher.pid, signal.SIGKILL)
        os.kill(int(str(again[0].owner).rpartition(":")[2]), signal.SIGKILL)
    assert start(ledger.home).wait(PATIENCE_SECONDS) == 0
    assert {run.attempt for run in ledger.runs.find()} == {3}
    assert outcome(ledger) == undisturbed


@pytest.mark.slow
def test_a_stopped_group_is_saved_and_goes_on_and_a_cancelled_one_ends(
    ledger: Ledger, undisturbed: dict[tuple[str, int], Any]
) -> None:
    create(ledger, long_study())
    with launched(ledger.home) as launcher:
        until(lambda: at_work(ledger, 1), "the group")
        assert start(ledger.home, "study", "stop", NAME).wait(PATIENCE_SECONDS) == 0
        assert launcher.wait(PATIENCE_SECONDS) == 1
    runs = ledger.runs.find()
    assert {(run.state, run.shown_state) for run in runs} == {("waiting", "stopped")}
    steps = {run.progress["step"] for run in runs if run.progress}
    with launched(ledger.home) as launcher:
        until(lambda: at_work(ledger, 2), "the group again")
        assert start(ledger.home, "study", "cancel", NAME, "--yes").wait(PATIENCE_SECONDS) == 0
        assert launcher.wait(PATIENCE_SECONDS) == 0
    assert {run.state for run in ledger.runs.find()} == {"cancelled"}
    assert min(steps) > 50
    for run in ledger.runs.find():
        ledger.runs.requeue(run.id)
    assert work(ledger, idle_exit=True, together=Together(8)) == 6
    assert outcome(ledger) == undisturbed
