"""Slurm, through submitit: job arrays of workers; a worker that is to be preempted saves and is queued again."""

from __future__ import annotations

import importlib
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ablata.base.errors import UserError
from ablata.studies.cluster.executor import Job, JobState

_SAVE_SECONDS = 90
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "UNKNOWN", "READY")
_RUNNING = ("RUNNING", "COMPLETING", "SUSPENDED")
_ENDED = ("COMPLETED", "FINISHED", "DONE")


class WorkerJob:
    """What runs inside a job: one worker as a process of its own.

    Args:
        job: the worker.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: subprocess.Popen[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a node is sent: not the process of this one."""
        return self.__dict__ | {"_process": None}

    def __call__(self) -> int:
        """Run the worker to its end.

        Raises:
            RuntimeError: it ended with another status than 0; its words are in the job's log.
        """
        self._process = self.job.start()
        try:
            status = self._process.wait()
        except KeyboardInterrupt:
            self._save()
            raise
        if status:
            raise RuntimeError(f"the worker ended with status {status}")
        return 0

    def checkpoint(self) -> Any:
        """Before a preemption or the end of its time: let the worker save, and queue the job again."""
        self._save()
        helpers: Any = importlib.import_module("submitit.helpers")
        return helpers.DelayedSubmission(WorkerJob(self.job))

    def _save(self) -> None:
        """Ask the worker to save and end, and wait for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SAVE_SECONDS)


class SlurmExecutor:
    """Submits workers to Slurm; where there is no Slurm, as processes of this machine, through submitit's own.

    Args:
        folder: where submitit keeps what the jobs say; every node must see it.
        say: called with a line about where the jobs go.

    Raises:
        UserError: submitit is not installed.
    """

    name = "slurm"

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
        try:
            submitit: Any = importlib.import_module("submitit")
        except ImportError:
            raise UserError(
                "--slurm needs submitit", found="it is not installed", do="pip install 'ablata[slurm]'"
            ) from None
        self._is_slurm = shutil.which("srun") is not None or shutil.which("sbatch") is not None
        if not self._is_slurm:
            say("there is no Slurm here (no srun): its jobs run as processes of this machine")
        folder.mkdir(parents=True, exist_ok=True)
        self._executor = submitit.AutoExecutor(folder=folder, cluster="slurm" if self._is_slurm else "local")
        self._jobs: dict[str, Any] = {}

    def submit(self, job: Job, count: int) -> list[str]:
        """Submit `count` workers as one job array."""
        needs = job.needs
        given: dict[str, Any] = {"name": "ablata", "timeout_min": needs.minutes or 24 * 60, "nodes": 1}
        given |= {"tasks_per_node": 1, "cpus_per_task": needs.cpus, "gpus_per_node": int(needs.gpus)}
        if needs.memory_gb is not None:
            given["mem_gb"] = needs.memory_gb
        if needs.partition is not None:
            given["slurm_partition"] = needs.partition
        if self._is_slurm:
            given |= {"slurm_array_parallelism": count, "slurm_signal_delay_s": _SAVE_SECONDS + 30}
        self._executor.update_parameters(**given)
        with self._executor.batch():
            made = [self._executor.submit(WorkerJob(job)) for _ in range(count)]
        self._jobs |= {one.job_id: one for one in made}
        return [one.job_id for one in made]

    def poll(self, job: str) -> JobState:
        """Tell how a job stands, as `sacct` has it."""
        known = self._jobs[job]
        state = str(known.state).split(" ")[0].rstrip("+").upper()
        if state in _RUNNING:
            return "running"
        if state in _WAITING:
            return "waiting"
        return "ended" if state in _ENDED else "failed"

    def cancel(self, job: str) -> None:
        """Cancel a job: Slurm sends its worker SIGTERM, at which it saves."""
        self._jobs[job].cancel()
