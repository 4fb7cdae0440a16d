"""The cluster that a study's workers run on, as it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ablata.base.errors import SettingsError
from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow
from ablata.studies.cluster.executor import Executor, Needs
from ablata.studies.cluster.pool import JobPool
from ablata.studies.workers.pool import may_use_gpu
from ablata.studies.workers.together import Together

_FILE_MARK = ".py:"


def refuse_on_cluster(cluster: Cluster | None, together: str, pack: float | None) -> None:
    """Refuse a wrong word for how many runs are trained together, and what jobs of a cluster do not do.

    Raises:
        SettingsError: says which.
    """
    if Together.parse(together).most > 1 and cluster is not None:
        raise SettingsError(
            "Runs are trained together by workers of this machine", found=f"together={together} with jobs of a cluster",
            do="leave one of them out; ablata worker --together is for workers that you start yourself",
        )  # fmt: skip
    if pack is not None and cluster is not None:
        raise SettingsError(
            "Workers of this machine share a GPU by memory", found=f"pack={pack:g} with jobs of a cluster",
            do="leave one of them out; on Ray --gpus 0.5 lets two jobs share a GPU",
        )  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """Ray or Slurm, and what each worker needs of it.

    Args:
        kind: `ray` or `slurm`.
        address: of the Ray cluster; `here`: the one that RAY_ADDRESS names, or one on this machine.
        needs: of each worker.
        workers: side by side; None: as many as the study has arms, control included.

    Raises:
        SettingsError: something is asked for that this cluster does not know.
    """

    kind: Literal["ray", "slurm"]
    address: str = "here"
    needs: Needs = field(default_factory=Needs)
    workers: int | None = None

    def __post_init__(self) -> None:
        if self.kind == "ray" and (self.needs.partition or self.needs.minutes):
            raise SettingsError(
                "--partition and --time are Slurm's", found="--ray", do="leave them out, or use --slurm"
            )
        if self.kind == "slurm" and self.needs.gpus != int(self.needs.gpus):
            raise SettingsError("Slurm gives whole GPUs", found=f"--gpus {self.needs.gpus:g}", do="--gpus 1")

    def pool(
        self, ledger: Ledger, study: str, arms: Sequence[ArmRow], *, trust_code: bool, say: Callable[[str], None]
    ) -> JobPool:
        """Connect to the cluster and return the pool of a study's workers; nothing is submitted yet.

        Raises:
            UserError, RunError: its library is missing, or no cluster answers.
        """
        executor: Executor
        needs = self.needs
        if self.kind == "ray":
            from ablata.studies.cluster.ray import RayExecutor

            # Workers of other machines look for users' files in their working folder.
            own = any(_FILE_MARK in str(arm.recipe) for arm in arms)
            sqlite = ledger.address.startswith("sqlite")
            executor = RayExecutor(self.address, files=Path.cwd() if own else None, sqlite=sqlite, say=say)
            if executor.resources.get("GPU") and not needs.gpus and may_use_gpu(arms):
                needs = replace(needs, gpus=1)
        else:
            from ablata.studies.cluster.slurm import SlurmExecutor

            executor = SlurmExecutor(ledger.home / "slurm", say)
        return JobPool(ledger, study, executor, self.workers or len(arms), needs, trust_code=trust_code)
