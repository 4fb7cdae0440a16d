"""Exporting a study to one file: its rows, its runs' curves and events, and the small files of its run folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from ablata.base.version import __version__
from ablata.records.events import EVENT_COLUMNS
from ablata.records.ledger import Ledger
from ablata.records.loops import find_loop, loop_parents, loop_proposals, loop_runs
from ablata.records.metrics import read_curves
from ablata.records.moving.archive import write_archive
from ablata.records.rows import ArmRow, EventRow, LookRow, LoopRow, ProposalRow, RunRole, RunRow, StudyRow
from ablata.records.studies import find_study, study_arms, study_cells, study_looks, study_parents
from ablata.records.tables import Environment, Event, RecipeTable, Run
from ablata.records.values import encode

CHECKPOINT_SUFFIXES = frozenset((".pt", ".pth", ".pt2", ".ckpt", ".safetensors", ".onnx"))
SMALL_BYTES = 16 << 20
RECORD = "record.json"
"""The file of a run folder that repeats what the ledger says of the run; see `rebuilding`."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of a run folder that was not exported: its path below the lab's home, its size, and why."""

    path: str
    bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds: how many runs and files, and the files it left out."""

    path: Path
    runs: int
    files: int
    left_out: tuple[LeftOut, ...]


@dataclass(frozen=True, slots=True)
class StudyFile:
    """study.json: the study, its arms, its cells as (arm, seed, run id), its looks."""

    study: StudyRow
    arms: list[ArmRow]
    cells: list[tuple[str, int, str]]
    looks: list[LookRow]


@dataclass(frozen=True, slots=True)
class LoopFile:
    """loop.json: the research loop, its proposals, its runs as (number of the proposal, role, seed, run id)."""

    loop: LoopRow
    proposals: list[ProposalRow]
    runs: list[tuple[int, RunRole, int, str]]


@dataclass(frozen=True, slots=True)
class RunsFile:
    """runs.json: the runs, the recipes and environments they name by hash, their events, and by a run's id the settings
    of those that have others than their recipe's hash does."""

    runs: list[RunRow]
    recipes: dict[str, dict[str, Any]]
    environments: dict[str, dict[str, Any]]
    events: list[EventRow]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def export_study(
    ledger: Ledger, name: str, path: Path, *, checkpoints: bool = False, max_file_bytes: int = SMALL_BYTES
) -> Exported:
    """Write a study to one file that `import_study` reads on another machine.

    Args:
        ledger: where the study is.
        name: the study.
        path: the file to be written; replaced if it is there.
        checkpoints: whether weights go along, of any size.
        max_file_bytes: larger files of run folders are left out.

    Returns:
        What was written, and what was left out.

    Raises:
        RecordError: there is no study of this name.
    """
    with ledger.database.snapshot() as connection:
        study = _study_file(connection, name)
        filled = [cell.run for cell in study_cells(connection, name)]
        runs = runs_file(connection, study_parents(connection, name) + filled)
        curves = {run.id: run_curves(connection, run) for run in runs.runs}
    told = {"study.json": asdict(study)}
    return _write(ledger, path, {"study": name}, told, runs, curves, checkpoints, max_file_bytes)


def export_loop(
    ledger: Ledger, name: str, path: Path, *, checkpoints: bool = False, max_file_bytes: int = SMALL_BYTES
) -> Exported:
    """Write a research loop to one file that `import_loop` reads on another machine; else as `export_study`.

    Raises:
        RecordError: there is no loop of this name.
    """
    with ledger.database.snapshot() as connection:
        loop, found = find_loop(connection, name), loop_runs(connection, name)
        proposals = loop_proposals(connection, name)
        filled = [one.run for one in found]
        runs = runs_file(connection, loop_parents(connection, name) + filled)
        # A proposal that was never run has settings all the same.
        runs = replace(runs, recipes={row.recipe_hash: row.recipe for row in proposals} | runs.recipes)
        curves = {run.id: run_curves(connection, run) for run in runs.runs}
    file = LoopFile(loop, proposals, [(one.number, one.role, one.seed, one.run.id) for one in found])
    return _write(ledger, path, {"loop": name}, {"loop.json": asdict(file)}, runs, curves, checkpoints, max_file_bytes)


