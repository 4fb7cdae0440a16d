"""Guardrails: quantities that a change may worsen by an allowed amount and no more, shown by non-inferiority.

An arm is within a guardrail where "worse than allowed" is rejected: a one-sided moderated t test of the difference to
the control against the allowed amount, at the looks of the study and at a bound that holds for all of them and all arms
together, found by simulation. The first look that answers counts. So at most the study's alpha of studies call an arm
within a guardrail that it breaks, whenever its arms stop. A claim of "better, and within every guardrail" needs each
test to succeed, so nothing is corrected for their number (intersection-union test: Berger 1982, Technometrics 24; the
practice of Schultzberg, Ankargren and Frånberg 2024, arXiv 2402.11609).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.batch import StudyBatch
from ablata.stats.calibration import GROWTH, STUDIES, Calibration, calibration_key, sorted_minima
from ablata.stats.contrasts import contrasts, t_quantile, upper_tail
from ablata.stats.distributions import student
from ablata.stats.jsonable import Jsonable
from ablata.stats.rounding import is_rounding
from ablata.stats.rule import RULE_VERSION, Rule
from ablata.stats.table import Floats, Table


@dataclass(frozen=True, kw_only=True)
class GuardedArm(Jsonable):
    """One arm beside one guardrail, at the look that answered, or at the last one.

    Attributes:
        state: `within`: shown not to worsen it by more than allowed; `beyond`: shown to worsen it by more; `open`.
        seeds: pairs that count.
        rows: whole rows of seeds at that look; 0 before the first.
        effect: arm minus control, in the unit of what is allowed; None with fewer than two pairs.
        worst: the worst difference that is compatible with the runs at the study's level; None as for `effect`, and
            where the runs show no spread.
        p: of "worse than allowed"; None as for `worst`.
    """

    state: Literal["within", "beyond", "open"]
    seeds: int
    rows: int = 0
    effect: float | None = None
    worst: float | None = None
    p: float | None = None


def guard_key(arms: int, rule: Rule, version: int = RULE_VERSION) -> str:
    """Return the name of what `calibrate_guard` makes."""
    return "guard:" + calibration_key(arms, _plain(rule), version=version)


def calibrate_guard(arms: int, rule: Rule, version: int = RULE_VERSION) -> Calibration:
    """Return the bound of one-sided p values: alpha of studies at the limit have one below at any look of any arm.

    Args:
        arms: without the control.
        rule: of the study; its margin and noise history do not count.
        version: of the rule.
    """
    plain, key, rng = _plain(rule), guard_key(arms, rule, version), np.random.default_rng(0)
    if not rule.looks:
        return Calibration.without_looks(key, STUDIES, version=version)

    def minima(studies: int) -> Floats:
        batch, least = StudyBatch(studies, arms, plain, version), np.full(studies, np.inf)
        for n in range(1, rule.seeds + 1):
            batch.add(rng.standard_normal((studies, arms + 1)))
            if n in rule.looks:
                variance, dof = batch.variance()
                p = student.tail(batch.effect * np.sqrt(n / variance), dof)
                least = np.minimum(least, p.min(axis=1) / (n / rule.seeds) ** GROWTH[version])
        return least

    found = sorted_minima(minima, STUDIES, scores=rule.seeds * (arms + 1))
    return Calibration.of(key, found, bound=float(np.quantile(found, rule.alpha)), version=version)


def _plain(rule: Rule) -> Rule:
    return replace(rule, margin=None, history=None)


def judge_guard(
    scores: ArrayLike,
    rule: Rule,
    calibration: Calibration,
    *,
    allowed: float,
    higher_is_better: bool,
    percent: bool = False,
    exact: bool = False,
) -> tuple[GuardedArm, ...]:
    """Say which arms stay within a guardrail, look by look; the first answer of an arm stays.

    Args:
        scores: float (seeds, 1 + arms), the guarded quantity, column 0 the control; NaN where there is none. Rows in
            which the control has none do not count.
        rule: of the study; its margin and noise history do not count.
        calibration: `calibrate_guard` of it.
        allowed: by how much an arm may be worse, above 0, in the quantity's unit.
        higher_is_better: False for a cost.
        percent: whether it is in percent of the control's mean at each look; then effects are, too.
        exact: chance has no part in the quantity, as in a number of parameters: it is judged without spread too.

    Returns:
        One value an arm, in the order of the columns.

    Raises:
        ValueError: `allowed` is not above 0.
    """
    if not (math.isfinite(allowed) and allowed > 0):
        raise ValueError(f"`allowed` must be finite and > 0, in the quantity's unit, got {allowed}")
    values = np.asarray(scores, dtype=np.float64)
    plain = replace(_plain(rule), margin=allowed, higher_is_better=higher_is_better)
    judged = [GuardedArm(state="open", seeds=0)] * (int(values.shape[1]) - 1)
    for rows in rule.looks:
        if rows > len(values):
            break
        known = values[:rows][~np.isnan(values[:rows, 0])]
        scale = abs(float(known[:, 0].mean())) / 100 if percent and len(known) else 1.0
        if len(known) < 2 or not scale:
            continue
        new = _look(known / scale, plain, calibration, allowed, exact=exact)
        # One that has no pair in the newest row has been looked at with all it has.
        fresh = np.full(len(new), len(rule.looks) == 1) | ~np.isnan(values[rows - 1, 1:] - values[rows - 1, 0])
        judged = [
            replace(one, rows=rows) if old.state == "open" and looks else old
            for old, one, looks in zip(judged, new, fresh, strict=True)
        ]
    return tuple(judged)


def _look(values: Floats, rule: Rule, calibration: Calibration, allowed: float, *, exact: bool) -> list[GuardedArm]:
    """Return how arms stand after one look at (rows, 1 + arms) with a value of the control in each row."""
    found = contrasts(Table.of(values, diverged=np.isnan(values)), rule, calibration.version)
    sign, once = -1.0 if rule.higher_is_better else 1.0, len(rule.looks) == 1
    judged = []
    for arm in range(values.shape[1] - 1):
        seeds, se, dof = int(found.pairs[arm]), float(found.se[arm]), float(found.dof[arm])
        if seeds < 2 or (math.isnan(se) and not exact):
            judged.append(GuardedArm(state="open", seeds=seeds, effect=float(found.effect[arm]) if seeds > 1 else None))
            continue
        effect, se = float(found.effect[arm]), 0.0 if math.isnan(se) else se
        # Where few runs can be compared the bound is that of so many seeds, which is stricter.
        bound = calibration.bound_at(seeds, rule) if once or seeds >= rule.first_look else 0.0
        p = float(upper_tail(allowed - sign * effect, se, dof))
        beyond = float(upper_tail(sign * effect - allowed, se, dof)) < bound
        worst = effect + sign * t_quantile(1 - bound, dof) * se if bound else None
        state: Literal["within", "beyond", "open"] = "within" if p < bound else "beyond" if beyond else "open"
        judged.append(GuardedArm(state=state, seeds=seeds, effect=effect, worst=worst, p=p))
    return judged


@dataclass(frozen=True, kw_only=True)
class PooledDifference(Jsonable):
    """The difference of two groups of runs whose noise is pooled with that of others.

    Attributes:
        effect: second minus first.
        low, high: one-sided bounds, each at the level that was asked for.
    """

    effect: float
    low: float
    high: float

    def is_still(self, size: float) -> bool:
        """Whether the runs showed no spread; `size` is that of their values."""
        return bool(is_rounding(((self.high - self.low) / 2) ** 2, size))


def pooled_difference(
    first: Sequence[float], second: Sequence[float], pools: Sequence[Sequence[float]] = (), *, alpha: float = 0.05
) -> PooledDifference:
    """Return the difference of two groups of runs, by a t test whose variance is pooled over all groups.

    Args:
        first, second: at least one value each.
        pools: further groups of runs of equal code, which tell the noise alone.
        alpha: of each one-sided bound.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in (first, second, *pools) if len(group)]
    df = sum(len(group) - 1 for group in groups)
    effect = float(np.mean(second) - np.mean(first))
    if df == 0:
        return PooledDifference(effect=effect, low=-math.inf, high=math.inf)
    variance = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / df
    half = t_quantile(1 - alpha, df) * math.sqrt(variance * (1 / len(first) + 1 / len(second)))
    return PooledDifference(effect=effect, low=effect - half, high=effect + half)
