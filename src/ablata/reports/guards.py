"""Guardrails of a study: which arms keep them, and one verdict for both, such as better and not slower."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablata.base.errors import listing
from ablata.records.questions.judged import comparable_in_time, judged_values
from ablata.reports.view import ArmView, GuardView, StudyView

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger
    from ablata.records.rows import RunRow
    from ablata.stats import Rule


def guard_views(
    ledger: Ledger,
    guards: Sequence[Mapping[str, Any]],
    arms: Sequence[str],
    runs: Mapping[tuple[str, int], RunRow],
    seeds: Sequence[int],
    rule: Rule,
) -> dict[str, tuple[GuardView, ...]]:
    """Return how each arm stands beside each guardrail, by arm; judged once, after all seeds.

    Args:
        ledger: holds the runs.
        guards: as the study's specification has them.
        arms: names, the control first.
        runs: by arm and seed.
        seeds: of the study.
        rule: of the study.
    """
    from ablata.stats.guards import judge_guard

    found: dict[str, list[GuardView]] = {arm: [] for arm in arms[1:]}
    for guard in guards:
        key, higher = str(guard["key"]), bool(guard["higher_is_better"])
        values = judged_values(ledger, key, list(runs.values()))
        fair = [seed for seed in seeds if comparable_in_time([runs.get((arm, seed)) for arm in arms], key)]
        table = [[_value(runs.get((arm, seed)), values) for arm in arms] for seed in fair]
        base = [row[0] for row in table if math.isfinite(row[0])]
        mean = abs(math.fsum(base) / len(base)) if base else 0.0
        scale = mean / 100 if guard["percent"] else 1.0
        allowed = float(guard["allowed"]) * scale
        # Whole seeds only: a guardrail is looked at once, as the verdict is.
        done = len(fair) >= 2 and allowed > 0 and all((arm, seed) in runs for arm in arms for seed in seeds)
        judged = judge_guard(table, rule, allowed=allowed, higher_is_better=higher) if done else ()
        unit = "%" if guard["percent"] else str(guard["unit"])
        sign = "-" if higher else "+"
        for place, arm in enumerate(arms[1:]):
            one = judged[place] if judged else None
            found[arm].append(
                GuardView(
                    name=str(guard["name"]),
                    allowed=f"{sign}{float(guard['allowed']):g}{_unit(unit)}",
                    state="open" if one is None else one.state,
                    seeds=0 if one is None else one.seeds,
                    effect=None if one is None or one.effect is None else one.effect / scale,
                    worst=None if one is None or one.worst is None else one.worst / scale,
                    unit=unit,
                )
            )
    return {arm: tuple(views) for arm, views in found.items()}


def _value(run: RunRow | None, values: Mapping[str, float]) -> float:
    value = values.get(run.id) if run is not None and run.state == "completed" else None
    return math.nan if value is None or not math.isfinite(value) else float(value)


def _unit(unit: str) -> str:
    return unit if unit in ("", "%") else f" {unit}"


def guarded_end(arm: ArmView) -> str:
    """Return what follows an arm's verdict on the metric: `, and within its guardrails`; empty where it has none."""
    if not arm.guards or arm.verdict is None or arm.open:
        return ""
    if beyond := [f"{guard.name} beyond {guard.allowed}" for guard in arm.guards if guard.state == "beyond"]:
        return f", but {listing(beyond)}"
    if left := [f"{guard.name} within {guard.allowed}" for guard in arm.guards if guard.state == "open"]:
        return f", not shown to keep {listing(left)}"
    return ", and " + listing([f"{guard.name} within {guard.allowed}" for guard in arm.guards])


def guard_words(view: StudyView) -> tuple[str, ...]:
    """Say what each guardrail showed of each arm, and at which level; empty without guardrails."""
    arms = [arm for arm in view.treatments if arm.guards]
    if not arms:
        return ()
    return (
        *(f"{arm.name}: {'; '.join(_guard(guard) for guard in arm.guards)}." for arm in arms),
        f"Guardrails are tested once, after all seeds, one-sided, each at {100 * view.rule.alpha:g}% for all arms "
        "together (non-inferiority): not shown is not the same as broken. A joint verdict needs every test to "
        "succeed, so their number needs no correction.",
    )  # fmt: skip


def _guard(guard: GuardView) -> str:
    if guard.effect is None or guard.worst is None:
        return f"{guard.name} (allowed {guard.allowed}): not judged, too few runs that can be compared"
    unit = _unit(guard.unit)
    words = {"within": "kept", "beyond": "broken", "open": "not shown"}[guard.state]
    return (
        f"{guard.name} {guard.effect:+.3g}{unit}, at worst {guard.worst:+.3g}{unit}, allowed {guard.allowed}: {words}"
    )
