"""Run a study: enqueue whole seed rows, keep workers at it, look after each row, stop arms that are decided."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ablata.base.errors import RunError
from ablata.records.fingerprint import code_fingerprint
from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow, RunRow
from ablata.recipes.index import restore_recipe
from ablata.studies.assess import Assessment, assess, open_arms, rule_of
from ablata.studies.identity import new_run, record_environment
from ablata.studies.study import Study

_POLL_SECONDS = 0.25
_MOST_ATTEMPTS = 5
_MOST_DEATHS = 4


@dataclass(frozen=True)
class Workers:
    """How many local worker processes, and how many processor threads for each."""

    count: int
    threads: int

    @staticmethod
    def for_this_machine(wanted: int | None, runs: int) -> Workers:
        """Size the workers: one for each GPU, else one for each core, never more than there are runs in a row."""
        cores = os.cpu_count() or 1
        count = wanted or torch.cuda.device_count() or max(1, min(cores, runs))
        return Workers(count, max(1, cores // count))


class Launch:
    """A study being run.

    Args:
        ledger: where it is recorded.
        name: a study that `create` has put there.
        workers: local processes.
        watch: called about four times a second, for a live table.
    """

    def __init__(self, ledger: Ledger, name: str, workers: Workers, watch: Callable[[], None] = lambda: None) -> None:
        self.ledger, self.name, self.workers, self.watch = ledger, name, workers, watch
        self.environment = record_environment(ledger)
        self.study = ledger.studies.get(name)
        arms = ledger.studies.arms(name)
        self.columns: list[ArmRow] = sorted(arms, key=lambda arm: not arm.is_control)
        self.rule = rule_of(self.study)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._deaths = 0
        self._log = ledger.home / "logs" / f"{name}.log"

    def run(self) -> Assessment:
        """Train until every arm is decided or all seeds are used.

        Raises:
            RunError: a run failed again and again; the study can be continued once the reason is gone.
            KeyboardInterrupt: passed on after the workers have saved what they had.
        """
        assessment = self._look()
        try:
            while not self._finished(assessment):
                self._enqueue(assessment)
                self._retry_failed()
                self._keep_workers()
                self.watch()
                time.sleep(_POLL_SECONDS)
                assessment = self._look(assessment)
            self.ledger.studies.finish(self.name)
            self.watch()
            return assessment
        finally:
            _terminate_all(self._processes)

    def _finished(self, assessment: Assessment) -> bool:
        return assessment.rows >= self.rule.seeds or not open_arms(self.columns, assessment.replay)

    def _look(self, before: Assessment | None = None) -> Assessment:
        """Judge what is there; record a look when a row was added, and stop the arms it closes."""
        assessment = assess(self.ledger, self.name)
        if assessment.rows == (before.rows if before else 0):
            return assessment
        self.ledger.studies.add_look(self.name, assessment.rows, assessment.as_look())
        stopped = {arm.name for arm in self.ledger.studies.arms(self.name) if arm.state == "stopped"}
        for name, outcome in assessment.outcomes().items():
            if not outcome.open and name not in stopped:
                self.ledger.studies.stop_arm(self.name, name, outcome.verdict.value, outcome.reason)
        return assessment

    def _enqueue(self, assessment: Assessment) -> None:
        """Make sure the next row waits; before the first look, all rows up to it, since none of them can be spared."""
        target = max(assessment.rows + 1, min(self.rule.first_look, self.rule.seeds))
        present = {(cell.arm, cell.seed): cell.run for cell in self.ledger.studies.cells(self.name)}
        for row in range(assessment.rows, target):
            seed = self.study.spec["first_seed"] + row
            for arm in open_arms(self.columns, assessment.replay):
                run = present.get((arm.name, seed))
                if run is None or self._stale(run):
                    recipe = restore_recipe(arm.recipe, arm.recipe_name, source=f"study {self.name}")
                    self.ledger.studies.enqueue(self.name, arm.name, new_run(self.ledger, recipe, seed, self.environment))
                if run is not None and self._stale(run):
                    self.ledger.runs.cancel(run.id)

    def _stale(self, run: RunRow) -> bool:
        """Tell whether a run that nobody has trained yet is meant for other code or another machine than this."""
        here = (code_fingerprint(), self.environment)
        return run.state in ("waiting", "cancelled", "failed") and (run.code, run.environment) != here

    def _retry_failed(self) -> None:
        for run in self._runs("failed"):
            if run.attempt >= _MOST_ATTEMPTS:
                raise RunError(
                    "Every run of a study must end",
                    found=f"run {run.id} failed {run.attempt} times: {run.error}",
                    do=f"mend the reason, then go on with: ablata study run {self.name}",
                )
            self.ledger.runs.requeue(run.id)

    def _runs(self, state: str) -> list[RunRow]:
        return [cell.run for cell in self.ledger.studies.cells(self.name) if cell.run.state == state]

    def _keep_workers(self) -> None:
        """Start the workers, and replace one that died; its run is given back at once, since we know it is dead."""
        for process in [process for process in self._processes if process.poll() is not None]:
            self._processes.remove(process)
            self._deaths += 1
            for run in self._runs("running"):
                if run.owner and run.owner.rpartition(":")[2] == str(process.pid):
                    self.ledger.leases.release(run.id, run.attempt, f"its worker ended with {process.returncode}")
                    self._deaths = 0
        if self._deaths > _MOST_DEATHS:
            raise RunError(
                "Workers must be able to start", found=f"{self._deaths} ended one after the other without a run",
                do=f"read {self._log}",
            )  # fmt: skip
        while len(self._processes) < self.workers.count:
            self._processes.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ablata", "worker", "--study", self.name, "--threads", str(self.workers.threads)]
        environment = os.environ | {
            "ABLATA_HOME": str(self.ledger.home),
            "ABLATA_DB": self.ledger.address,
            "OMP_NUM_THREADS": str(self.workers.threads),
        }
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def create(ledger: Ledger, study: Study) -> None:
    """Put a study into the ledger, fixed from now on; one that is there already must be the same.

    Raises:
        RecordError: a different study has this name.
        UserError: the data of an arm is missing.
    """
    for recipe in study.recipes.values():
        new_run(ledger, recipe, study.first_seed, environment="")
    ledger.studies.create(study.name, study.question, study.spec(), study.new_arms())


def _terminate_all(processes: list[subprocess.Popen[bytes]]) -> None:
    """Ask workers to save and end; insist after half a minute."""
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 30
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
