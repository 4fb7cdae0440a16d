"""Runs: enqueued once for each identity, listed, cancelled, put back."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from ablata.base.errors import RecordError
from ablata.base.files import inside
from ablata.records.database import ANOTHER_LAB, Database, looked_in
from ablata.records.home import RUNS_FOLDER
from ablata.records.rows import FOREIGN_CODE, NewRun, RunRow, RunState
from ablata.records.tables import Arm, Base, MetricTable, RecipeTable, Run, StudyRun, StudyTable
from ablata.records.values import clock, decode, encode

RUN_COLUMNS = tuple(getattr(Run, field.name) for field in fields(RunRow))
LETTERS = "23456789abcdefghjkmnpqrstvwxyz"
RUN_ID = re.compile(rf"(?<![A-Za-z0-9])[{LETTERS}]{{10}}(?![A-Za-z0-9])")
"""What may be a run's id in a text."""
"""Letters of run ids: none that is taken for another."""

_MOST_IDS = 500
"""Ids in one query; databases limit them."""


class Runs:
    """The runs of a ledger."""

    def __init__(self, database: Database, home: Path) -> None:
        self._database, self._home = database, home

    def enqueue(self, new: NewRun) -> RunRow:
        """Return the run of this identity, creating a waiting one if there is none.

        Failed and cancelled runs do not count: an equal one is created beside them. See `requeue` for the alternative.
        """
        with self._database.write() as connection:
            return insert_run(connection, new)

    def get(self, run_id: str) -> RunRow:
        """Return the run whose id is, or alone begins with, `run_id`.

        Raises:
            RecordError: no run, or more than one.
        """
        with self._database.read() as connection:
            return find_run(connection, run_id)

    def find(
        self,
        *,
        state: RunState | Sequence[RunState] | None = None,
        recipe: str | None = None,
        code: str | None = None,
        study: str | None = None,
        seed: int | None = None,
        limit: int | None = None,
    ) -> list[RunRow]:
        """Return the runs that pass every filter given, newest first, in one query.

        Args:
            state: one state or several.
            recipe: a recipe's name or hash.
            code: fingerprint of the code.
            study: a study's name; runs shared with other studies count.
            seed: the seed.
            limit: at most this many.
        """
        query = select(*RUN_COLUMNS).order_by(Run.number.desc())
        if state is not None:
            query = query.where(Run.state.in_([state] if isinstance(state, str) else state))
        if recipe is not None:
            query = query.where(or_(Run.recipe_name == recipe, Run.recipe_hash == recipe))
        if code is not None:
            query = query.where(Run.code == code)
        if study is not None:
            query = query.where(Run.id.in_(runs_of_study(study)))
        if seed is not None:
            query = query.where(Run.seed == seed)
        with self._database.read() as connection:
            return [RunRow(*row) for row in connection.execute(query.limit(limit))]

    def settings(self, run: RunRow) -> dict[str, Any]:
        """Return a run's own expanded settings, those that its recipe's hash leaves out included.

        Raises:
            RecordError: there is no such run.
        """
        with self._database.read() as connection:
            return run_settings(connection, run.id)

    def settings_of(self, runs: Sequence[RunRow]) -> dict[str, dict[str, Any]]:
        """Return the expanded settings of many runs by id, in a query for each few hundred."""
        found: dict[str, dict[str, Any]] = {}
        query = select(Run.id, func.coalesce(Run.settings, RecipeTable.settings)).join(RecipeTable)
        with self._database.read() as connection:
            for start in range(0, len(runs), _MOST_IDS):
                ids = [run.id for run in runs[start : start + _MOST_IDS]]
                found |= {row[0]: row[1] for row in connection.execute(query.where(Run.id.in_(ids)))}
        return found

    def place(self, run_id: str, settings: dict[str, Any]) -> None:
        """Give a run that neither runs nor has ended other settings of its recipe's hash: where things lie now."""
        with self._database.write() as connection:
            run = find_run(connection, run_id)
            change = update(Run).where(Run.id == run.id, Run.state.in_(("waiting", "failed", "cancelled")))
            connection.execute(change.values(settings=own_settings(connection, run.recipe_hash, settings)))

    def folder(self, run: RunRow) -> Path:
        """Return the run folder, absolute; it need not exist.

        Raises:
            UserError: the recorded path leaves the lab's home.
        """
        return inside(self._home, run.folder)

    def studies_of(self, run_id: str) -> list[str]:
        """Return the names of the studies that use a run."""
        query = (
            select(StudyTable.name).join(StudyRun).where(StudyRun.run_id == run_id).distinct().order_by(StudyTable.name)
        )
        with self._database.read() as connection:
            return list(connection.scalars(query))

    def cancel(self, run_id: str, *, study: str | None = None) -> bool:
        """Cancel a run that waits, unless an open arm of an open study still needs it.

        Args:
            run_id: the run's id.
            study: the study that no longer needs the run; its own need does not count.

        Returns:
            Whether the run was cancelled; False if it does not wait, or is still needed.
        """
        needed = needed_by_open_arms()
        if study is not None:
            needed = needed.where(StudyTable.name != study)
        with self._database.write() as connection:
            return bool(cancel_waiting(connection, Run.id == run_id, needed))

    def requeue(self, run_id: str) -> RunRow:
        """Set a failed or cancelled run back to waiting: same seed, same folder, to be resumed.

        Raises:
            RecordError: the run is in another state (a diverged run is final), or an equal run was made since.
        """
        with self._database.write() as connection:
            run = find_run(connection, run_id)
            if run.state not in ("failed", "cancelled"):
                raise RecordError(
                    "Only a failed or cancelled run can be put back",
                    found=f"run {run.id} is {run.state}",
                    do="choose another seed" if run.state in ("diverged", "completed") else "let it go on",
                )
            return _set_waiting(connection, run)

    def reopen(self, run_id: str) -> RunRow:
        """Set a program's or function's run that left no score back to waiting: the reason may be gone.

        Raises:
            RecordError: the run is in another state, or it is a training of ours, whose divergence is final.
        """
        with self._database.write() as connection:
            run = find_run(connection, run_id)
            if run.state != "diverged" or not run.code.startswith(FOREIGN_CODE):
                raise RecordError(
                    "Only a program's or function's run that failed can be run again",
                    found=f"run {run.id} is {run.state}",
                    do="ablata runs continue goes on from the weights of another",
                )
            return _set_waiting(connection, run)

    def reset(self, run_id: str) -> RunRow:
        """Set a waiting, failed or cancelled run back to waiting and forget its metrics, to be trained from the start.

        The caller empties the run folder first: a checkpoint left there would be resumed.

        Raises:
            RecordError: the run is in another state, or an equal run was made since.
        """
        with self._database.write() as connection:
            run = find_run(connection, run_id)
            if run.state not in ("waiting", "failed", "cancelled"):
                raise RecordError(
                    "Only a waiting, failed or cancelled run can be started anew",
                    found=f"run {run.id} is {run.state}",
                    do="choose another seed",
                )
            connection.execute(delete(MetricTable).where(MetricTable.run == run.number))
            connection.execute(update(Run).where(Run.id == run.id).values(launch=None))
            return _set_waiting(connection, run)


