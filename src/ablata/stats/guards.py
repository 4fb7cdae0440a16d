"""Guardrails: quantities that a change may worsen by an allowed amount and no more, shown by non-inferiority.

An arm is within a guardrail where "worse than allowed" is rejected: a one-sided moderated t test of the difference to
the control against the allowed amount, at a bound that holds for all arms together, found by simulation for one look.
So at most the study's alpha of studies call an arm within a guardrail that it breaks. A claim of "better, and within
every guardrail" needs each test to succeed, so nothing is corrected for their number (intersection-union test: Berger
1982, Technometrics 24; the practice of Schultzberg, Ankargren and Frånberg 2024, arXiv 2402.11609).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.batch import StudyBatch
from ablata.stats.contrasts import contrasts, t_quantile, upper_tail
from ablata.stats.distributions import student
from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import RULE_VERSION, Rule
from ablata.stats.table import Table

_STUDIES = 20_000


@dataclass(frozen=True, kw_only=True)
class GuardedArm(Jsonable):
    """One arm beside one guardrail.

    Attributes:
        state: `within`: shown not to worsen it by more than allowed; `beyond`: shown to worsen it by more; `open`.
        seeds: pairs that count.
        effect: arm minus control; None with fewer than two pairs.
        worst: the worst difference that is compatible with the runs at the study's level; None as for `effect`.
        p: of "worse than allowed"; None as for `effect`.
    """

    state: Literal["within", "beyond", "open"]
    seeds: int
    effect: float | None = None
    worst: float | None = None
    p: float | None = None


@cache
def guard_bound(arms: int, seeds: int, alpha: float, prior_df: float, version: int = RULE_VERSION) -> float:
    """Return what one-sided p values of all arms have to stay below at one look: alpha of null studies have one below.

    Args:
        arms: without the control.
        seeds: rows, at least 2.
        alpha: error rate.
        prior_df: weight of the shared variance.
        version: of the rule.
    """
    rng = np.random.default_rng(0)
    batch = StudyBatch(_STUDIES, arms, Rule(seeds=seeds, alpha=alpha, first_look=2, prior_df=prior_df), version)
    for _ in range(seeds):
        batch.add(rng.standard_normal((_STUDIES, arms + 1)))
    variance, dof = batch.variance()
    p = student.tail(batch.effect * np.sqrt(seeds / variance), dof)
    return float(np.quantile(p.min(axis=1), alpha))


def judge_guard(
    scores: ArrayLike, rule: Rule, *, allowed: float, higher_is_better: bool, version: int = RULE_VERSION
) -> tuple[GuardedArm, ...]:
    """Say which arms stay within a guardrail.

    Args:
        scores: float (seeds, 1 + arms), the guarded quantity, column 0 the control; NaN where there is none. Rows in
            which the control has none do not count.
        rule: of the study; its margin and noise history do not count.
        allowed: by how much an arm may be worse, above 0, in the quantity's unit.
        higher_is_better: False for a cost.
        version: of the rule.

    Returns:
        One value an arm, in the order of the columns.

    Raises:
        ValueError: `allowed` is not above 0.
    """
    if not (math.isfinite(allowed) and allowed > 0):
        raise ValueError(f"`allowed` must be finite and > 0, in the quantity's unit, got {allowed}")
    values = np.asarray(scores, dtype=np.float64)
    values = values[~np.isnan(values[:, 0])]
    arms = int(values.shape[1]) - 1
    few = GuardedArm(state="open", seeds=0)
    if len(values) < 2:
        return (few,) * arms
    plain = replace(rule, margin=None, history=None, higher_is_better=higher_is_better)
    found = contrasts(Table.of(values, diverged=np.isnan(values)), plain, version)
    bound = guard_bound(arms, len(values), rule.alpha, rule.prior_df, version)
    sign = -1.0 if higher_is_better else 1.0
    judged = []
    for arm in range(arms):
        seeds, se, dof = int(found.pairs[arm]), float(found.se[arm]), float(found.dof[arm])
        if seeds < 2 or math.isnan(se):
            judged.append(GuardedArm(state="open", seeds=seeds))
            continue
        effect = float(found.effect[arm])
        p = float(upper_tail(allowed - sign * effect, se, dof))
        beyond = float(upper_tail(sign * effect - allowed, se, dof)) < bound
        worst = effect + sign * t_quantile(1 - bound, dof) * se
        state: Literal["within", "beyond", "open"] = "within" if p < bound else "beyond" if beyond else "open"
        judged.append(GuardedArm(state=state, seeds=seeds, effect=effect, worst=worst, p=p))
    return tuple(judged)


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
