"""`ablata worker`, a process that trains what waits in a ledger, and `ablata bench`, the speed measurements."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ablata.base.errors import SettingsError, listing
from ablata.cli.asking import TrustCode
from ablata.cli.console import note


def worker(
    db: Annotated[str | None, typer.Option(metavar="URL", help="The ledger; else ABLATA_DB or the lab's home.")] = None,
    study: Annotated[str | None, typer.Option(help="Only this study's runs; ends when it is finished.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads of a training.")] = None,
    idle_exit: Annotated[bool, typer.Option("--idle-exit", help="End as soon as nothing waits or runs.")] = False,
    any_environment: Annotated[
        bool,
        typer.Option(
            "--any-environment", help="Take runs meant for other machines too; their pairs count as unpaired."
        ),
    ] = False,
    trust_code: TrustCode = False,
    parent: Annotated[int | None, typer.Option(hidden=True, help="End once this process is gone.")] = None,
) -> None:
    """Claim runs from a ledger and train them, on this or any machine that sees the database."""
    from ablata.records.ledger import Ledger
    from ablata.studies.worker import work

    with Ledger(db) as ledger:
        done = work(
            ledger, study=study, threads=threads, idle_exit=idle_exit, any_environment=any_environment, parent=parent,
            trust_code=trust_code, say=note,
        )  # fmt: skip
    note(f"{done} run{'' if done == 1 else 's'} completed")


def bench(
    name: Annotated[str | None, typer.Argument(help="A measurement; none lists them.")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to it.")] = None,
) -> None:
    """Run a speed measurement of a source checkout: ratios against peers, with hardware and date."""
    folder = Path(__file__).parents[3] / "benchmarks"
    known = {path.stem: path for path in sorted(folder.glob("*.py"))}
    if not known:
        raise SettingsError("Measurements run from a source checkout", found=f"no folder {folder}")
    if name is None:
        for stem in known:
            typer.echo(stem)
        return
    if name not in known:
        raise SettingsError(f"A measurement must be one of {listing(known)}", found=name)
    raise typer.Exit(subprocess.call([sys.executable, str(known[name]), *(arguments or [])]))