def insert_ignoring(connection: Connection, table: type[Base], values: dict[str, Any]) -> None:
    """Insert a row unless one with an equal unique key is there."""
    # Each dialect takes 40 ms to load: only the one that is used is.
    dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
    connection.execute(dialect.insert(table).values(**values).on_conflict_do_nothing())


def own_settings(connection: Connection, recipe_hash: str, settings: dict[str, Any]) -> dict[str, Any] | None:
    """Record the settings of a hash if there are none yet; return what a run or an arm of these has to keep itself.

    Returns:
        None where they are those recorded for the hash; they may differ in what it leaves out (places, threads).
    """
    insert_ignoring(connection, RecipeTable, {"hash": recipe_hash, "settings": settings})
    recorded = connection.scalar(select(RecipeTable.settings).where(RecipeTable.hash == recipe_hash))
    return None if recorded == decode(encode(settings)) else settings


def insert_run(connection: Connection, new: NewRun) -> RunRow:
    """Return the living run of this identity, creating a waiting one if there is none."""
    settings = own_settings(connection, new.recipe_hash, new.recipe)
    while True:
        run_id = new_run_id()
        insert_ignoring(
            connection,
            Run,
            {
                "id": run_id,
                **{field.name: getattr(new, field.name) for field in fields(new) if field.name != "recipe"},
                "settings": settings,
                "state": "waiting",
                "attempt": 0,
                "folder": f"{RUNS_FOLDER}/{run_id}",
                "created": clock(),
            },
        )
        # Locked, so that it is not removed before it is linked.
        row = connection.execute(living(*new.identity).with_for_update(read=True, key_share=True)).one_or_none()
        # None: the equal run failed or went between the two statements, or the id was taken. All is over next time.
        if row is not None:
            return _as_asked(connection, RunRow(*row), new.parent, settings)


