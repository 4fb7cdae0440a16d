"""Picking with a budget of runs: what the runs so far say, and which run comes next."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablata.base.errors import SettingsError
from ablata.base.quantities import counted
from ablata.records.ledger import Ledger
from ablata.records.questions.judged import is_time, judged_values, load_of
from ablata.records.rows import ArmRow, RunRow
from ablata.stats.pick import FIRST_SEEDS, HOPELESS, ArmChoice, after, beliefs, candidates, choose, kept, next_run
from ablata.studies.guards import GUARDS

PICK = "pick"
"""The key of a study's specification that says that it picks, and claims nothing."""
_LOST = 2
"""Runs without a score from which on an arm is out."""
_ENDED = ("completed", "diverged")
Cells = Mapping[tuple[str, int], RunRow]


@dataclass(frozen=True)
class PickValues:
    """What runs have of the metric of a study that picks, and of each of its guardrails, by run."""

    scores: Mapping[str, float]
    guards: tuple[Mapping[str, float], ...] = ()

    @classmethod
    def of(cls, ledger: Ledger, spec: Mapping[str, Any], runs: Sequence[RunRow]) -> PickValues:
        """Read them; of times those of the launch and load that most runs were trained under."""
        guards = []
        for key in (guard["key"] for guard in spec.get(GUARDS, ())):
            loads = Counter(load for run in runs if run.state == "completed" and (load := load_of(run)) is not None)
            usual = loads.most_common(1)[0][0] if loads else None
            fair = [run for run in runs if usual is not None and load_of(run) == usual] if is_time(key) else runs
            guards.append(judged_values(ledger, key, list(fair)))
        return cls(judged_values(ledger, spec["metric"]["key"], runs), tuple(guards))

    def keeps(
        self, names: Sequence[str], cells: Cells, spec: Mapping[str, Any], seeds: int
    ) -> list[tuple[float | None, ...]]:
        """Return of each guardrail how probable it is that each setting keeps it."""
        found = []
        for guard, values in zip(spec.get(GUARDS, ()), self.guards, strict=True):
            table = [
                [_value(cells.get((name, int(spec["first_seed"]) + row)), values) for name in names]
                for row in range(seeds)
            ]
            found.append(
                kept(table, guard["allowed"], percent=guard["percent"], higher_is_better=guard["higher_is_better"])
            )
        return found


def refuse_small_budget(name: str, runs: int, arms: int, seconds: float | None = None) -> None:
    """Refuse a budget that leaves nothing to be placed.

    Args:
        name: of the study.
        runs: that it pays for.
        arms: besides the control.
        seconds: of a run, where the budget is a time.

    Raises:
        SettingsError: says the least.
    """
    least = FIRST_SEEDS * (arms + 1) + 1
    if runs < least:
        more = f"--runs {5 * (arms + 1)}; at least {least}"
        raise SettingsError(
            f"A budget must pay for {FIRST_SEEDS} runs of the control and of every arm, and for one more",
            found=f"{counted(runs, 'run')} for {arms + 1} settings of study {name}",
            do=more if seconds is None else f"--budget {math.ceil(least * seconds)}s or more, for {least} runs",
        )  # fmt: skip


def pick_choice(
    columns: Sequence[ArmRow], cells: Cells, values: PickValues, spec: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the choice that the runs so far speak for, by names, as a look keeps it; None: too few runs yet.

    Args:
        columns: the control and the arms, the control first.
        cells: the study's runs by arm and seed.
        values: of the runs.
        spec: the study's specification.
    """
    names, scores = _scores(columns, cells, values, spec)
    if len(names) < 2 or (~np.isnan(scores)).sum(axis=0).min() < FIRST_SEEDS:
        return None
    higher = bool(spec["metric"].get("higher_is_better", True))
    keeps = values.keeps(names, cells, spec, len(scores))
    found: ArmChoice = choose(scores, higher_is_better=higher, keeps=keeps)
    return found.to_json() | {"names": names}


def next_arms(
    columns: Sequence[ArmRow],
    cells: Cells,
    values: PickValues,
    spec: Mapping[str, Any],
    budget: int,
    beside: int,
) -> list[tuple[ArmRow, int]]:
    """Return the runs that are to be queued now: the first ones of every arm, later as many as can go on side by side.

    Args:
        columns, cells, values, spec: as for `pick_choice`.
        budget: runs in all.
        beside: runs that go on side by side.

    Returns:
        Arms, each with its seed.
    """
    first = int(spec["first_seed"])
    at_first = [(arm, first + row) for row in range(FIRST_SEEDS) for arm in columns]
    if missing := [cell for cell in at_first if (run := cells.get((cell[0].name, cell[1]))) is None or _again(run)]:
        return missing
    pending = [arm for (arm, _), run in cells.items() if run.state not in _ENDED]
    by_name = {arm.name: arm for arm in columns}
    if again := [(by_name[arm], seed) for (arm, seed), run in cells.items() if _again(run)]:
        return again
    left = budget - len(cells)
    names, scores = _scores(columns, cells, values, spec)
    if left <= 0 or len(pending) >= beside or len(names) < 2:
        return []
    if any(cells[arm.name, seed].state not in _ENDED for arm, seed in at_first):
        return []
    names, scores = _hopeful(names, scores, values.keeps(names, cells, spec, len(scores)))
    if len(names) < 2:
        return []
    sign = 1.0 if spec["metric"].get("higher_is_better", True) else -1.0
    state = beliefs(sign * scores)
    for arm in pending:
        state = after(state, names.index(arm)) if arm in names else state
    queued, counts = [], Counter(arm for arm, _ in cells)
    for _ in range(min(left, beside - len(pending))):
        column = int(next_run(state, left))
        name = names[column]
        queued.append((by_name[name], first + counts[name]))
        counts[name] += 1
        state, left = after(state, column), left - 1
    return queued


def _hopeful(
    names: list[str], scores: np.ndarray, keeps: Sequence[Sequence[float | None]]
) -> tuple[list[str], np.ndarray]:
    """Leave out the settings that hardly keep the guardrails: no run of them could change the choice."""
    if not keeps:
        return names, scores
    left = candidates(np.array(keeps, dtype=np.float64), HOPELESS)
    return [name for name, stays in zip(names, left, strict=True) if stays], scores[:, left]


def _value(run: RunRow | None, values: Mapping[str, float]) -> float:
    value = values.get(run.id) if run is not None and run.state == "completed" else None
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _again(run: RunRow) -> bool:
    return run.state in ("failed", "cancelled")


def _scores(
    columns: Sequence[ArmRow], cells: Cells, values: PickValues, spec: Mapping[str, Any]
) -> tuple[list[str], np.ndarray]:
    """Return the arms that can be chosen and their scores, (seeds, arms); arms that lost runs are out."""
    first = int(spec["first_seed"])
    seeds = 1 + max((seed for _, seed in cells), default=first) - first
    names, found = [], []
    for arm in columns:
        column = np.full(seeds, np.nan)
        lost = 0
        for seed in range(first, first + seeds):
            run = cells.get((arm.name, seed))
            if run is None or run.state not in _ENDED:
                continue
            column[seed - first] = _value(run, values.scores)
            lost += math.isnan(column[seed - first])
        if lost < _LOST and not np.isnan(column).all():
            names.append(arm.name)
            found.append(column)
    return names, np.column_stack(found) if found else np.empty((seeds, 0))
