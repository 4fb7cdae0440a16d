"""The `ablata` command. Heavy rooms are imported inside commands, so that help and usage errors come at once."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from tempfile import gettempdir
from typing import Annotated

import typer

from ablata.base.errors import AblataError, UserError, listing
from ablata.base.home import lab_home
from ablata.base.libraries import vision_libraries
from ablata.base.version import __version__
from ablata.cli import (
    board,
    evaluate,
    export,
    ledger,
    loop,
    notes,
    predict,
    recipes,
    runs,
    start,
    train,
    weights,
    worker,
)
from ablata.cli.console import fail
from ablata.cli.data import commands as data
from ablata.cli.help import CommandGroup
from ablata.cli.studies import commands as studies
from ablata.cli.studies import compare, judge, replicate

app = CommandGroup(
    name="ablata",
    help="A lab for vision models: train recipes, and find out whether a change helps.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich" if sys.stderr.isatty() else None,
)
app.command("start")(start.start)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export")(export.export)
app.command("compare")(compare.compare)
app.command("judge")(judge.judge)
app.add_typer(studies.app, name="study")
app.add_typer(loop.app, name="loop")
app.add_typer(data.app, name="data")
app.add_typer(recipes.app, name="recipes")
app.add_typer(runs.app, name="runs")
app.add_typer(notes.app, name="notes")
app.add_typer(replicate.app, name="replicate")
app.add_typer(weights.app, name="weights")
app.add_typer(ledger.app, name="ledger")
app.command("board")(board.board)
app.command("worker")(worker.worker)
app.command("bench")(worker.bench)

_PLACES = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ablata {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options that stand before the command."""
    if debug:
        os.environ["ABLATA_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 0 if all went well, 1 if something failed, 2 for wrong usage.

    Args:
        arguments: what stands after `ablata`; None takes the process's own.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A pipe or terminal that cannot show a sign gets a question mark, not a traceback.
            stream.reconfigure(errors="replace")
    try:
        with vision_libraries():
            app(args=arguments, prog_name="ablata")
    except AblataError as error:
        if os.environ.get("ABLATA_DEBUG"):
            raise
        fail(error)
        sys.exit(error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # The reader of our output has gone; Python would complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        if os.environ.get("ABLATA_DEBUG"):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            fail(_no_room(error))
            sys.exit(1)
        kind = UserError if isinstance(error, _PLACES) else AblataError
        found = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        told = kind("A file must be one that can be read or written", found=found)
        fail(told)
        sys.exit(told.exit_code)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        trouble = None if os.environ.get("ABLATA_DEBUG") else _database_trouble(error)
        if trouble is None:
            raise
        fail(trouble)
        sys.exit(trouble.exit_code)


_LITTLE = 1 << 20
"""Bytes below which a disk is taken for full."""


def _no_room(error: OSError) -> AblataError:
    """Return what a full disk means: which one it is, and what to do."""
    home = lab_home()
    places = {"the lab's home": home, "the working folder": Path.cwd(), "temporary files": Path(gettempdir())}
    full = [
        f"{name} {place}"
        for name, place in places.items()
        if (shutil.disk_usage(next(each for each in (place, *place.parents) if each.exists())).free < _LITTLE)
    ]
    where = error.filename or listing(full)
    return AblataError(
        "The disk must have room for what is written",
        found=f"{error.strerror}: {where}",
        do=f"make room there and give the same command again (`ablata runs prune` thins the checkpoints in {home}), or "
        "set ABLATA_HOME to a copy of the lab on another disk",
    )


def _database_trouble(error: Exception) -> AblataError | None:
    """Return what a database said in the middle of a command, in words; None for any other error."""
    if "sqlalchemy" not in sys.modules:
        return None
    from sqlalchemy.exc import DatabaseError

    from ablata.records.database import in_words

    return in_words(error) if isinstance(error, DatabaseError) else None