def _as_asked(connection: Connection, run: RunRow, parent: str | None, settings: dict[str, Any] | None) -> RunRow:
    """Let a waiting run find its data where they lie now, and start from the parent that is alive now."""
    if run.state != "waiting":
        return run
    change = update(Run).where(Run.id == run.id, Run.state == "waiting").values(parent=parent, settings=settings)
    connection.execute(change)
    return find_run(connection, run.id)


def living(recipe_hash: str, code: str, data: str, seed: int, environment: str) -> Select[Any]:
    """Select the one run of an identity that is neither failed nor cancelled."""
    return select(*RUN_COLUMNS).where(
        Run.recipe_hash == recipe_hash,
        Run.code == code,
        Run.data == data,
        Run.seed == seed,
        Run.environment == environment,
        Run.state.not_in(("failed", "cancelled")),
    )


def new_run_id() -> str:
    """Return a fresh id: 10 letters, 49 bits, so that runs of different ledgers can meet in one."""
    return "".join(secrets.choice(LETTERS) for _ in range(10))


def find_run(connection: Connection, run_id: str) -> RunRow:
    """Return the run whose id is, or alone begins with, `run_id`; RecordError if there is not exactly one."""
    exact = connection.execute(select(*RUN_COLUMNS).where(Run.id == run_id)).one_or_none()
    if exact is not None:
        return RunRow(*exact)
    query = select(*RUN_COLUMNS).where(Run.id.startswith(run_id, autoescape=True)).order_by(Run.id).limit(3)
    rows = [RunRow(*row) for row in connection.execute(query)] if run_id else []
    if len(rows) == 1:
        return rows[0]
    raise RecordError(
        "A run is named by its id, or by a beginning that no other run shares",
        found=f"{run_id!r}, which fits {', '.join(row.id for row in rows) + ', ...' if rows else 'no run'} "
        f"of {looked_in(connection)}",
        do="see `ablata runs list`" if rows else f"see `ablata runs list`, {ANOTHER_LAB}",
    )


def run_settings(connection: Connection, run_id: str) -> dict[str, Any]:
    """Return a run's own expanded settings; RecordError if the ledger has no such run."""
    query = select(func.coalesce(Run.settings, RecipeTable.settings)).join(RecipeTable)
    settings: dict[str, Any] | None = connection.scalar(query.where(Run.id == run_id))
    if settings is None:
        raise RecordError("A run must be in the ledger", found=f"no run {run_id}", do="see `ablata runs list`")
    return settings


def runs_of_study(study: str) -> Select[Any]:
    """Select the ids of the runs that fill a study's cells."""
    return select(StudyRun.run_id).join(StudyTable, StudyTable.id == StudyRun.study_id).where(StudyTable.name == study)


def with_parents(cells: Select[Any]) -> Select[Any]:
    """Select the ids among `cells` (one column of run ids) and of all the runs that those start from."""
    (column,) = cells.selected_columns
    needed = cells.with_only_columns(column.label("id")).cte(recursive=True)
    child = aliased(Run)
    older = select(child.parent).join(needed, child.id == needed.c.id).where(child.parent.is_not(None))
    return select(needed.union(older).c.id)


def needed_by_open_arms() -> Select[Any]:
    """Select the cells that an open arm of an open study needs; `with_parents` adds what their runs start from."""
    query = (
        select(StudyRun.run_id)
        .join(Arm, Arm.id == StudyRun.arm_id)
        .join(StudyTable, StudyTable.id == StudyRun.study_id)
    )
    return query.where(Arm.state == "open", StudyTable.state == "open")


def cancel_waiting(connection: Connection, which: ColumnElement[bool], needed: Select[Any]) -> int:
    """Cancel the waiting runs among `which` that are not among `needed`; return how many."""
    # Two statements: after one that begins with WITH, SQLite's driver does not say how many rows were changed.
    spare = select(Run.id).where(which, Run.state == "waiting", Run.id.not_in(with_parents(needed)))
    change = update(Run).where(Run.id.in_(list(connection.scalars(spare))), Run.state == "waiting")
    return connection.execute(change.values(state="cancelled", finished=clock())).rowcount


def _set_waiting(connection: Connection, run: RunRow) -> RunRow:
    cleared = dict.fromkeys(
        ("owner", "lease_until", "heartbeat", "scores", "progress", "error", "stop_reason", "finished")
    )
    try:
        with connection.begin_nested():
            connection.execute(update(Run).where(Run.id == run.id).values(state="waiting", **cleared))
    except IntegrityError as error:
        other: Row[Any] = connection.execute(living(*run.identity)).one()
        raise RecordError(
            "Only one run of an identity can be alive",
            found=f"run {other.id} is equal to run {run.id} and is {other.state}",
            do="go on with that one",
        ) from error
    return find_run(connection, run.id)
