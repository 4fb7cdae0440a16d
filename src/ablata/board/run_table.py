"""The runs of a lab as their table shows them, kept in memory: only what has changed is read again."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import func, select

from ablata.board.filters import RunFacts
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.records.runs import RUN_COLUMNS
from ablata.records.tables import Arm, Run, StudyRun, StudyTable
from ablata.reports.collect_runs import plain_settings

_MARKS = (Run.number, Run.state, Run.attempt, Run.heartbeat, Run.finished, Run.priority, Run.parent, Run.launch)
"""What tells whether a run's row has changed: all that writes one writes one of these, unless the run is running."""
_MOST_NUMBERS = 500
"""Runs in one query; databases limit them."""
_INCIDENTAL = ("name", "data.root")
_MOST_KEPT = 32
"""Answers of `RunTable.differing` that are kept."""


@dataclass(frozen=True)
class RunSummary:
    """A run in a table, with the studies and arms that use it, and its recipe's settings by dotted key."""

    row: RunRow
    uses: tuple[tuple[str, str], ...]
    settings: Mapping[str, str]

    @cached_property
    def facts(self) -> RunFacts:
        """What a filter and the columns look at."""
        row = self.row
        cost = {key: json.dumps(value) for key, value in (row.cost or {}).items() if isinstance(value, int | float)}
        scores = {key: json.dumps(value) for key, value in (row.scores or {}).items()}
        columns = {
            "id": (row.id,),
            "recipe": (row.recipe_name,),
            "seed": (str(row.seed),),
            "state": (row.shown_state,),
            "study": tuple(study for study, _ in self.uses),
            "arm": tuple(arm for _, arm in self.uses),
        }
        text = (row.id, row.recipe_name, row.shown_state, row.error or "", *(f"{a}:{b}" for a, b in self.uses))
        own = {**cost, **scores, "seed": str(row.seed)}
        return RunFacts(columns, self.settings, own, " ".join(text).lower())


