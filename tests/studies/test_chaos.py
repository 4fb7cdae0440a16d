"""Thirty kills of trainers, workers and launchers in the middle of trainings (`make chaos`) change nothing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import RunRow
from ablata.studies.launch import create
from ablata.studies.study import Study

EACH = 10
PATIENCE_SECONDS = 1200
"""How long a machine that is busy elsewhere may take to the next kill."""
NAME = "chaos"


def long_study() -> Study:
    """Twelve trainings, saved ten times a second, judged once at the end.

    While a killed worker's successor starts, the other worker trains on: there must be enough left for the last kill.
    """
    changes = ["train.epochs=80", "train.checkpoint_seconds=0.1", "train.log_every=5", "compute.threads=1"]
    arms = {"narrow": ("model.width=6",), "slow": ("optim.lr=0.02",), "flip": ("data.augment.flip=true",)}
    return Study(
        name=NAME, question="?", control=load_recipe("digits", changes), arms=arms, margin=2.0, seeds=3, fixed=True
    )


def outcome(ledger: Ledger) -> dict[str, Any]:
    """The verdicts, every score and every point of every curve, by arm and seed."""
    cells = ledger.studies.cells(NAME)
    assert {cell.run.state for cell in cells} == {"completed"}
    assert len(ledger.runs.find()) == len({cell.run.id for cell in cells}) == len(cells) == 12
    names = {cell.run.id: f"{cell.arm}, seed {cell.seed}" for cell in cells}
    curves = {
        (names[curve.run], curve.name): dict(zip(curve.steps, curve.values, strict=True))
        for curve in ledger.metrics.of_runs(list(names))
    }
    scores = {names[cell.run.id]: cell.run.scores for cell in cells}
    return {"verdicts": ledger.studies.looks(NAME)[-1].result, "scores": scores, "curves": curves}


def process_of(run: RunRow) -> int:
    """The process that holds a run."""
    return int(str(run.owner).rpartition(":")[2])


def lives(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


class Chaos:
    """Starts launchers and trainers on a home and kills them, or their workers, while they train."""

    def __init__(self, ledger: Ledger, log: Path, seed: int) -> None:
        self.ledger, self.log, self.draw = ledger, log, random.Random(seed)
        self.launcher: subprocess.Popen[bytes] | None = None
        self.kills: Counter[str] = Counter()
        self.seen: dict[tuple[str, int], int | None] = {}
        self.be_patient()

    def be_patient(self) -> None:
        """Count the time that may pass from now on anew."""
        self.end = time.monotonic() + PATIENCE_SECONDS

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "ablata", *arguments]
            environment = os.environ | {"ABLATA_HOME": str(self.ledger.home)}
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def until(self, condition: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
        while not (found := condition()):
            assert time.monotonic() < self.end, f"nothing came of it in time: {self.log.read_text()[-2000:]}"
            assert process.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
            time.sleep(0.01)
        return found

    def trained(self) -> list[RunRow]:
        """The runs that a living process has trained for some steps, in this attempt, and goes on with."""
        running = self.ledger.runs.find(state="running")
        steps = {run.id: (run.progress or {}).get("step") for run in running}
        return [
            run
            for run in running
            if steps[run.id] != self.seen.setdefault((run.id, run.attempt), steps[run.id]) and lives(process_of(run))
        ]

    def strike(self, pid: int, run: RunRow) -> bool:
        """Kill a process at a drawn moment; tell whether that cut the training of the run off."""
        time.sleep(self.draw.uniform(0.0, 0.8))
        now = self.ledger.runs.get(run.id)
        if (now.state, now.attempt) != ("running", run.attempt) or not lives(pid):
            return False
        os.kill(pid, signal.SIGKILL)
        return True

    def launched(self) -> subprocess.Popen[bytes]:
        if self.launcher is None or self.launcher.poll() is not None:
            self.launcher = self.start("study", "run", NAME, "--workers", "2")
        return self.launcher

    def kill_worker(self) -> bool:
        launcher = self.launched()
        run = self.draw.choice(self.until(self.trained, launcher))
        return self.strike(process_of(run), run)

    def kill_launcher(self) -> bool:
        launcher = self.launched()
        run = self.until(self.trained, launcher)[0]
        if struck := self.strike(launcher.pid, run):
            launcher.wait()
        return struck

    def kill_trainer(self) -> bool:
        if self.launcher is not None:
            self.launcher.kill()
            self.launcher.wait()
        while running := self.ledger.runs.find(state="running"):
            # Workers whose launcher is gone save and end.
            assert time.monotonic() < self.end
            if not any(lives(process_of(run)) for run in running):
                break
            time.sleep(0.05)
        (open_runs := self.ledger.runs.find(state=["waiting", "running"])).sort(key=lambda run: run.id)
        if not open_runs:
            return False
        chosen = open_runs[0].id
        trainer = self.start("train", "--resume", chosen)

        def at_work() -> RunRow | None:
            mine = [run for run in self.trained() if run.owner == worker_name(trainer.pid)]
            return mine[0] if mine else None

        struck = self.strike(trainer.pid, self.until(at_work, trainer))
        trainer.kill()
        trainer.wait()
        return struck

    def finish(self) -> None:
        launcher = self.launched()
        assert launcher.wait(max(1.0, self.end - time.monotonic())) == 0, self.log.read_text()[-2000:]


@pytest.mark.slow
def test_thirty_kills_change_no_score_no_verdict_and_no_point_of_a_curve(ledger: Ledger, tmp_path: Path) -> None:
    began = time.monotonic()
    with Ledger(home=tmp_path / "quiet") as quiet:
        create(quiet, long_study())
        Chaos(quiet, tmp_path / "quiet.log", 0).finish()
        expected = outcome(quiet)
    create(ledger, long_study())
    chaos = Chaos(ledger, tmp_path / "chaos.log", seed=30)
    strikes = {"worker": chaos.kill_worker, "launcher": chaos.kill_launcher, "trainer": chaos.kill_trainer}
    order = [kind for kind in strikes for _ in range(EACH)][1:]
    chaos.draw.shuffle(order)
    try:
        # The first launcher makes the runs.
        for kind in ("worker", *order):
            while not strikes[kind]():
                assert ledger.runs.find(state=["waiting", "running"]), f"all trained after {chaos.kills}"
            chaos.kills[kind] += 1
            chaos.be_patient()
        chaos.finish()
    finally:
        if chaos.launcher is not None:
            chaos.launcher.kill()
    attempts = sum(run.attempt for run in ledger.runs.find())
    print(f"{dict(chaos.kills)} trainings cut off; {attempts} attempts at 12 runs; {time.monotonic() - began:.0f} s")
    assert attempts >= 12 + len(strikes) * EACH
    found = outcome(ledger)
    assert found["scores"] == expected["scores"]
    assert found["verdicts"] == expected["verdicts"]
    differing = [
        (name, step)
        for name in {*expected["curves"], *found["curves"]}
        for step in {*expected["curves"].get(name, {}), *found["curves"].get(name, {})}
        if expected["curves"].get(name, {}).get(step) != found["curves"].get(name, {}).get(step)
    ]
    assert differing == []
