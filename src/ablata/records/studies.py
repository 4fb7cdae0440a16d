"""Studies: a question and its arms, fixed at creation; the runs that fill its cells; the looks taken at it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Select, func, insert, select, update

from ablata.base.errors import RecordError, choices, listing, nearest
from ablata.records.database import ANOTHER_LAB, Database, looked_in
from ablata.records.rows import ArmRow, Cell, LookRow, NewArm, NewRun, RunRow, StudyRow
from ablata.records.runs import (
    RUN_COLUMNS,
    cancel_waiting,
    find_run,
    insert_ignoring,
    insert_run,
    needed_by_open_arms,
    own_settings,
    runs_of_study,
    with_parents,
)
from ablata.records.tables import Arm, LookTable, RecipeTable, Run, StudyRun, StudyTable
from ablata.records.values import clock, decode, encode

STUDY_COLUMNS = tuple(getattr(StudyTable, field.name) for field in fields(StudyRow))
ARM_COLUMNS = tuple(getattr(Arm, field.name) for field in fields(ArmRow) if field.name not in ("study", "recipe"))


class Studies:
    """The studies of a ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str, question: str, spec: dict[str, Any], arms: Sequence[NewArm]) -> StudyRow:
        """Create a study, or return the one of this name if it is the same in every part.

        Args:
            name: unique in the ledger.
            question: what the study asks, for people.
            spec: margin, metric, protocol, split, rule and whatever else is fixed before launch; JSON-safe.
            arms: in the order they are shown; exactly one is the control.

        Raises:
            RecordError: a study of this name exists and differs, or not exactly one arm is the control, or two arms
                share a name.
        """
        check_name(name)
        check_arms(arms)
        with self._database.write() as connection:
            insert_ignoring(
                connection,
                StudyTable,
                {"name": name, "question": question, "spec": spec, "state": "open", "created": clock()},
            )
            study = find_study(connection, name)
            present = study_arms(connection, name)
            if not present:
                insert_arms(connection, name, arms)
            elif difference := differences(study, present, question, spec, arms):
                raise RecordError(
                    "A study is fixed before its first run: the same name must mean the same study",
                    found=f"study {name!r} differs in {listing(difference)}",
                    do="give the new study another name",
                )
            for arm in arms if present else ():
                # Where its data lie is no part of what an arm asks; the runs that come find them there.
                change = update(Arm).where(Arm.id == find_arm(connection, name, arm.name))
                connection.execute(change.values(settings=own_settings(connection, arm.recipe_hash, arm.recipe)))
            return study

    def get(self, name: str) -> StudyRow:
        """Return a study.

        Raises:
            RecordError: there is none of this name.
        """
        with self._database.read() as connection:
            return find_study(connection, name)

    def all(self) -> list[StudyRow]:
        """Return all studies, newest first."""
        with self._database.read() as connection:
            return [StudyRow(*row) for row in connection.execute(select(*STUDY_COLUMNS).order_by(StudyTable.id.desc()))]

    def of_control(self, recipe_hash: str) -> list[StudyRow]:
        """Return the studies whose control has settings of this hash, oldest first."""
        query = select(*STUDY_COLUMNS).join(Arm, Arm.study_id == StudyTable.id)
        query = query.where(Arm.is_control, Arm.recipe_hash == recipe_hash).order_by(StudyTable.id)
        with self._database.read() as connection:
            return [StudyRow(*row) for row in connection.execute(query)]

    def arms(self, name: str) -> list[ArmRow]:
        """Return a study's arms in their order.

        Raises:
            RecordError: there is no study of this name.
        """
        with self._database.read() as connection:
            find_study(connection, name)
            return study_arms(connection, name)

    def cells(self, name: str) -> list[Cell]:
        """Return the runs of a study, by arm and seed, in one query."""
        with self._database.read() as connection:
            return study_cells(connection, name)

    def uses(self, runs: Sequence[RunRow]) -> dict[str, list[tuple[str, str]]]:
        """Return the studies that use some runs: by run id, names of study and arm, the oldest study first."""
        wanted = {run.id for run in runs}
        query = select(StudyTable.id, StudyRun.run_id, StudyTable.name, Arm.name).select_from(StudyRun).distinct()
        query = query.join(Arm, Arm.id == StudyRun.arm_id).join(StudyTable, StudyTable.id == StudyRun.study_id)
        found: dict[str, list[tuple[str, str]]] = {}
        with self._database.read() as connection:
            for _, run, study, arm in connection.execute(query.order_by(StudyTable.id)):
                if run in wanted:
                    found.setdefault(run, []).append((study, arm))
        return found

    def ended_count(self, name: str) -> int:
        """Return how many cells of a study have a run that completed or diverged; cheap, to be asked often."""
        query = select(func.count()).select_from(StudyRun).join(StudyTable, StudyTable.id == StudyRun.study_id)
        query = query.join(Run, Run.id == StudyRun.run_id)
        query = query.where(StudyTable.name == name, Run.state.in_(("completed", "diverged")))
        with self._database.read() as connection:
            return connection.scalar(query) or 0

    def enqueue(self, name: str, arm: str, new: NewRun) -> RunRow:
        """Fill the cell of an arm and `new.seed` with the run of this identity, creating a waiting one if need be.

        A run that another study made is shared: it may be completed already.

        Raises:
            RecordError: the study or the arm does not exist.
        """
        with self._database.write() as connection:
            run = insert_run(connection, new)
            link(connection, name, arm, new.seed, run.id)
            return run

    def parents(self, name: str) -> list[RunRow]:
        """Return the runs that a study's cells start from, and what those start from, without the cells' own."""
        with self._database.read() as connection:
            return study_parents(connection, name)

    def attach(self, name: str, arm: str, seed: int, run_id: str) -> None:
        """Fill a cell with a run there is, in place of the one that filled it before.

        Raises:
            RecordError: the study, the arm or the run does not exist.
        """
        with self._database.write() as connection:
            link(connection, name, arm, seed, find_run(connection, run_id).id)

    def stop_arm(self, name: str, arm: str, verdict: str, reason: str) -> int:
        """Stop an arm with its verdict, and cancel its waiting runs that no open arm needs.

        Returns:
            How many runs were cancelled.

        Raises:
            RecordError: the study or the arm does not exist.
        """
        with self._database.write() as connection:
            arm_id = find_arm(connection, name, arm)
            stopped = {"state": "stopped", "verdict": verdict, "reason": reason}
            connection.execute(update(Arm).where(Arm.id == arm_id).values(**stopped))
            runs = Run.id.in_(with_parents(select(StudyRun.run_id).where(StudyRun.arm_id == arm_id)))
            return cancel_waiting(connection, runs, needed_by_open_arms())

    def finish(self, name: str) -> int:
        """Close a study, and cancel its waiting runs that no other open study needs.

        Returns:
            How many runs were cancelled.

        Raises:
            RecordError: there is no study of this name.
        """
        with self._database.write() as connection:
            find_study(connection, name)
            change = update(StudyTable).where(StudyTable.name == name, StudyTable.state == "open")
            connection.execute(change.values(state="finished", finished=clock()))
            study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
            runs = Run.id.in_(with_parents(select(StudyRun.run_id).where(StudyRun.study_id == study_id)))
            return cancel_waiting(connection, runs, needed_by_open_arms())

    def extend(self, name: str, spec: dict[str, Any], arms: Sequence[str], new: Sequence[NewArm] = ()) -> None:
        """Open a finished study again, with a larger plan.

        Args:
            name: the study.
            spec: its specification with the larger plan.
            arms: those that go on.
            new: arms that it has not had yet.

        Raises:
            RecordError: there is no such study, it is not finished, or a new arm's name is taken.
        """
        with self._database.write() as connection:
            study = find_study(connection, name)
            opened = update(StudyTable).where(StudyTable.name == name, StudyTable.state == "finished")
            if connection.execute(opened.values(state="open", finished=None, spec=spec)).rowcount != 1:
                raise RecordError(
                    "A study must have ended to be extended",
                    found=f"study {name!r} is {study.state}",
                    do=f"ablata study run {name} goes on with it",
                )
            present = study_arms(connection, name)
            check_arms([*present, *new])
            insert_arms(connection, name, new, first=len(present))
            going_on = Arm.id.in_([find_arm(connection, name, arm) for arm in arms])
            connection.execute(update(Arm).where(going_on).values(state="open", verdict=None, reason=None))

    def reopen(self, name: str, arm: str) -> None:
        """Open a study and one of its arms, whose runs are not all ended any more.

        Raises:
            RecordError: the study or the arm does not exist.
        """
        with self._database.write() as connection:
            arm_id = find_arm(connection, name, arm)
            connection.execute(update(Arm).where(Arm.id == arm_id).values(state="open", verdict=None, reason=None))
            opened = update(StudyTable).where(StudyTable.name == name)
            connection.execute(opened.values(state="open", finished=None))

    def add_look(self, name: str, seeds: int, result: dict[str, Any]) -> LookRow:
        """Record a look at whole seed rows; a look equal to the last one is not recorded again.

        Args:
            name: the study.
            seeds: how many seed rows it saw.
            result: contrasts and verdicts, JSON-safe.

        Raises:
            RecordError: there is no study of this name.
        """
        with self._database.write() as connection:
            find_study(connection, name)
            last = connection.execute(_looks(name).order_by(LookTable.id.desc()).limit(1)).one_or_none()
            if last is None or (last.seeds, encode(last.result)) != (seeds, encode(result)):
                study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
                row = {"study_id": study_id, "seeds": seeds, "result": result, "time": clock()}
                connection.execute(insert(LookTable).values(**row))
                last = connection.execute(_looks(name).order_by(LookTable.id.desc()).limit(1)).one()
            return LookRow(*last)

    def looks(self, name: str) -> list[LookRow]:
        """Return the looks at a study in the order they were taken."""
        with self._database.read() as connection:
            return study_looks(connection, name)


