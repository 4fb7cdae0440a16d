"""`ablata loop rm|rename|export|import`: order among research loops, and loops carried elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ablata.base.quantities import counted
from ablata.cli.asking import Replace, Yes
from ablata.cli.console import agreed, note
from ablata.cli.runs import told, written

Named = Annotated[str, typer.Argument(help="The loop's name.", show_default=False)]


def remove(
    name: Named,
    keep_runs: Annotated[bool, typer.Option("--keep-runs", help="Leave its runs.")] = False,
    yes: Yes = False,
) -> None:
    """Remove a loop and its runs. Runs that something else needs stay."""
    from ablata.api.housekeeping import removal_lines, remove_loop

    told(remove_loop(name, keep_runs=keep_runs, confirm=lambda planned: agreed(removal_lines(planned), yes)))


def rename(old: Named, new: Annotated[str, typer.Argument(help="Its new name.")], yes: Yes = False) -> None:
    """Give a loop another name; its proposals and runs stay."""
    from ablata.api.housekeeping import rename_loop

    told = [f"loop {old} becomes {new}"]
    if not rename_loop(old, new, confirm=lambda: agreed(told, yes, question="Rename it?")):
        raise typer.Exit(1)
    note(f"loop {old} is now {new}")


def export(
    name: Named,
    path: Annotated[Path, typer.Argument(help="The file to write, such as loop.ablata.")],
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Include the weights.")] = False,
    replace: Replace = False,
) -> None:
    """Write a loop to one file. Its runs, curves and small files go with it."""
    from ablata.api.moving import export_loop

    written(export_loop(name, path, checkpoints=checkpoints, replace=replace), checkpoints)


def import_(path: Annotated[Path, typer.Argument(help="A file that `ablata loop export` wrote.")]) -> None:
    """Read a loop from a file. It can be read here, and goes on where it was started."""
    from ablata.api.moving import import_loop

    done = import_loop(path)
    note(f"loop {done.study}: {counted(done.taken, 'run')} taken in, {done.shared} were here already")