@dataclass(frozen=True)
class LabRuns:
    """All runs of a lab at one moment.

    Args:
        runs: newest first.
        cells: arm's number and run of each cell, by the number of the study.
        studies: names of all studies, those without a run included.
    """

    runs: tuple[RunSummary, ...]
    cells: Mapping[int, Sequence[tuple[int, RunRow]]]
    studies: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Keys of all settings, scores and costs that a run has, in alphabetical order."""
        trees = {id(one.settings): one.settings for one in self.runs}
        return tuple(sorted(set[str]().union(*trees.values(), *(one.facts.own for one in self.runs))))

    @cached_property
    def columns(self) -> dict[str, tuple[str, ...]]:
        """What stands in each column of `filters.COLUMNS`."""
        known: dict[str, dict[str, None]] = {"study": dict.fromkeys(self.studies)}
        for one in self.runs:
            for column, values in one.facts.columns.items():
                known.setdefault(column, {}).update(dict.fromkeys(values))
        return {column: tuple(values) for column, values in known.items()}


class RunTable:
    """Reads the runs of a ledger, each again only when it has changed.

    Args:
        ledger: an open ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._marks: dict[int, tuple[Any, ...]] = {}
        self._used: object = None
        self._links: list[Any] = []
        self._rows: dict[int, RunRow] = {}
        self._settings: dict[str, dict[str, str]] = {}
        self._table = LabRuns((), {}, ())
        self._differing: dict[frozenset[tuple[str, str]], list[str]] = {}

    def read(self) -> LabRuns:
        """Return all runs as they stand."""
        with self._lock:
            self._read_what_changed()
            return self._table

    def _read_what_changed(self) -> None:
        marks: dict[int, tuple[Any, ...]]
        marked = select(*_MARKS, Run.settings.is_not(None)).order_by(Run.number.desc())
        links = select(func.count(), func.sum(StudyRun.arm_id * Run.number)).join(Run, Run.id == StudyRun.run_id)
        with self._ledger.database.read() as connection:
            marks = {row[0]: tuple(row) for row in connection.execute(marked)}
            studies = [(row.id, row.name) for row in connection.execute(select(StudyTable.id, StudyTable.name))]
            used = (tuple(connection.execute(links).one()), studies)
            asked = [
                number for number, mark in marks.items() if self._marks.get(number) != mark or mark[1] == "running"
            ]
            rows: dict[int, RunRow] = {}
            for start in range(0, len(asked), _MOST_NUMBERS):
                some = Run.number.in_(asked[start : start + _MOST_NUMBERS])
                rows |= {row[0]: RunRow(*row) for row in connection.execute(select(*RUN_COLUMNS).where(some))}
            changed = {number for number, row in rows.items() if self._rows.get(number) != row}
            if not changed and marks == self._marks and used == self._used:
                return
            if used != self._used:
                self._links = list(connection.execute(_all_links()))
        self._rows = {number: rows.get(number) or self._rows[number] for number in marks}
        self._read_settings(
            [rows[number] for number in changed], {number for number, mark in marks.items() if mark[-1]}
        )
        self._marks, self._used = marks, used
        self._table = self._made(tuple(name for _, name in studies), changed)

    def _read_settings(self, rows: Sequence[RunRow], own: set[int]) -> None:
        """Read settings that are new: of a recipe once, as what a hash stands for never changes; of a run its own."""
        wanted = {self._key(row, own): row for row in rows}
        new = {key: row for key, row in wanted.items() if key not in self._settings or key == row.id}
        trees = self._ledger.runs.settings_of(list(new.values())) if new else {}
        self._settings |= {key: plain_settings(trees[row.id]) for key, row in new.items()}

    def _key(self, row: RunRow, own: set[int]) -> str:
        return row.id if row.number in own else row.recipe_hash

    def _made(self, studies: tuple[str, ...], changed: set[int]) -> LabRuns:
        ids = {row.id: row for row in self._rows.values()}
        uses: dict[str, list[tuple[str, str]]] = {}
        cells: dict[int, list[tuple[int, RunRow]]] = {}
        for study_id, arm_id, run_id, study, arm in self._links:
            if run_id in ids:
                cells.setdefault(study_id, []).append((arm_id, ids[run_id]))
                if (study, arm) not in uses.setdefault(run_id, []):
                    uses[run_id].append((study, arm))
        before = {one.row.number: one for one in self._table.runs}
        runs = []
        for number, row in self._rows.items():
            used, known = tuple(uses.get(row.id, ())), before.get(number)
            if known is None or number in changed or known.uses != used:
                settings = self._settings.get(row.id) or self._settings[row.recipe_hash]
                known = RunSummary(row, used, settings)
            runs.append(known)
        return LabRuns(tuple(runs), cells, studies)

    def differing(self, runs: Sequence[RunSummary]) -> list[str]:
        """Return the settings in which runs of one recipe's name differ, those of the most different values first."""
        recipes = {(one.row.recipe_name, one.row.recipe_hash): one.settings for one in runs}
        key = frozenset(recipes)
        if key not in self._differing:
            if len(self._differing) >= _MOST_KEPT:
                self._differing.clear()
            self._differing[key] = _differing(recipes)
        return self._differing[key]


def _all_links() -> Any:
    query = select(StudyRun.study_id, StudyRun.arm_id, StudyRun.run_id, StudyTable.name, Arm.name)
    query = query.join(Arm, Arm.id == StudyRun.arm_id).join(StudyTable, StudyTable.id == StudyRun.study_id)
    return query.order_by(StudyRun.study_id, StudyRun.arm_id, StudyRun.seed)


def _differing(recipes: Mapping[tuple[str, str], Mapping[str, str]]) -> list[str]:
    seen: dict[str, dict[str, set[str]]] = {}
    for (name, _), settings in recipes.items():
        values = seen.setdefault(name, {})
        for key, value in settings.items():
            values.setdefault(key, set()).add(value)
    counts: dict[str, int] = {}
    for values in seen.values():
        for key, different in values.items():
            if len(different) > 1 and key not in _INCIDENTAL:
                counts[key] = max(counts.get(key, 0), len(different))
    return sorted(counts, key=lambda key: (-counts[key], key))
