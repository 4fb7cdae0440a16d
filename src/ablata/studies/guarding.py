"""Guardrails at the looks of a study: an arm that is better goes on until they are answered, or its seeds used up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablata.records.ledger import Ledger
from ablata.records.questions.judged import EXACT, comparable_in_time, judged_values
from ablata.records.rows import ArmRow, RunRow, StudyRow
from ablata.stats import Calibration, Outcome, Replay, Rule, Verdict
from ablata.stats.guards import GuardedArm, judge_guard
from ablata.studies.guards import GUARDS

Judged = Mapping[str, tuple[GuardedArm, ...]]
"""How arms stand beside each guardrail of a study, by the arm's name."""


@dataclass(frozen=True)
class Guardrails:
    """The guardrails of a study with what its runs have of them.

    Args:
        guards: as the specification has them.
        values: of each guardrail, by run.
        rule: of the study.
        calibration: of the guardrails.
        first_seed: of the study.
    """

    guards: tuple[Mapping[str, Any], ...]
    values: tuple[Mapping[str, float], ...]
    rule: Rule
    calibration: Calibration
    first_seed: int

    @classmethod
    def of(
        cls, ledger: Ledger, study: StudyRow, runs: Sequence[RunRow], rule: Rule, calibration: Calibration
    ) -> Guardrails:
        """Read what runs have of a study's guardrails."""
        guards = tuple(study.spec[GUARDS])
        values = tuple(judged_values(ledger, guard["key"], runs) for guard in guards)
        return cls(guards, values, rule, calibration, int(study.spec["first_seed"]))

    def judge(self, columns: Sequence[ArmRow], cells: Mapping[tuple[str, int], RunRow], rows: int) -> Judged:
        """Return how the arms stand after so many whole rows of seeds.

        Args:
            columns: the control and the arms, the control first.
            cells: the study's runs by arm and seed.
            rows: whole ones.
        """
        found: dict[str, tuple[GuardedArm, ...]] = {arm.name: () for arm in columns[1:]}
        for guard, values in zip(self.guards, self.values, strict=True):
            table = []
            for seed in range(self.first_seed, self.first_seed + rows):
                runs = [cells.get((arm.name, seed)) for arm in columns]
                fair = comparable_in_time(runs, guard["key"])
                table.append([_value(run, values) if fair else math.nan for run in runs])
            judged = judge_guard(
                table, self.rule, self.calibration, allowed=float(guard["allowed"]),
                higher_is_better=bool(guard["higher_is_better"]), percent=bool(guard["percent"]),
                exact=guard["key"] in EXACT,
            )  # fmt: skip
            for arm, one in zip(columns[1:], judged, strict=True):
                found[arm.name] += (one,)
        return found

    def held(self, replay: Replay, judged: Judged, columns: Sequence[ArmRow], rows: int) -> Replay:
        """Return a replay in which arms that are better stay open while a guardrail of theirs is."""
        outcomes = tuple(self._held(one, judged[columns[one.arm].name], rows) for one in replay.outcomes)
        return replace(replay, outcomes=outcomes)

    def _held(self, outcome: Outcome, beside: Sequence[GuardedArm], rows: int) -> Outcome:
        if outcome.open or outcome.verdict is not Verdict.BETTER:
            return outcome
        waits = any(one.state == "open" for one in beside)
        seeds = max(outcome.seeds, rows if waits else max(one.rows for one in beside))
        if waits and rows < self.rule.seeds:
            reason = f"{outcome.reason}; goes on until its guardrails are answered"
            return replace(outcome, open=True, seeds=seeds, reason=reason)
        if seeds > outcome.seeds:
            reason = f"{outcome.reason}; went on to {seeds} for its guardrails"
            return replace(outcome, seeds=seeds, reason=reason)
        return outcome


def _value(run: RunRow | None, values: Mapping[str, float]) -> float:
    value = values.get(run.id) if run is not None and run.state == "completed" else None
    return math.nan if value is None or not math.isfinite(value) else float(value)