NAME = re.compile(r"[\w][\w.+-]{0,63}")
"""Names of studies and arms: they become names of files."""


def check_name(name: str) -> None:
    """Raise RecordError unless a study's or an arm's name can be a file's."""
    if not NAME.fullmatch(name):
        raise RecordError(
            "Names of studies and arms are made of letters, digits and _ - . +",
            found=repr(name),
            do="leave out spaces and other signs",
        )


def check_arms(arms: Sequence[NewArm | ArmRow]) -> None:
    """Raise RecordError unless the names differ and exactly one arm is the control."""
    for arm in arms:
        check_name(arm.name)
    controls = [arm.name for arm in arms if arm.is_control]
    if len(controls) != 1:
        raise RecordError(
            "Exactly one arm must be the control",
            found=f"controls: {listing(controls)}",
            do="mark one arm as the control",
        )
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise RecordError("Arms must have different names", found=listing(names), do="rename one")


_LATER_KEYS = {"rule_version": 1}
"""What a specification means that was written before it had these keys."""


def differences(
    study: StudyRow, present: Sequence[ArmRow], question: str, spec: dict[str, Any], arms: Sequence[NewArm]
) -> list[str]:
    """Return what differs between a study in the ledger and one that is to have its name; nothing if they are equal."""
    found = ["its question"] if study.question != question else []
    spec = decode(encode(spec))
    known, wanted = _LATER_KEYS | study.spec, _LATER_KEYS | spec
    found += [f"spec.{key}" for key in sorted({*known, *wanted}) if known.get(key) != wanted.get(key)]
    if [arm.name for arm in present] != [arm.name for arm in arms]:
        return [*found, "the names of its arms"]
    for old, new in zip(present, arms, strict=True):
        # How a change is written is left out: it follows from the recipes.
        same = old.recipe_hash == new.recipe_hash and old.is_control == new.is_control
        found += [] if same else [f"arm {new.name!r}"]
    return found


