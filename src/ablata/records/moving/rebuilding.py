"""What a run folder says about its run, so that a lost ledger can be rebuilt from the folders.

record.json     the run's row, settings, environment, events and curves, as `exporting` writes them; written when an
                attempt begins and when the run ends
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import DataError, IntegrityError

from ablata.base.errors import RecordError
from ablata.base.files import write_text
from ablata.records.home import LEDGER_FILE, RUNS_FOLDER
from ablata.records.ledger import Ledger
from ablata.records.metrics import write_points
from ablata.records.moving.exporting import RECORD, RunsFile, run_curves, runs_file
from ablata.records.rows import RunRow
from ablata.records.runs import find_run, insert_ignoring, living, own_settings
from ablata.records.tables import Environment, Event, RecipeTable, Run
from ablata.records.values import decode, encode


@dataclass(frozen=True, slots=True)
class _Record:
    """record.json: a run with all that the ledger says of it."""

    runs: RunsFile
    curves: dict[str, tuple[list[int], list[float]]]


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did.

    Attributes:
        set_aside: where the damaged file is now, if there was one.
        taken: runs that were read from their folders.
        known: runs of folders that the ledger had.
        left: folders that could not be read, each with the reason.
    """

    set_aside: Path | None
    taken: int
    known: int
    left: tuple[tuple[Path, str], ...]


def keep_record(ledger: Ledger, run_id: str) -> None:
    """Write what the ledger says about a run into its folder, and nothing that the ledger has ceased to say.

    Raises:
        OSError: it cannot be written.
    """
    while True:
        with ledger.database.snapshot() as connection:
            run = find_run(connection, run_id)
            record = record_text(connection, run)
        with suppress(_OutdatedError):
            return write_text(ledger.runs.folder(run) / RECORD, record, partial(_unchanged, ledger, run))


def record_text(connection: Connection, run: RunRow) -> str:
    """Return what the ledger says about a run, as `record.json` holds it."""
    return encode({"runs": asdict(runs_file(connection, [run])), "curves": run_curves(connection, run)})


class _OutdatedError(Exception):
    """The run was taken or ended after it was read: its record is to be made anew."""


@contextmanager
def _unchanged(ledger: Ledger, read: RunRow) -> Iterator[None]:
    """Keep a run in the state and attempt in which it was read."""
    with ledger.database.write() as connection:
        query = select(Run.state, Run.attempt).where(Run.id == read.id).with_for_update(read=True)
        if tuple(connection.execute(query).one()) != (read.state, read.attempt):
            raise _OutdatedError
        yield


def repair_ledger(home: Path) -> Repaired:
    """Make the ledger of a home whole: set a damaged file aside, and take in the runs that only their folders know.

    Studies are not in run folders: the command that asked one asks it again and shares the runs.

    Args:
        home: the lab's home.

    Raises:
        RecordError: the home cannot be written.
    """
    path = home / LEDGER_FILE
    aside = None if not path.exists() or _is_whole(path) else _set_aside(path)
    taken, known, left = 0, 0, []
    with Ledger(str(path), home=home, rebuild=True) as ledger:
        for folder in sorted(folder for folder in (home / RUNS_FOLDER).glob("*") if folder.is_dir()):
            try:
                new = _take(ledger, folder)
            except (OSError, ValueError, KeyError, DataError, IntegrityError) as error:
                left.append((folder, _reason(error)))
            else:
                taken, known = taken + new, known + (not new)
    return Repaired(aside, taken, known, tuple(left))


def _is_whole(path: Path) -> bool:
    if path.stat().st_size == 0:
        return False
    try:
        connection = sqlite3.connect(path)
        try:
            return bool(connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)])
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm", ""):
        if (file := Path(f"{path}{suffix}")).exists():
            file.rename(f"{aside}{suffix}")
    return aside


def _take(ledger: Ledger, folder: Path) -> bool:
    """Take the run of a folder in; return False if the ledger has it."""
    with ledger.database.read() as connection:
        if connection.scalar(select(Run.id).where(Run.id == folder.name)) is not None:
            return False
    record = TypeAdapter(_Record).validate_python(decode((folder / RECORD).read_text(encoding="utf-8")))
    (run,) = record.runs.runs
    if run.id != folder.name:
        raise ValueError(f"{RECORD} is that of run {run.id}")
    with ledger.database.write() as connection:
        alive = run.state not in ("failed", "cancelled")
        if alive and connection.execute(living(*run.identity)).one_or_none() is not None:
            raise ValueError("an equal run is in the ledger")
        _insert(connection, record)
    return True


def _insert(connection: Connection, record: _Record) -> None:
    (run,) = record.runs.runs
    for recipe_hash, settings in record.runs.recipes.items():
        insert_ignoring(connection, RecipeTable, {"hash": recipe_hash, "settings": settings})
    for environment, description in record.runs.environments.items():
        insert_ignoring(connection, Environment, {"hash": environment, "description": description})
    values: dict[str, Any] = {field.name: getattr(run, field.name) for field in fields(run) if field.name != "number"}
    tree = record.runs.settings.get(run.id, record.runs.recipes[run.recipe_hash])
    values |= {"lease_until": None, "folder": f"{RUNS_FOLDER}/{run.id}"}
    values["settings"] = own_settings(connection, run.recipe_hash, tree)
    if run.state in ("running", "waiting"):
        # It goes on where its last checkpoint was saved.
        values |= {"state": "waiting", "owner": None, "progress": None}
    connection.execute(insert(Run).values(**values))
    for event in record.runs.events:
        row = asdict(event)
        connection.execute(insert(Event).values(run_id=row.pop("run"), **row))
    points = {
        (name, step): value
        for name, (steps, figures) in record.curves.items()
        for step, value in zip(steps, figures, strict=True)
    }
    write_points(connection, find_run(connection, run.id).number, run.attempt, points)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"no {RECORD}: nothing says what its run was"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{RECORD}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return f"{error.found or error.must}" if isinstance(error, RecordError) else f"{error}"