def _write(
    ledger: Ledger,
    path: Path,
    about: dict[str, Any],
    told: dict[str, Any],
    runs: RunsFile,
    curves: dict[str, dict[str, list[list[float]]]],
    checkpoints: bool,
    max_file_bytes: int,
) -> Exported:
    """Write rows, curves and files of runs to an archive."""
    files: list[tuple[str, Path]] = []
    left_out: list[LeftOut] = []
    for run in runs.runs:
        for file, place in _folder_files(ledger, run):
            if reason := _reason_to_leave(file, checkpoints, max_file_bytes):
                left_out.append(LeftOut(place, file.lstat().st_size, reason))
            else:
                files.append((place, file))

    def entries() -> Iterator[tuple[str, bytes | Path]]:
        """Yield the archive's files, by name."""
        for entry, rows in told.items():
            yield entry, encode(rows).encode()
        yield "runs.json", encode(asdict(runs)).encode()
        for run_id, points in curves.items():
            yield f"metrics/{run_id}.json", encode(points).encode()
        yield from files

    more = {"ablata": __version__, "left_out": [asdict(item) for item in left_out]}
    write_archive(path, entries(), about | more)
    return Exported(path, len(runs.runs), len(files), tuple(left_out))


def _study_file(connection: Connection, name: str) -> StudyFile:
    study, arms = find_study(connection, name), study_arms(connection, name)
    cells = [(cell.arm, cell.seed, cell.run.id) for cell in study_cells(connection, name)]
    return StudyFile(study, arms, cells, study_looks(connection, name))


def runs_file(connection: Connection, runs: list[RunRow]) -> RunsFile:
    """Return runs with all that the ledger says of them but their curves."""
    runs = sorted({run.id: run for run in runs}.values(), key=lambda run: run.number)
    recipes = select(RecipeTable.hash, RecipeTable.settings).where(
        RecipeTable.hash.in_({run.recipe_hash for run in runs})
    )
    environments = select(Environment.hash, Environment.description)
    environments = environments.where(Environment.hash.in_({run.environment for run in runs}))
    events = select(*EVENT_COLUMNS).where(Event.run_id.in_([run.id for run in runs])).order_by(Event.id)
    own = select(Run.id, Run.settings).where(Run.id.in_([run.id for run in runs]), Run.settings.is_not(None))
    return RunsFile(
        runs,
        {row[0]: row[1] for row in connection.execute(recipes)},
        {row[0]: row[1] for row in connection.execute(environments)},
        [EventRow(*row) for row in connection.execute(events)],
        {row[0]: row[1] for row in connection.execute(own)},
    )


def run_curves(connection: Connection, run: RunRow) -> dict[str, list[list[float]]]:
    """Return a run's curves by name: steps and values."""
    curves = read_curves(connection, Run.id == run.id)
    return {curve.name: [list(curve.steps), list(curve.values)] for curve in curves}


def _folder_files(ledger: Ledger, run: RunRow) -> Iterator[tuple[Path, str]]:
    """Give the files of a run folder, links included, with their path inside an archive."""
    folder = ledger.files.bring(run, weights=True)
    for file in sorted(folder.rglob("*")):
        if (file.is_symlink() or file.is_file()) and file != folder / RECORD:
            yield file, f"runs/{run.id}/{file.relative_to(folder).as_posix()}"


def _reason_to_leave(file: Path, checkpoints: bool, max_file_bytes: int) -> str | None:
    if file.is_symlink():
        return "a link"
    if "\\" in str(file) or ":" in file.name or not file.name.isprintable():
        return "a name that is no file name everywhere"
    if file.suffix in CHECKPOINT_SUFFIXES or "checkpoints" in file.parts:
        return None if checkpoints else "a checkpoint"
    return "too large" if file.stat().st_size > max_file_bytes else None