def insert_arms(connection: Connection, name: str, arms: Sequence[NewArm], *, first: int = 0) -> None:
    """Write arms of a study, the first of them at a position."""
    study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
    for position, arm in enumerate(arms, start=first):
        settings = own_settings(connection, arm.recipe_hash, arm.recipe)
        connection.execute(
            insert(Arm).values(
                study_id=study_id,
                position=position,
                name=arm.name,
                is_control=arm.is_control,
                change=list(arm.change),
                recipe_name=arm.recipe_name,
                recipe_hash=arm.recipe_hash,
                settings=settings,
                state="open",
            )
        )


def find_study(connection: Connection, name: str) -> StudyRow:
    """Return the study of this name; RecordError if there is none."""
    row = connection.execute(select(*STUDY_COLUMNS).where(StudyTable.name == name)).one_or_none()
    if row is not None:
        return StudyRow(*row)
    close = nearest(name, connection.scalars(select(StudyTable.name)))
    raise RecordError(
        "A study must be in the ledger",
        found=f"no study {name!r} in {looked_in(connection)}" + (f"; there is {close!r}" if close else ""),
        do=f"see `ablata study list`, {ANOTHER_LAB}",
    )


def find_arm(connection: Connection, name: str, arm: str) -> int:
    """Return the key of a study's arm; RecordError if there is none."""
    find_study(connection, name)
    query = select(Arm.name, Arm.id).join(StudyTable, StudyTable.id == Arm.study_id).where(StudyTable.name == name)
    arms = {row.name: row.id for row in connection.execute(query.order_by(Arm.position))}
    if arm not in arms:
        raise RecordError(
            f"An arm must belong to study {name!r}", found=f"{arm!r}", do=f"choose one of {choices(arms, arm)}"
        )
    return int(arms[arm])


