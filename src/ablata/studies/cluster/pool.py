"""Keeps a study's workers alive as jobs of a cluster."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

from ablata.base.errors import RunError
from ablata.records.ledger import Ledger
from ablata.records.processes import process_is_gone
from ablata.records.writer import new_launch
from ablata.studies.cluster.executor import Executor, Job, JobState, Needs

_MOST_FAILURES = 4
_POLL_SECONDS = 1.0
_IDLE_SECONDS = 60.0
"""How long a worker waits for more: a job that has been granted is not given back between two rows of a study."""


class JobPool:
    """Keeps workers at a study as jobs of a cluster. Use it as a context: leaving it cancels those that are left.

    Args:
        ledger: where the study is; the jobs must reach its database and its home.
        study: its name.
        executor: the cluster.
        count: jobs side by side.
        needs: what one of them needs.
        trust_code: whether they may run code that came with an imported study.

    Attributes:
        count: jobs side by side.
        log: where the study's workers write what they have to say.
    """

    def __init__(
        self, ledger: Ledger, study: str, executor: Executor, count: int, needs: Needs, *, trust_code: bool = False
    ) -> None:
        self.log = ledger.home / "logs" / f"{study}.{executor.name}"
        self.count = count
        self._executor, self._failures = executor, 0
        self._useful: set[str] = set()
        self._jobs: list[str] = []
        self._began: dict[str, float] = {}
        self._asked = 0.0
        command = [sys.executable, "-m", "ablata", "worker", "--study", study, "--threads", str(needs.cpus)]
        command += ["--idle-exit", "--idle-seconds", str(_IDLE_SECONDS), "--launch", new_launch()]
        command += ["--beside", str(count), *(["--trust-code"] if trust_code else [])]
        environment = {
            "ABLATA_HOME": str(ledger.home),
            "ABLATA_DB": ledger.address,
            "OMP_NUM_THREADS": str(needs.cpus),
        }
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        self._job = Job(command, environment, os.getcwd(), str(self.log), needs)
        self._study = study

    def lost_one(self) -> bool:
        """Tell whether a job has ended since the last `keep`; the cluster is asked once a second at most."""
        if time.monotonic() - self._asked < _POLL_SECONDS:
            return False
        self._asked = time.monotonic()
        return any(self._executor.poll(job) in ("ended", "failed") for job in self._jobs)

    def keep(self, owners: set[str], to_train: int) -> dict[str, int]:
        """Submit the workers that are missing.

        Args:
            owners: names of workers that hold or held a run of the study.
            to_train: runs that wait or run; no more jobs than these are kept.

        Returns:
            Names of workers of this machine that are gone, with the status -1; others' leases have to lapse.

        Raises:
            RunError: jobs fail one after the other, and no worker takes a run.
        """
        states = {job: self._executor.poll(job) for job in self._jobs}
        failed = sum(self._failed(job, state) for job, state in states.items())
        # A job that took over a lost one's run was of use too, though no more workers hold runs than before.
        self._failures = 0 if owners - self._useful else self._failures + failed
        self._useful |= owners
        self._jobs = [job for job, state in states.items() if state in ("waiting", "running")]
        if self._failures >= _MOST_FAILURES:
            raise RunError(
                f"Jobs of {self._executor.name} must be able to start workers",
                found=f"{self._failures} failed one after the other",
                do=f"see what they said ({self.log}), mend it, then go on with: ablata study run {self._study}",
            )
        missing = min(self.count, to_train) - len(self._jobs)
        if missing > 0:
            self._jobs += self._executor.submit(self._job, missing)
        return {owner: -1 for owner in owners if process_is_gone(owner)}

    def __enter__(self) -> JobPool:
        return self

    def __exit__(self, *error: object) -> None:
        """Let the workers of a finished study end by themselves, and cancel those that are left."""
        deadline = time.monotonic() + (_POLL_SECONDS * 5 if error[0] is None else 0)
        while time.monotonic() < deadline and any(self._still(job) for job in self._jobs):
            time.sleep(_POLL_SECONDS / 4)
        for job in self._jobs:
            with suppress(Exception):
                self._executor.cancel(job)

    def _failed(self, job: str, state: JobState) -> bool:
        """Tell whether a job is gone sooner than a worker that finds nothing to do would be."""
        began = self._began.get(job, time.monotonic())
        if state == "running":
            self._began.setdefault(job, began)
        return state == "failed" or (state == "ended" and time.monotonic() - began < _IDLE_SECONDS / 2)

    def _still(self, job: str) -> bool:
        return self._executor.poll(job) == "running"
