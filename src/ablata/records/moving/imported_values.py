"""What rows from elsewhere must hold, so that nothing here stumbles over them later: ids, references, types, ranges."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ablata.base.errors import RecordError
from ablata.records.moving.archive import Archive
from ablata.records.moving.exporting import LoopFile, RunsFile, StudyFile
from ablata.records.rows import RunRow
from ablata.records.studies import check_name

RUN_ID = re.compile(r"[0-9a-z]{4,32}")
LAST_TIME = 253_402_214_400.0
"""The year 9999: no calendar shows later times."""
LARGEST = 2**63


def check_values(archive: Archive, study: StudyFile, runs: RunsFile) -> None:
    """Refuse an archive whose rows do not refer to each other, or hold what nothing here writes.

    Raises:
        RecordError: names the first that is wrong.
    """
    try:
        for name in (study.study.name, *(arm.name for arm in study.arms)):
            check_name(name)
    except RecordError as error:
        raise archive.damaged(f"a name: {error.found}") from None
    for wrong in (*_loose_runs(runs), *_loose(study, runs), *_wrong_values(study, runs)):
        raise archive.damaged(wrong)


def check_loop_values(archive: Archive, file: LoopFile, runs: RunsFile) -> None:
    """Refuse the archive of a research loop likewise.

    Raises:
        RecordError: names the first that is wrong.
    """
    try:
        check_name(file.loop.name)
    except RecordError as error:
        raise archive.damaged(f"a name: {error.found}") from None
    for wrong in (*_loose_runs(runs), *_loose_loop(file, runs), *_wrong_of_runs(runs)):
        raise archive.damaged(wrong)


def _loose_loop(file: LoopFile, runs: RunsFile) -> Iterator[str]:
    known, count = {run.id for run in runs.runs}, len(file.proposals)
    if [row.number for row in file.proposals] != list(range(count)) or not count:
        yield "proposals that are not numbered 0, 1, 2 and so on"
    if not 0 <= file.loop.best < count or file.proposals[file.loop.best].outcome != "keep":
        yield f"proposal {file.loop.best} as the best"
    for row in file.proposals:
        if not 0 <= row.base < max(row.number, 1) or row.recipe_hash not in runs.recipes:
            yield f"no base or no recipe of proposal {row.number}"
        if not 0 <= row.level < 1 or not 0 <= row.first_seed < LARGEST:
            yield f"level {row.level} or first seed {row.first_seed} of proposal {row.number}"
        if (row.outcome is None) != (row.state != "decided"):
            yield f"the outcome of proposal {row.number}"
    cells = [cell[:3] for cell in file.runs]
    if len(set(cells)) < len(cells):
        yield "two runs of one proposal, role and seed"
    for number, role, seed, run in file.runs:
        if not 0 <= number < count or not 0 <= seed < LARGEST or run not in known:
            yield f"no proposal or run for {role} {seed} of {number}"
    budget = file.loop.budget
    if budget is not None and not (math.isfinite(budget) and budget > 0):
        yield f"the budget {budget}"
    times = (file.loop.created, *(time for row in file.proposals for time in (row.created, row.decided)))
    yield from (f"the time {time}" for time in times if not _is_time(time))


def _loose(study: StudyFile, runs: RunsFile) -> Iterator[str]:
    known, arms = {run.id for run in runs.runs}, {arm.name for arm in study.arms}
    yield from (f"no run or arm for cell {cell}" for cell in study.cells if cell[0] not in arms or cell[2] not in known)


def _loose_runs(runs: RunsFile) -> Iterator[str]:
    ids = [run.id for run in runs.runs]
    known = set(ids)
    yield from (f"run id {run_id!r}" for run_id in ids if not RUN_ID.fullmatch(run_id))
    if len(known) < len(ids):
        yield "two runs of one id"
    yield from (f"no recipe of run {run.id}" for run in runs.runs if run.recipe_hash not in runs.recipes)
    yield from (f"an event of run {event.run!r}" for event in runs.events if event.run not in known)
    # A parent stands before its children, so that none starts from itself.
    before: set[str] = set()
    for run in runs.runs:
        if run.parent in known and run.parent not in before:
            yield f"run {run.id} before its parent {run.parent}"
        before.add(run.id)


def _wrong_values(study: StudyFile, runs: RunsFile) -> Iterator[str]:
    yield from _wrong_of_runs(runs)
    times = [study.study.created, study.study.finished, *(look.time for look in study.looks)]
    yield from (f"the time {time}" for time in times if not _is_time(time))
    yield from (f"seed {seed} of arm {arm}" for arm, seed, _ in study.cells if not 0 <= seed < LARGEST)
    yield from (f"the look at {look.seeds} seeds" for look in study.looks if not 0 <= look.seeds < LARGEST)


def _wrong_of_runs(runs: RunsFile) -> Iterator[str]:
    for run in runs.runs:
        yield from (f"run {run.id}: {wrong}" for wrong in _wrong_of_run(run))
    yield from (f"the time {event.time}" for event in runs.events if not _is_time(event.time))
    levels = ("info", "warning", "error")
    yield from (f"an event of level {event.level!r}" for event in runs.events if event.level not in levels)


def _wrong_of_run(run: RunRow) -> Iterator[str]:
    for name in ("seed", "attempt", "number"):
        if not 0 <= getattr(run, name) < LARGEST:
            yield f"{name} {getattr(run, name)}"
    if not -LARGEST <= run.priority < LARGEST:
        yield f"priority {run.priority}"
    for name in ("created", "started", "finished", "heartbeat", "lease_until"):
        if not _is_time(getattr(run, name)):
            yield f"{name} {getattr(run, name)}"
    for column in ("scores", "cost"):
        values: Mapping[str, Any] = getattr(run, column) or {}
        for name, value in values.items():
            if not _is_figure(value) or (column == "cost" and not (math.isfinite(value) and value >= 0)):
                yield f"{column}.{name} {_shown(value)}, which must be a number"
    for name, value in (run.progress or {}).items():
        figures = value.values() if name == "losses" and isinstance(value, dict) else (value,)
        if not all(figure is None or _is_figure(figure) for figure in figures):
            yield f"progress.{name} {_shown(value)}, which must be a number"


def _is_figure(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and (isinstance(value, float) or abs(value) < LARGEST)
    )


def _is_time(value: float | None) -> bool:
    return value is None or 0 <= value < LAST_TIME


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
