"""What a cluster has to do for a study: take a job, say how it stands, cancel it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

JobState = Literal["waiting", "running", "ended", "failed"]


@dataclass(frozen=True)
class Needs:
    """What one worker needs of a cluster, and where it may wait.

    Args:
        cpus: processor cores; also the processor threads of its trainings.
        gpus: GPUs; a fraction lets several workers share one, where the cluster can.
        memory_gb: memory in GB; None: the cluster's own default.
        minutes: time after which the cluster may end it; None: the cluster's own default.
        partition: Slurm's partition; None: its default.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory_gb: float | None = None
    minutes: int | None = None
    partition: str | None = None


@dataclass(frozen=True)
class Job:
    """A worker to be started.

    Args:
        command: its argument list.
        environment: variables that it needs beside those of the node.
        folder: working folder, where the node has it.
        log: file that the worker's words are appended to; every node must see its folder.
        needs: what it needs.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    log: str
    needs: Needs = field(default_factory=Needs)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start the worker on the node that this is called on.

        Args:
            arguments: further ones of the command.
        """
        folder = self.folder if Path(self.folder).is_dir() else None
        Path(self.log).parent.mkdir(parents=True, exist_ok=True)
        with Path(self.log).open("ab") as log:
            return subprocess.Popen(
                [*self.command, *arguments], env=os.environ | dict(self.environment), cwd=folder, stdout=log, stderr=log
            )


class Executor(Protocol):
    """A cluster behind three calls."""

    name: str

    def submit(self, job: Job, count: int) -> list[str]:
        """Submit a job `count` times and return an id for each."""

    def poll(self, job: str) -> JobState:
        """Tell how a job stands."""

    def cancel(self, job: str) -> None:
        """End a job: its worker is asked to save first where the cluster can ask."""
