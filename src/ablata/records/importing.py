"""Importing a study from one file. Runs that are there already, by identity, are shared and not doubled."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError

from ablata.base.errors import RecordError, listing
from ablata.base.files import inside
from ablata.records.archive import Archive, open_archive
from ablata.records.code import CODE, is_imported, mark_imported, mark_imported_study
from ablata.records.exporting import RunsFile, StudyFile
from ablata.records.home import RUNS_FOLDER
from ablata.records.ledger import Ledger
from ablata.records.metrics import write_points
from ablata.records.rows import LookRow, NewArm, RunRow
from ablata.records.runs import RUN_COLUMNS, find_run, insert_ignoring, living, own_settings
from ablata.records.studies import check_arms, differences, find_study, insert_arms, link, study_arms, study_cells
from ablata.records.studies import study_looks as looks_of
from ablata.records.tables import Arm, Environment, Event, LookTable, MetricTable, RecipeTable, Run, StudyTable
from ablata.records.values import encode

T = TypeVar("T")

RUN_ID = re.compile(r"[0-9a-z]{4,32}")
RESULT = (
    *("state", "attempt", "owner", "launch", "scores", "cost", "progress"),
    *("error", "stop_reason", "started", "finished"),
)
"""The fields in which an ended run differs from one that waits."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: the study, how many runs are new here or were completed by it, and how many were here."""

    study: str
    taken: int
    shared: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an imported run has its place here, and whether what the archive says about it was taken over."""

    run_id: str
    taken: bool


def import_study(ledger: Ledger, path: Path) -> Imported:
    """Read a study that `export_study` wrote. Doing it again is harmless, and brings what is new since.

    A run equal to one that is here is shared: a completed one stays as it is, a waiting one takes the archive's result.
    Unfinished runs of the archive wait here, to be trained from the start.

    Raises:
        RecordError: the file is absent, damaged, too large or of newer code; or a study of its name is here and
            differs. Nothing was imported.
    """
    with open_archive(path) as archive:
        study, runs = _parsed(archive, "study.json", StudyFile), _parsed(archive, "runs.json", RunsFile)
        _check(archive, study, runs)
        _check_room(ledger.home, archive)
        try:
            with ledger.database.write() as connection:
                _take_recipes(connection, runs)
                places: dict[str, _Place] = {}
                for run in runs.runs:
                    parent = places[run.parent].run_id if run.parent in places else run.parent
                    places[run.id] = _take_run(connection, archive, replace(run, parent=parent), runs)
                new = _take_study(connection, study, {run_id: place.run_id for run_id, place in places.items()})
                # Before the commit: from then on a worker may take a run, and must see where it came from.
                _mark(ledger, connection, study.study.name if new else None, places)
        except (IntegrityError, DataError, OverflowError) as error:
            raise archive.damaged(f"rows no ledger can hold: {error}") from error
        # After the commit, so that a large file keeps nobody from the ledger; a second import completes a broken one.
        _take_files(ledger, archive, places)
    taken = sum(place.taken for place in places.values())
    return Imported(study.study.name, taken, len(places) - taken)


def _parsed(archive: Archive, name: str, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_python(archive.json(name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise archive.damaged(f"{name}: {where}: {first['msg']}") from error


def _check(archive: Archive, study: StudyFile, runs: RunsFile) -> None:
    """Raise unless the rows refer to each other and run ids can be folder names."""
    ids = [run.id for run in runs.runs]
    if wrong := [run_id for run_id in ids if not RUN_ID.fullmatch(run_id)]:
        raise archive.damaged(f"run ids {wrong[:3]}")
    arms = {arm.name for arm in study.arms}
    loose = [cell for cell in study.cells if cell[0] not in arms or cell[2] not in set(ids)]
    loose_recipes = {run.recipe_hash for run in runs.runs} - set(runs.recipes)
    strangers = {event.run for event in runs.events} - set(ids)
    if len(set(ids)) < len(ids) or loose or loose_recipes or strangers:
        raise archive.damaged(f"rows that do not fit: {loose[:3]} {sorted(loose_recipes)[:3]} {list(strangers)[:3]}")


def _check_room(home: Path, archive: Archive) -> None:
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    needed, free = sum(entry["bytes"] for entry in archive.about["entries"].values()), shutil.disk_usage(there).free
    if needed > free:
        raise archive.damaged(f"unpacks to {needed:,} bytes, and {home} has {free:,} free")


def _take_recipes(connection: Connection, runs: RunsFile) -> None:
    for recipe_hash, settings in runs.recipes.items():
        # Settings of one hash may differ in places and threads; what is to be trained here takes those of this ledger.
        insert_ignoring(connection, RecipeTable, {"hash": recipe_hash, "settings": settings})
    for environment, description in runs.environments.items():
        insert_ignoring(connection, Environment, {"hash": environment, "description": description})


def _take_run(connection: Connection, archive: Archive, run: RunRow, runs: RunsFile) -> _Place:
    alive = run.state not in ("failed", "cancelled")
    query = living(*run.identity).with_for_update()
    row = connection.execute(query).one_or_none() if alive else None
    if row is None:
        row = connection.execute(select(*RUN_COLUMNS).where(Run.id == run.id).with_for_update()).one_or_none()
    here = RunRow(*row) if row else None
    if here and here.identity != run.identity:
        raise archive.damaged(f"run {run.id} is another run here")
    ended = run.state in ("completed", "diverged")
    if here and not (ended and here.state in ("waiting", "failed", "cancelled")):
        return _Place(here.id, taken=False)
    if here is None:
        values = {field.name: getattr(run, field.name) for field in fields(run) if field.name != "number"}
        tree = runs.settings.get(run.id, runs.recipes[run.recipe_hash])
        own = {"settings": own_settings(connection, run.recipe_hash, tree)}
        unfinished: dict[str, Any] = {"state": "waiting", "attempt": 0}
        unfinished |= dict.fromkeys(("owner", "launch", "progress", "started"))
        values |= {"lease_until": None, "folder": f"{RUNS_FOLDER}/{run.id}"} | (unfinished if _is_open(run) else own)
        connection.execute(insert(Run).values(**values))
    else:
        connection.execute(update(Run).where(Run.id == here.id).values(**{name: getattr(run, name) for name in RESULT}))
    place = _Place(here.id if here else run.id, taken=True)
    if not _is_open(run):
        _take_curves(connection, archive, run, place.run_id)
        rows = [{**asdict(event), "run_id": place.run_id} for event in runs.events if event.run == run.id]
        for event in rows:
            del event["run"]
            connection.execute(insert(Event).values(**event))
    return place


def _is_open(run: RunRow) -> bool:
    return run.state in ("waiting", "running")


def _take_curves(connection: Connection, archive: Archive, run: RunRow, run_id: str) -> None:
    name = f"metrics/{run.id}.json"
    if name not in archive.names:
        return
    try:
        curves: dict[str, tuple[list[int], list[float]]] = _CURVES.validate_python(archive.json(name))
        points = {
            (metric, step): value
            for metric, (steps, values) in curves.items()
            for step, value in zip(steps, values, strict=True)
        }
    except ValueError as error:
        raise archive.damaged(f"{name} holds no curves") from error
    number = find_run(connection, run_id).number
    connection.execute(delete(MetricTable).where(MetricTable.run == number))
    write_points(connection, number, run.attempt, points)


_CURVES: TypeAdapter[dict[str, tuple[list[int], list[float]]]] = TypeAdapter(dict[str, tuple[list[int], list[float]]])


def _mark(ledger: Ledger, connection: Connection, study: str | None, places: dict[str, _Place]) -> None:
    """Mark what came from elsewhere: what it refers to runs only where the user says so."""
    if study is not None:
        mark_imported_study(ledger, study)
    for run_id, place in places.items():
        if place.taken:
            mark_imported(ledger.runs.folder(find_run(connection, place.run_id)), run_id)


def _take_study(connection: Connection, file: StudyFile, run_ids: dict[str, str]) -> bool:
    """Write a study, or complete the one that is here; return whether it is new."""
    study, name = file.study, file.study.name
    arms = [NewArm(**{field.name: getattr(arm, field.name) for field in fields(NewArm)}) for arm in file.arms]
    check_arms(arms)
    values: dict[str, Any] = {"question": study.question, "spec": study.spec, "created": study.created}
    insert_ignoring(connection, StudyTable, {"name": name, "state": "open", **values})
    present = study_arms(connection, name)
    if present:
        if different := differences(find_study(connection, name), present, study.question, study.spec, arms):
            raise _differs(name, different)
    else:
        insert_arms(connection, name, arms)
        study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
        connection.execute(update(Arm).where(Arm.study_id == study_id).values(settings=None))
    _take_cells(connection, file, run_ids)
    _take_verdicts(connection, file)
    _take_looks(connection, name, file.looks)
    if study.state == "finished":
        change = update(StudyTable).where(StudyTable.name == name, StudyTable.state == "open")
        connection.execute(change.values(state="finished", finished=study.finished))
    return not present


def _take_cells(connection: Connection, file: StudyFile, run_ids: dict[str, str]) -> None:
    here = {(cell.arm, cell.seed): cell.run for cell in study_cells(connection, file.study.name)}
    for arm, seed, run_id in file.cells:
        present, run = here.get((arm, seed)), find_run(connection, run_ids[run_id])
        if present is None or (present.identity == run.identity and present.state in ("failed", "cancelled")):
            link(connection, file.study.name, arm, seed, run.id)
        elif present.identity != run.identity:
            raise _differs(file.study.name, [f"the run of arm {arm!r}, seed {seed}"])


def _take_verdicts(connection: Connection, file: StudyFile) -> None:
    for here, arm in zip(study_arms(connection, file.study.name), file.arms, strict=True):
        if arm.state == "open":
            continue
        if here.state == "stopped" and here.verdict != arm.verdict:
            raise _differs(file.study.name, [f"the verdict of arm {arm.name!r}"])
        study_id = select(StudyTable.id).where(StudyTable.name == file.study.name).scalar_subquery()
        change = update(Arm).where(Arm.study_id == study_id, Arm.name == arm.name, Arm.state == "open")
        connection.execute(change.values(state="stopped", verdict=arm.verdict, reason=arm.reason))


def _take_looks(connection: Connection, name: str, looks: Sequence[LookRow]) -> None:
    known = {(look.seeds, encode(look.result)) for look in looks_of(connection, name)}
    study_id = select(StudyTable.id).where(StudyTable.name == name).scalar_subquery()
    for look in looks:
        if (look.seeds, encode(look.result)) not in known:
            connection.execute(insert(LookTable).values(study_id=study_id, **asdict(look)))


def _take_files(ledger: Ledger, archive: Archive, places: dict[str, _Place]) -> None:
    """Write the files of run folders: all of a run taken over, the missing ones of the same run.

    A run that was made here keeps its own code, or none: what an archive says is its code was never run here.
    """
    for name in archive.names:
        parts = PurePosixPath(name).parts
        if len(parts) < 3 or parts[0] != RUNS_FOLDER or parts[1] not in places:
            continue
        run_id, place = parts[1], places[parts[1]]
        folder = ledger.runs.folder(ledger.runs.get(place.run_id))
        target = inside(folder, "/".join(parts[2:]))
        if parts[2] == CODE and not is_imported(folder):
            continue
        if place.taken or (place.run_id == run_id and not target.exists()):
            archive.extract(name, target)


def _differs(name: str, parts: Sequence[str]) -> RecordError:
    return RecordError(
        "A study is imported into one of the same name only if both are the same study",
        found=f"study {name!r} differs in {listing(parts)}",
        do="import into another ledger: set ABLATA_HOME to a new folder",
    )