def study_arms(connection: Connection, name: str) -> list[ArmRow]:
    """Return a study's arms in their order."""
    settings = func.coalesce(Arm.settings, RecipeTable.settings)
    query = select(StudyTable.name, *ARM_COLUMNS, settings).select_from(Arm)
    query = query.join(StudyTable, StudyTable.id == Arm.study_id).join(RecipeTable, RecipeTable.hash == Arm.recipe_hash)
    return [ArmRow(*row) for row in connection.execute(query.where(StudyTable.name == name).order_by(Arm.position))]


def study_cells(connection: Connection, name: str) -> list[Cell]:
    """Return the runs of a study, by arm and seed."""
    query = select(Arm.name, StudyRun.seed, *RUN_COLUMNS).select_from(StudyRun)
    query = query.join(Arm, Arm.id == StudyRun.arm_id).join(StudyTable, StudyTable.id == StudyRun.study_id)
    query = query.join(Run, Run.id == StudyRun.run_id).where(StudyTable.name == name)
    rows = connection.execute(query.order_by(Arm.position, StudyRun.seed))
    return [Cell(arm, seed, RunRow(*run)) for arm, seed, *run in rows]


def study_parents(connection: Connection, name: str) -> list[RunRow]:
    """Return the runs that a study's cells start from, directly or not, without the cells' own; oldest first."""
    cells = runs_of_study(name)
    query = select(*RUN_COLUMNS).where(Run.id.in_(with_parents(cells)), Run.id.not_in(cells))
    return [RunRow(*row) for row in connection.execute(query.order_by(Run.number))]


def study_looks(connection: Connection, name: str) -> list[LookRow]:
    """Return the looks at a study in the order they were taken."""
    return [LookRow(*row) for row in connection.execute(_looks(name).order_by(LookTable.id))]


def link(connection: Connection, name: str, arm: str, seed: int, run_id: str) -> None:
    """Fill the cell of an arm and a seed."""
    arm_id = find_arm(connection, name, arm)
    study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
    insert_ignoring(connection, StudyRun, {"arm_id": arm_id, "seed": seed, "study_id": study_id, "run_id": run_id})
    connection.execute(update(StudyRun).where(StudyRun.arm_id == arm_id, StudyRun.seed == seed).values(run_id=run_id))


def _looks(name: str) -> Select[Any]:
    query = select(LookTable.seeds, LookTable.result, LookTable.time).join(
        StudyTable, StudyTable.id == LookTable.study_id
    )
    return query.where(StudyTable.name == name)
