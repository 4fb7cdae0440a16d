"""Removal: of runs with all that ledger and folders hold of them, of studies, of checkpoints no longer wanted.

A run goes in one transaction, in which its folder is moved aside and then its rows are deleted; `aside` says what a
kill in the middle comes to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Text, delete, func, select, type_coerce, update

from ablata.base.errors import RecordError, listing
from ablata.base.files import inside
from ablata.records.aside import ASIDE, settle
from ablata.records.home import IMPORTED_STUDIES
from ablata.records.ledger import Ledger
from ablata.records.loops import delete_proposals, find_loop, loop_runs, loops_of_runs
from ablata.records.rows import RunRow, is_held
from ablata.records.run_folder.code import imported_loop_mark
from ablata.records.runs import RUN_ID
from ablata.records.studies import check_name, find_study, study_cells, study_parents
from ablata.records.tables import (
    Arm,
    Event,
    LookTable,
    LoopTable,
    MetricTable,
    RecipeTable,
    Run,
    StoredFile,
    StudyRun,
    StudyTable,
)

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Removal:
    """What a removal takes, and what it leaves.

    Args:
        runs: the runs that go, the newest first.
        kept: runs that were meant too but are needed, each with the reason.
        bytes: what the folders of the runs hold, by run id.
        study: the study that goes; None: none.
        loop: the research loop that goes; None: none.
    """

    runs: tuple[RunRow, ...]
    kept: tuple[tuple[RunRow, str], ...]
    bytes: dict[str, int]
    study: str | None = None
    loop: str | None = None

    @property
    def total_bytes(self) -> int:
        """Size of all that goes."""
        return sum(self.bytes.values())


def plan_removal(ledger: Ledger, runs: Sequence[RunRow]) -> Removal:
    """Tell which of some runs can go, and why the others are kept: in a study, running, or what other runs start from.

    Args:
        ledger: holds them.
        runs: the runs that are meant.
    """
    with ledger.database.read() as connection:
        needed = _needed(connection, [run.id for run in runs])
    return _removal(ledger, runs, needed)


def plan_study_removal(ledger: Ledger, name: str, *, keep_runs: bool = False) -> Removal:
    """Tell what goes with a study: the runs made for it that nothing else needs.

    Runs that are older than the study were there before it, and stay.

    Args:
        ledger: holds it.
        name: the study.
        keep_runs: whether all its runs stay.

    Raises:
        RecordError: there is no such study, or a run of it is being trained.
    """
    with ledger.database.read() as connection:
        study = find_study(connection, name)
        cells = {cell.run.id: cell.run for cell in study_cells(connection, name)}
        runs = [*cells.values(), *study_parents(connection, name)]
        needed = _needed(connection, [run.id for run in runs], name)
    _refuse_running(name, runs, "removed")
    needed = {run.id: "older than the study" for run in runs if run.created < study.created} | needed
    if keep_runs:
        needed |= {run.id: "kept as asked" for run in runs}
    return _removal(ledger, runs, needed, name)


def plan_loop_removal(ledger: Ledger, name: str, *, keep_runs: bool = False) -> Removal:
    """Tell what goes with a research loop: the runs made for it that nothing else needs.

    Runs that are older than the loop were there before it, and stay; its first one is made just before it.

    Args:
        ledger: holds it.
        name: the loop.
        keep_runs: whether all its runs stay.

    Raises:
        RecordError: there is no such loop, or a run of it is being trained.
    """
    loop = ledger.loops.get(name)
    runs = {one.run.id: one.run for one in ledger.loops.runs(name)}
    with ledger.database.read() as connection:
        needed = _needed(connection, list(runs), loop=name)
    _refuse_running(name, runs.values(), "removed", "loop")
    own = {one.run.id for one in ledger.loops.runs(name) if one.number == 0 and one.seed == loop.spec.get("first_seed")}
    older = {run.id: "older than the loop" for run in runs.values() if run.created < loop.created and run.id not in own}
    needed = older | needed
    if keep_runs:
        needed |= dict.fromkeys(runs, "kept as asked")
    return _removal(ledger, list(runs.values()), needed, loop=name)


def _removal(
    ledger: Ledger, runs: Sequence[RunRow], needed: dict[str, str], study: str | None = None, loop: str | None = None
) -> Removal:
    ordered = sorted({run.id: run for run in runs}.values(), key=lambda run: -run.number)
    going = tuple(run for run in ordered if run.id not in needed)
    kept = tuple((run, needed[run.id]) for run in ordered if run.id in needed)
    return Removal(going, kept, run_bytes(ledger, going), study, loop)


def _refuse_running(name: str, runs: Iterable[RunRow], what: str, kind: str = "study") -> None:
    if running := [run for run in runs if run.is_trained]:
        raise RecordError(
            f"A {kind} can be {what} when none of its runs is being trained",
            found=f"{kind} {name}: {listing(f'run {run.id} at {run.owner}' for run in running[:3])}",
            do="interrupt it first",
        )


def remove(ledger: Ledger, removal: Removal) -> None:
    """Remove runs, and the study or loop that is named with them.

    Raises:
        RecordError: a run is needed by now, or its folder cannot be moved; nothing was removed.
    """
    settle(ledger.database, ledger.home)
    ids = [run.id for run in removal.runs]
    try:
        with ledger.database.write() as connection:
            # Locked, so that nobody takes one of them or starts to need it before they are gone.
            for start in range(0, len(ids), _AT_ONCE):
                connection.execute(select(Run.id).where(Run.id.in_(ids[start : start + _AT_ONCE])).with_for_update())
            if needed := _needed(connection, ids, removal.study, removal.loop):
                told = listing(f"run {run}: {why}" for run, why in sorted(needed.items())[:3])
                raise RecordError(
                    "Only runs that nothing needs can be removed",
                    found=told,
                    do="remove what needs them first, or leave them out",
                )
            if removal.study is not None:
                _delete_study(connection, removal.study)
            if removal.loop is not None:
                _delete_loop(connection, removal.loop)
            for run in removal.runs:
                _move_aside(ledger, run)
            _delete_runs(connection, ids)
        ledger.files.remove(ids)
        if removal.study is not None:
            for file in _files(ledger, removal.study):
                file.unlink(missing_ok=True)
        if removal.loop is not None:
            imported_loop_mark(ledger, removal.loop).unlink(missing_ok=True)
    finally:
        # Whatever happened: what is in the ledger has its folder back, what is not loses it.
        settle(ledger.database, ledger.home)


def _move_aside(ledger: Ledger, run: RunRow) -> None:
    """Move the folder of a run to where folders wait to be deleted.

    Raises:
        RecordError: it cannot be moved.
    """
    place, aside = ledger.runs.folder(run), inside(ledger.home, f"{ASIDE}/{run.id}")
    try:
        if place.exists():
            aside.parent.mkdir(exist_ok=True)
            place.rename(aside)
    except OSError as error:
        raise RecordError(
            "The folder of a run that is removed must be one that can be moved",
            found=f"{place}: {error.strerror}",
            do="see who may write there; nothing was removed",
        ) from None


def _delete_runs(connection: Connection, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        numbers = list(connection.scalars(select(Run.number).where(Run.id.in_(some))))
        connection.execute(delete(MetricTable).where(MetricTable.run.in_(numbers)))
        connection.execute(delete(StoredFile).where(StoredFile.run.in_(numbers)))
        connection.execute(delete(Event).where(Event.run_id.in_(some)))
        connection.execute(delete(Run).where(Run.id.in_(some)))


def _delete_study(connection: Connection, name: str) -> None:
    find_study(connection, name)
    study_id = connection.scalar(select(StudyTable.id).where(StudyTable.name == name).with_for_update())
    _refuse_running(name, [cell.run for cell in study_cells(connection, name)], "removed")
    for table in (LookTable, StudyRun, Arm):
        connection.execute(delete(table).where(table.study_id == study_id))
    connection.execute(delete(StudyTable).where(StudyTable.id == study_id))


def _delete_loop(connection: Connection, name: str) -> None:
    find_loop(connection, name)
    loop_id = connection.scalar(select(LoopTable.id).where(LoopTable.name == name).with_for_update())
    _refuse_running(name, [one.run for one in loop_runs(connection, name)], "removed", "loop")
    delete_proposals(connection, name)
    connection.execute(delete(LoopTable).where(LoopTable.id == loop_id))


def _needed(
    connection: Connection, ids: Collection[str], study: str | None = None, loop: str | None = None
) -> dict[str, str]:
    """Return the runs among `ids` that cannot go, each with the reason; `study` and `loop` themselves do not count."""
    wanted = set(ids)
    query = select(StudyRun.run_id, StudyTable.name).join(StudyTable, StudyTable.id == StudyRun.study_id).distinct()
    users: dict[str, list[str]] = {}
    for run, name in connection.execute(query.order_by(StudyTable.name)):
        if run in wanted and name != study:
            users.setdefault(run, []).append(name)
    for run, names in loops_of_runs(connection).items():
        if run in wanted and (others := [name for name in names if name != loop]):
            users.setdefault(run, []).extend(f"loop {name}" for name in others)
    needed = {run: f"in {listing(names[:3])}{', ...' if len(names) > 3 else ''}" for run, names in users.items()}
    running = connection.execute(select(Run.id, Run.owner, Run.lease_until).where(Run.state == "running"))
    needed |= {run: f"running at {owner}" for run, owner, until in running if run in wanted and is_held(owner, until)}
    starts = _starts(connection)
    while True:
        more = {
            run: f"run {child} starts from it"
            for child, runs in starts.items()
            for run in runs
            if run in wanted and run not in needed and run != child and (child not in wanted or child in needed)
        }
        if not more:
            return needed
        needed |= more


def _starts(connection: Connection) -> dict[str, set[str]]:
    """Return what each run starts from: its parent, and the runs whose ids its settings name."""
    text = type_coerce(func.coalesce(Run.settings, RecipeTable.settings), Text)
    query = select(Run.id, Run.parent, text).join(RecipeTable, RecipeTable.hash == Run.recipe_hash)
    found: dict[str, set[str]] = {}
    for run, parent, settings in connection.execute(query):
        named = {*RUN_ID.findall(settings or ""), *([parent] if parent else [])}
        if named:
            found[run] = named
    return found


def refuse_study_rename(connection: Connection, old: str, new: str) -> None:
    """Refuse another name of a study that it cannot have.

    Raises:
        RecordError: there is no study `old`, or one named `new`, or a run of it is being trained.
        SettingsError: `new` is no name.
    """
    check_name(new)
    find_study(connection, old)
    _refuse_running(old, [cell.run for cell in study_cells(connection, old)], "renamed")
    if connection.scalar(select(StudyTable.id).where(StudyTable.name == new)) is not None:
        raise RecordError(
            "A study's name must be its own",
            found=f"a study {new!r} is in the ledger",
            do="choose another name, or remove that study: ablata study rm",
        )


def refuse_loop_rename(connection: Connection, old: str, new: str) -> None:
    """Refuse another name of a research loop that it cannot have; else as `refuse_study_rename`."""
    check_name(new)
    find_loop(connection, old)
    _refuse_running(old, [one.run for one in loop_runs(connection, old)], "renamed", "loop")
    if connection.scalar(select(LoopTable.id).where(LoopTable.name == new)) is not None:
        raise RecordError(
            "A loop's name must be its own",
            found=f"a loop {new!r} is in the ledger",
            do="choose another name, or remove that loop: ablata loop rm",
        )


def rename_study(ledger: Ledger, old: str, new: str) -> None:
    """Give a study another name; its runs, looks and page stay.

    Raises:
        UserError: as `refuse_study_rename`.
    """
    with ledger.database.write() as connection:
        refuse_study_rename(connection, old, new)
        study = find_study(connection, old)
        commands = [_renamed(command, old, new) for command in study.spec.get("commands") or ()]
        spec = study.spec | ({"commands": commands} if commands else {})
        connection.execute(update(StudyTable).where(StudyTable.name == old).values(name=new, spec=spec))
        if _mark(ledger, old).exists():
            # Before the name is another one: code that came from elsewhere is never taken for one's own.
            mark = _mark(ledger, new)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    for file, other in zip(_files(ledger, old), _files(ledger, new), strict=True):
        if file.is_file():
            file.replace(other)


def rename_loop(ledger: Ledger, old: str, new: str) -> None:
    """Give a research loop another name; its proposals and runs stay.

    Raises:
        UserError: as `refuse_loop_rename`.
    """
    with ledger.database.write() as connection:
        refuse_loop_rename(connection, old, new)
        loop = find_loop(connection, old)
        begins = f"ablata loop start {old} "
        commands = [
            f"ablata loop start {new} {command.removeprefix(begins)}" if command.startswith(begins) else command
            for command in loop.spec.get("commands") or ()
        ]
        spec = loop.spec | {"commands": commands}
        connection.execute(update(LoopTable).where(LoopTable.name == old).values(name=new, spec=spec))
        if imported_loop_mark(ledger, old).exists():
            mark = imported_loop_mark(ledger, new)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
    imported_loop_mark(ledger, old).unlink(missing_ok=True)


def _renamed(command: str, old: str, new: str) -> str:
    """Return what is typed to ask a study again under its new name."""
    words = command.split(" ")
    if words[:3] == ["ablata", "study", "run"] and words[3:] == [old]:
        return f"ablata study run {new}"
    if "--name" in words[:-1]:
        place = words.index("--name") + 1
        return " ".join([*words[:place], new, *words[place + 1 :]])
    return f"{command} --name {new}" if words[:2] in (["ablata", "study"], ["ablata", "compare"]) else command


def _files(ledger: Ledger, study: str) -> tuple[Path, Path, Path]:
    """Return the files outside the ledger that are a study's: its page, its log, the mark of an imported one."""
    page, log = (
        inside(ledger.home, f"{folder}/{study}.{end}") for folder, end in (("reports", "html"), ("logs", "log"))
    )
    return page, log, _mark(ledger, study)


