"""Options of a study whose workers are jobs of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ablata.base.errors import SettingsError
from ablata.base.quantities import parse_duration

if TYPE_CHECKING:
    from ablata.studies.cluster.choice import Cluster

RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray", metavar="[HOST:PORT]", help="Workers are tasks of this Ray cluster; without an address, here."
    ),
]
Slurm = Annotated[bool, typer.Option("--slurm", help="Workers are Slurm jobs; without Slurm, processes here.")]
Cpus = Annotated[int | None, typer.Option(min=1, metavar="N", help="Cores of each cluster worker; by default 1.")]
Gpus = Annotated[
    float | None, typer.Option(min=0, metavar="N", help="GPUs of each cluster worker; on Ray 0.5 lets two share one.")
]
MemoryGb = Annotated[float | None, typer.Option(min=0.1, metavar="GB", help="Memory of each cluster worker.")]
JobTime = Annotated[str | None, typer.Option(metavar="TIME", help="Slurm's limit for a worker, such as 4h; it saves.")]
Partition = Annotated[str | None, typer.Option(metavar="NAME", help="Slurm's partition.")]


def cluster_of(
    ray: str | None, slurm: bool, cpus: int | None, gpus: float | None, memory: float | None, time: str | None,
    partition: str | None, workers: int | None,
) -> Cluster | None:  # fmt: skip
    """Return the cluster that was asked for; None: workers of this machine.

    Raises:
        SettingsError: two clusters, or what a cluster needs without one.
    """
    given = {"--cpus": cpus, "--gpus": gpus, "--memory": memory, "--time": time, "--partition": partition}
    if ray is not None and slurm:
        raise SettingsError("Workers run on one cluster", found="--ray and --slurm", do="leave one out")
    if ray is None and not slurm:
        if named := [name for name, value in given.items() if value is not None]:
            raise SettingsError(f"{named[0]} is of workers on a cluster", found="neither --ray nor --slurm",
                                do="add one of them; workers of this machine are sized by --workers")  # fmt: skip
        return None
    from ablata.studies.cluster.choice import Cluster
    from ablata.studies.cluster.executor import Needs

    minutes = None if time is None else max(1, round(parse_duration(time, "4h") / 60))
    needs = Needs(cpus=cpus or 1, gpus=gpus or 0.0, memory_gb=memory, minutes=minutes, partition=partition)
    return Cluster("slurm" if slurm else "ray", ray or "here", needs, workers)
