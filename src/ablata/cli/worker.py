"""`ablata worker`, a process that trains what waits in a ledger, and `ablata bench`, the speed measurements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ablata.base.errors import SettingsError, choices, suggestion
from ablata.base.quantities import counted
from ablata.cli.asking import StoreAddress, TogetherOption, TrustCode
from ablata.cli.console import note, quick_imports


def worker(
    db: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Database of the ledger; by default ABLATA_DB, or the file in the lab's home."
        ),
    ] = None,
    store: StoreAddress = None,
    study: Annotated[
        str | None, typer.Option(metavar="NAME", help="Train only this study's runs, and end when it is finished.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of a training.")] = None,
    idle_exit: Annotated[bool, typer.Option("--idle-exit", help="End when no run waits or runs.")] = False,
    idle_seconds: Annotated[float, typer.Option(hidden=True, help="How long nothing must have waited for that.")] = 0.0,
    any_environment: Annotated[
        bool,
        typer.Option(
            "--any-environment",
            help="Also take runs meant for other kinds of machines; these are then not paired by seed.",
        ),
    ] = False,
    together: TogetherOption = "never",
    gpu_memory: Annotated[
        float | None,
        typer.Option("--gpu-memory", metavar="GB", min=0.1, help="Memory of its GPU that a training may take."),
    ] = None,
    trust_code: TrustCode = False,
    launch: Annotated[str | None, typer.Option(hidden=True, help="What started it.")] = None,
    beside: Annotated[int, typer.Option(hidden=True, help="How many workers run side by side.")] = 1,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End once this process is gone.")] = None,
) -> None:
    """Train runs that wait in a ledger. On any machine that reaches the ledger's database."""
    with quick_imports():
        from ablata.records.database import PATIENCE_SECONDS
        from ablata.records.ledger import Ledger
        from ablata.studies.workers.together import Together
        from ablata.studies.workers.worker import work

    if gpu_memory is not None:
        from ablata.engine.hardware.memory import limit_gpu_memory

        limit_gpu_memory(gpu_memory * 10**9)
    # A launcher's worker has a right address: a database that does not answer is on its way back.
    with Ledger(db, patience=0.0 if parent is None else PATIENCE_SECONDS, store=store) as ledger:
        done = work(
            ledger, study=study, threads=threads, idle_exit=idle_exit, idle_seconds=idle_seconds,
            any_environment=any_environment, parent=parent, launch=launch, beside=beside, trust_code=trust_code,
            together=Together.parse(together), say=note,
        )  # fmt: skip
    note(f"{counted(done, 'run')} completed")


def bench(
    name: Annotated[str | None, typer.Argument(help="A benchmark; without a name all are listed.")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments.")] = None,
) -> None:
    """Measure speed against other libraries. Needs a source checkout."""
    folder = Path(__file__).parents[3] / "benchmarks"
    known = {path.stem: path for path in sorted(folder.glob("*.py"))}
    if not known:
        raise SettingsError(
            "Benchmarks run from a source checkout",
            found=f"no folder {folder}",
            do="git clone the project, and call it in that folder",
        )
    if name is None:
        for stem in known:
            typer.echo(stem)
        return
    if name not in known:
        raise SettingsError(
            f"A benchmark must be one of {choices(known, name)}", found=name, do=suggestion(name, known)
        )
    raise typer.Exit(subprocess.call([sys.executable, str(known[name]), *(arguments or [])]))