def _mark(ledger: Ledger, study: str) -> Path:
    """Return the file that marks a study as one that came from elsewhere."""
    return inside(ledger.home, f"{IMPORTED_STUDIES}/{study}")


def surplus_checkpoints(ledger: Ledger, runs: Iterable[RunRow], drop: str) -> list[tuple[RunRow, Path, int]]:
    """Return the checkpoints that runs can do without, each with its size.

    Only completed runs that no other run starts from, and only where another checkpoint stays.

    Args:
        ledger: holds the runs.
        runs: those that are meant.
        drop: the checkpoint's name, `best` or `last`.
    """
    with ledger.database.read() as connection:
        starts = {run for named in _starts(connection).values() for run in named}
    stays = "last" if drop == "best" else "best"
    found, runs = [], list(runs)
    stored = ledger.files.stored(runs)
    for run in runs:
        folder = ledger.runs.folder(run)
        file, other = (folder / f"{name}.safetensors" for name in (drop, stays))
        sizes = [path.stat().st_size if path.is_file() else stored[run.id].get(path.name) for path in (file, other)]
        if run.state == "completed" and run.id not in starts and sizes[0] is not None and sizes[1] is not None:
            found.append((run, file, sizes[0]))
    return found


def run_bytes(ledger: Ledger, runs: Sequence[RunRow]) -> dict[str, int]:
    """Return the size of what is kept of runs, here or in the lab's store, by id."""
    stored = ledger.files.stored(runs)
    return {run.id: max(folder_bytes(ledger.runs.folder(run)), sum(stored[run.id].values())) for run in runs}


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder; 0 where there is none."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())
