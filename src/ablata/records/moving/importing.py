"""Importing a study from one file. Runs that are there already, by identity, are shared and not doubled."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from ablata.base.errors import RecordError, listing
from ablata.base.files import draft_folder, inside
from ablata.records.home import RUNS_FOLDER
from ablata.records.ledger import Ledger
from ablata.records.loops import all_loops, find_loop, insert_loop
from ablata.records.metrics import write_points
from ablata.records.moving.archive import Archive, open_archive
from ablata.records.moving.exporting import RECORD, LoopFile, RunsFile, StudyFile
from ablata.records.moving.imported_values import check_loop_values, check_values
from ablata.records.moving.placing import Placing, is_unsettled, settle, settle_lost
from ablata.records.moving.rebuilding import record_text
from ablata.records.rows import LookRow, NewArm, RunRow
from ablata.records.run_folder.code import CODE, imported_loop_mark, imported_mark, imported_study_mark, is_imported
from ablata.records.runs import RUN_COLUMNS, find_run, insert_ignoring, living, own_settings
from ablata.records.studies import check_arms, differences, find_study, insert_arms, link, study_arms, study_cells
from ablata.records.studies import study_looks as looks_of
from ablata.records.tables import Arm, Environment, Event, LookTable, MetricTable, RecipeTable, Run, StudyTable
from ablata.records.values import encode

T = TypeVar("T")

RESULT = (
    *("state", "attempt", "owner", "launch", "scores", "cost", "progress"),
    *("error", "stop_reason", "started", "finished"),
)
"""The fields in which an ended run differs from one that waits."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: the study or loop, how many runs are new or were completed by it, how many were here."""

    study: str
    taken: int
    shared: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an imported run has its place here, and whether what the archive says about it was taken over."""

    run_id: str
    taken: bool


def import_study(ledger: Ledger, path: Path, check: Callable[[StudyFile], None] = lambda study: None) -> Imported:
    """Read a study that `export_study` wrote. Doing it again is harmless, and brings what is new since.

    A run equal to one that is here is shared: a completed one stays as it is, a waiting one takes the archive's result.
    Unfinished runs of the archive wait here, to be trained from the start.

    Args:
        ledger: where it goes.
        path: the file.
        check: called with the study before anything is written; raises where its specification cannot be judged by.

    Raises:
        RecordError: the file is absent, damaged, too large or of newer code; or a study of its name is here and
            differs. Nothing was imported.
    """
    with open_archive(path) as archive:
        if "loop.json" in archive.names:
            raise RecordError(
                "A study is imported from a file that holds one",
                found=f"{path} holds the loop {archive.about.get('loop')!r}", do=f"ablata loop import {path}",
            )  # fmt: skip
        study, runs = _parsed(archive, "study.json", StudyFile), _parsed(archive, "runs.json", RunsFile)
        check_values(archive, study, runs)
        check(study)
        name = study.study.name

        def insert_rows(connection: Connection, ids: dict[str, str]) -> Path | None:
            return imported_study_mark(ledger, name) if _take_study(connection, study, ids) else None

        places = _take(ledger, archive, runs, f"study {name}", insert_rows)
    taken = sum(place.taken for place in places.values())
    return Imported(name, taken, len(places) - taken)


def import_loop(ledger: Ledger, path: Path, check: Callable[[LoopFile], None] = lambda loop: None) -> Imported:
    """Read a research loop that `export_loop` wrote. It can be read here; it does not go on here.

    Args:
        ledger: where it goes; runs are shared as by `import_study`.
        path: the file.
        check: called with the loop before anything is written; raises where it cannot be shown.

    Raises:
        RecordError: the file is absent, damaged, too large or of newer code; or a loop of its name is here that did not
            come from such a file. Nothing was imported.
    """
    with open_archive(path) as archive:
        if "loop.json" not in archive.names:
            raise RecordError(
                "A loop is imported from a file that holds one", found=f"{path} holds a study",
                do=f"ablata study import {path}",
            )  # fmt: skip
        file, runs = _parsed(archive, "loop.json", LoopFile), _parsed(archive, "runs.json", RunsFile)
        check_loop_values(archive, file, runs)
        check(file)
        name = file.loop.name
        mark = imported_loop_mark(ledger, name)

        def insert_rows(connection: Connection, ids: dict[str, str]) -> Path | None:
            here = any(loop.name == name for loop in all_loops(connection))
            if here and (not mark.exists() or find_loop(connection, name).created != file.loop.created):
                raise RecordError(
                    "A loop's name must be its own", found=f"a loop {name!r} is in the ledger",
                    do=f"ablata loop rename {name} ANOTHER, then import again; nothing was imported",
                )  # fmt: skip
            rows = [(number, role, seed, ids[run]) for number, role, seed, run in file.runs]
            insert_loop(connection, file.loop, file.proposals, rows)
            return None if here else mark

        places = _take(ledger, archive, runs, f"loop {name}", insert_rows)
    taken = sum(place.taken for place in places.values())
    return Imported(name, taken, len(places) - taken)


def _take(
    ledger: Ledger,
    archive: Archive,
    runs: RunsFile,
    what: str,
    insert_rows: Callable[[Connection, dict[str, str]], Path | None],
) -> dict[str, _Place]:
    """Write rows and files, all or nothing; return where each run of the archive is now.

    Args:
        ledger, archive, runs: what is taken, and where it goes.
        what: the study or loop, for people.
        insert_rows: writes its rows, from where its runs are now; returns the mark to be set where it is new.
    """
    _check_room(ledger.home, archive)
    settle_lost(drafts := ledger.home / "import", ledger.database)
    with draft_folder(drafts, keep=is_unsettled) as draft:
        return _take_all(ledger, archive, runs, what, insert_rows, draft)


def _take_all(
    ledger: Ledger,
    archive: Archive,
    runs: RunsFile,
    what: str,
    insert_rows: Callable[[Connection, dict[str, str]], Path | None],
    draft: Path,
) -> dict[str, _Place]:
    try:
        placing, staged = Placing(draft), _staged(archive, {run.id for run in runs.runs}, draft)
        with ledger.database.write() as connection:
            _take_recipes(connection, runs)
            places: dict[str, _Place] = {}
            for run in runs.runs:
                parent = places[run.parent].run_id if run.parent in places else run.parent
                places[run.id] = _take_run(connection, archive, replace(run, parent=parent), runs)
            mark = insert_rows(connection, {run_id: place.run_id for run_id, place in places.items()})
            # Before the commit: from then on a worker may take a run, and must see where it came from.
            _mark(ledger, connection, placing, mark, places)
            _plan_files(ledger, connection, placing, staged, places)
            placing.place(connection, f"{what} from {archive.path.name}")
    except BaseException as error:
        if isinstance(error, IntegrityError | DataError | OverflowError | UnicodeError | RecursionError):
            raise archive.damaged(f"rows no ledger can hold: {error}") from error
        if isinstance(error, OSError):
            raise archive.damaged(f"{error.filename}: {error.strerror}") from error
        raise
    finally:
        # Where that fails too, the draft stays, for when the ledger is opened again.
        with suppress(OSError, SQLAlchemyError, RecordError):
            settle(draft, ledger.database)
    return places


def _parsed(archive: Archive, name: str, kind: type[T]) -> T:
    try:
        return TypeAdapter(kind).validate_python(archive.json(name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise archive.damaged(f"{name}: {where}: {first['msg']}") from error


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


def _mark(
    ledger: Ledger, connection: Connection, placing: Placing, mark: Path | None, places: dict[str, _Place]
) -> None:
    """Mark what came from elsewhere, before it is there: what it refers to runs only where the user says so."""
    if mark is not None:
        placing.add_text("", mark)
    for run_id, place in places.items():
        if place.taken:
            run = find_run(connection, place.run_id)
            placing.add_text(run_id, imported_mark(ledger.runs.folder(run)))
            placing.add_text(record_text(connection, run), ledger.runs.folder(run) / RECORD)


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


def _staged(archive: Archive, runs: set[str], draft: Path) -> dict[str, Path]:
    """Unpack the files of run folders into a draft, before the ledger is locked; return them by entry."""
    staged = {}
    for name in archive.names:
        parts = PurePosixPath(name).parts
        if len(parts) >= 3 and parts[0] == RUNS_FOLDER and parts[1] in runs:
            staged[name] = draft / "files" / name
            archive.extract(name, staged[name])
    return staged


def _plan_files(
    ledger: Ledger, connection: Connection, placing: Placing, staged: dict[str, Path], places: dict[str, _Place]
) -> None:
    """Plan the files of run folders: all of a run taken over, the missing ones of the same run.

    A run that was made here keeps its own code, or none: what an archive says is its code was never run here. What this
    ledger says of a run is not taken from an archive's file either.
    """
    folders = {run_id: ledger.runs.folder(find_run(connection, place.run_id)) for run_id, place in places.items()}
    imported = {run_id: is_imported(folder) or places[run_id].taken for run_id, folder in folders.items()}
    for name, file in staged.items():
        _, run_id, *rest = PurePosixPath(name).parts
        place, target = places[run_id], inside(folders[run_id], "/".join(rest))
        if rest == [RECORD] or (rest[0] == CODE and not imported[run_id]):
            continue
        if place.taken or (place.run_id == run_id and not target.exists()):
            placing.add(file, target)


def _differs(name: str, parts: Sequence[str]) -> RecordError:
    return RecordError(
        "A study is imported into one of the same name only if both are the same study",
        found=f"study {name!r} differs in {listing(parts)}",
        do="import into another ledger: set ABLATA_HOME to a new folder",
    )
