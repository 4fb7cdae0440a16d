"""From the runs of a study to its verdicts: the score table, whole rows only, judged look by look."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablata.records.ledger import Ledger
from ablata.records.rows import ArmRow, RunRow, StudyRow
from ablata.stats import Calibration, Outcome, Replay, Rule, procedure_of, rule_of
from ablata.stats.designs import Design
from ablata.stats.factorial import FactorialResult, calibrate_factorial, factorial_key, judge_factorial
from ablata.stats.versions import Procedure
from ablata.studies.factors import Factors

ENDED = ("completed", "diverged")


@dataclass(frozen=True)
class Assessment:
    """What is known of a study after its whole seed rows.

    Args:
        rows: number of whole rows.
        arms: names of the arms without the control, in the order of the columns.
        replay: every look so far and how each arm stands; None before the first whole row, and of a factorial study.
        factorial: the changes of a factorial study after its whole blocks; None before the first, and of any other.
    """

    rows: int
    arms: tuple[str, ...]
    replay: Replay | None
    factorial: FactorialResult | None = None

    @property
    def settled(self) -> bool:
        """Whether a factorial study has a verdict on every change."""
        return self.factorial is not None and self.factorial.settled

    def outcomes(self) -> dict[str, Outcome]:
        """Return how each arm stands, by name."""
        return {self.arms[outcome.arm - 1]: outcome for outcome in self.replay.outcomes} if self.replay else {}

    def as_look(self) -> dict[str, Any]:
        """Return what the ledger keeps of the newest look."""
        kept: dict[str, Any] = {"arms": list(self.arms), "replay": self.replay.to_json() if self.replay else None}
        return kept | ({"factorial": self.factorial.to_json()} if self.factorial else {})


def cached_calibration(ledger: Ledger, arms: int, rule: Rule, judge: Procedure) -> Calibration:
    """Return the bound of a rule, simulated once for each ledger."""
    return _cached(ledger, judge.calibration_key(arms, rule), lambda: judge.calibrate(arms, rule))


def cached_factorial_calibration(ledger: Ledger, design: Design, rule: Rule) -> Calibration:
    """Return the bound of a factorial study, simulated once for each ledger."""
    return _cached(ledger, factorial_key(design, rule), lambda: calibrate_factorial(design, rule))


def _cached(ledger: Ledger, key: str, make: Callable[[], Calibration]) -> Calibration:
    known = ledger.calibrations.get(key)
    if known is not None:
        return Calibration.from_json(known)
    made = make()
    ledger.calibrations.put(key, made.to_json())
    return made


def assess(ledger: Ledger, name: str) -> Assessment:
    """Judge a study by the whole seed rows that are in the ledger.

    A row is whole when the control and every arm that is still open at that row has ended there. The result depends
    on the runs alone, so it is the same after a crash, in another process, or after an import.
    """
    study, arms = ledger.studies.get(name), ledger.studies.arms(name)
    control = next(arm for arm in arms if arm.is_control)
    columns = [control, *(arm for arm in arms if not arm.is_control)]
    names = tuple(arm.name for arm in columns[1:])
    cells = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(name)}
    if "design" in study.spec:
        return _assess_factors(ledger, study, columns, cells)
    rule, judge = rule_of(study.spec), procedure_of(study.spec)
    calibration = cached_calibration(ledger, len(names), rule, judge)
    judged: Replay | None = None
    rows = 0
    while rows < rule.seeds and _whole(columns, judged, cells, study.spec["first_seed"] + rows):
        rows += 1
        scores, diverged, unpaired = _table(columns, cells, study, rows)
        judged = judge.replay(scores, rule, calibration, diverged=diverged, unpaired=unpaired)
    return Assessment(rows, names, judged)


def _assess_factors(
    ledger: Ledger, study: StudyRow, columns: list[ArmRow], cells: Mapping[tuple[str, int], RunRow]
) -> Assessment:
    """Judge the changes of a factorial study by its whole blocks; one in which a run left no score does not count."""
    rule, design = rule_of(study.spec), Factors.from_json(study.spec["design"]).design
    rows = 0
    while rows < rule.seeds and _whole(columns, None, cells, study.spec["first_seed"] + rows):
        rows += 1
    names = tuple(arm.name for arm in columns[1:])
    scores, _, _ = _table(columns, cells, study, rows)
    whole = scores[~np.isnan(scores).any(axis=1)]
    if not len(whole):
        return Assessment(rows, names, None)
    calibration = cached_factorial_calibration(ledger, design, rule)
    return Assessment(rows, names, None, judge_factorial(whole, design, rule, calibration))


def open_arms(columns: list[ArmRow], judged: Replay | None) -> list[ArmRow]:
    """Return the control and the arms that go on after the looks so far; nothing once all arms are closed."""
    if judged is None:
        return columns
    going_on = [columns[outcome.arm] for outcome in judged.outcomes if outcome.open]
    return [columns[0], *going_on] if going_on else []


def _whole(columns: list[ArmRow], judged: Replay | None, cells: Mapping[tuple[str, int], RunRow], seed: int) -> bool:
    needed = open_arms(columns, judged)
    runs = [cells.get((arm.name, seed)) for arm in needed]
    return bool(needed) and all(run is not None and run.state in ENDED for run in runs)


def _table(
    columns: list[ArmRow], cells: Mapping[tuple[str, int], RunRow], study: StudyRow, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return scores, diverged (rows, 1 + arms) and unpaired (rows, arms)."""
    key = study.spec["metric"]["key"]
    unseeded = bool(study.spec.get("unseeded"))
    scores = np.full((rows, len(columns)), np.nan)
    diverged = np.zeros((rows, len(columns)), dtype=bool)
    unpaired = np.zeros((rows, len(columns) - 1), dtype=bool)
    for row in range(rows):
        seed = study.spec["first_seed"] + row
        control = cells[(columns[0].name, seed)]
        for column, arm in enumerate(columns):
            run = cells.get((arm.name, seed))
            if run is None or run.state not in ENDED:
                continue
            value = (run.scores or {}).get(key)
            finite = run.state == "completed" and value is not None and math.isfinite(value)
            scores[row, column] = value if finite else np.nan
            diverged[row, column] = not finite
            if column:
                unpaired[row, column - 1] = unseeded or run.environment != control.environment
    _forget_late_runs(scores, diverged)
    return scores, diverged, unpaired


def _forget_late_runs(scores: np.ndarray, diverged: np.ndarray) -> None:
    """Blank an arm's runs after a gap: a shared run of another study may stand where this one had closed the arm."""
    ran = ~np.isnan(scores) | diverged
    gone = np.logical_or.accumulate(~ran, axis=0)
    scores[gone] = np.nan
    diverged[gone] = False
