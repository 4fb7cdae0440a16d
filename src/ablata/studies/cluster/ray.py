"""Ray core: workers of a study as tasks of a Ray cluster."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ablata.base.errors import RunError, SettingsError, UserError
from ablata.studies.cluster.executor import Job, JobState

HERE = "here"
"""In place of an address: the cluster that RAY_ADDRESS names, or one on this machine for as long as the study runs."""
_LEFT_OUT = [".git", ".venv", ".ablata", "__pycache__"]


def run_worker(job: Job) -> int:
    """Run a worker to its end on a node of the cluster; it ends with the task that started it.

    Raises:
        RuntimeError: it ended with another status than 0; its words are in the job's log.
    """
    if status := job.start("--parent", str(os.getpid())).wait():
        raise RuntimeError(f"the worker ended with status {status}")
    return 0


class RayExecutor:
    """Submits workers to a Ray cluster.

    Args:
        address: of the cluster (`HOST:PORT` or `ray://HOST:PORT`); `here`: see `HERE`.
        files: a folder with the users' own files, sent to the nodes; None: nothing is sent.
        sqlite: whether the ledger is a file, which one machine alone can use.
        say: called with a line about where the jobs go.

    Raises:
        UserError: Ray is not installed.
        RunError: no cluster answers at the address.
        SettingsError: the ledger is a file and the cluster has several machines.
    """

    name = "ray"

    def __init__(
        self, address: str, *, files: Path | None = None, sqlite: bool = True,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        try:
            # Not a plain import: types are checked with and without it.
            ray: Any = importlib.import_module("ray")
        except ImportError:
            raise UserError("--ray needs Ray", found="it is not installed", do="pip install 'ablata[ray]'") from None
        self._ray = ray
        given: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "ignore_reinit_error": True}
        if files is not None:
            given["runtime_env"] = {"working_dir": str(files), "excludes": _LEFT_OUT}
        try:
            ray.init(None if address == HERE else address, **given)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise RunError(
                "A Ray cluster must answer", found=f"{address}: {error}",
                do="start one with: ray start --head, and give its address; where it asks for a token, set "
                "RAY_AUTH_MODE=token, with the token in ~/.ray/auth_token; or --ray alone for one on this machine",
            ) from None  # fmt: skip
        nodes = [node for node in ray.nodes() if node.get("Alive")]
        if sqlite and len(nodes) > 1:
            raise SettingsError(
                "A ledger that several machines share must be a Postgres database",
                found=f"a file, and {len(nodes)} Ray nodes", do="set ABLATA_DB=postgresql://USER@HOST/NAME",
            )  # fmt: skip
        self.resources: dict[str, float] = ray.cluster_resources()
        cpus, gpus = self.resources.get("CPU", 0), self.resources.get("GPU", 0)
        say(f"Ray: {len(nodes)} node{'s' * (len(nodes) != 1)}, {cpus:g} CPUs, {gpus:g} GPUs")
        self._task = ray.remote(max_retries=0)(run_worker)
        self._jobs: dict[str, Any] = {}

    def submit(self, job: Job, count: int) -> list[str]:
        """Submit `count` workers."""
        needs = job.needs
        options: dict[str, Any] = {"num_cpus": needs.cpus, "num_gpus": needs.gpus}
        if needs.memory_gb is not None:
            options["memory"] = int(needs.memory_gb * 10**9)
        task = self._task.options(**options)
        made = [task.remote(job) for _ in range(count)]
        self._jobs |= {one.hex(): one for one in made}
        return [one.hex() for one in made]

    def poll(self, job: str) -> JobState:
        """Tell how a job stands. One that waits for resources counts as running: Ray does not tell them apart."""
        ready, _ = self._ray.wait([self._jobs[job]], timeout=0)
        if not ready:
            return "running"
        try:
            self._ray.get(ready[0])
        except Exception:
            # Whatever a task, a killed worker or a lost node raises: the job is no more.
            return "failed"
        return "ended"

    def cancel(self, job: str) -> None:
        """End a task; its worker sees that its parent is gone, saves and ends."""
        with suppress(Exception):
            self._ray.cancel(self._jobs[job], force=True)
