"""Arms against a control on scores that exist: one look, any number of runs an arm, seeds shared or not known.

The rule of a study says beforehand when it looks; scores that lie there already were not asked for by any rule, so they
are judged once. Seeds that arm and control share make pairs, as in a study; without them the arms are compared by
Welch's t test (1947) with each group's variance moderated toward the one that all groups share (Smyth 2004, as in
`contrasts`), which lets groups differ in size, down to one run. The bound on a p value is found by simulating tables
of the same sizes in which nothing differs, so that at most `alpha` of such tables get any false verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from ablata.stats.calibration import LOG_SPREAD, calibrate
from ablata.stats.contrasts import contrasts, t_quantile, upper_tail
from ablata.stats.distributions import student
from ablata.stats.jsonable import Jsonable
from ablata.stats.rounding import is_rounding
from ablata.stats.rule import Rule, Verdict, verdict_of
from ablata.stats.table import Floats, Table

PRIOR_DF = 4.0
_STUDIES = 20_000
_MOST_DRAWS = 12_000_000
"""Random numbers to spend on the bound of pairs: tables of many arms and seeds are simulated less often."""
_ENOUGH_SEEDS = 50
"""Seeds from which on the bound of pairs is that of any more, as far as the simulation tells (1 to 19 arms)."""


@dataclass(frozen=True, kw_only=True)
class FixedArm(Jsonable):
    """One arm against the control; numbers are None where the runs do not suffice for them.

    Attributes:
        verdict: better, worse, equivalent or undecided.
        runs: runs of the arm that count; of pairs, the seeds it shares with the control.
        effect: mean of the arm minus mean of the control, in the metric's unit.
        se: its standard error; `dof` its degrees of freedom.
        p_difference: two-sided p of "no difference", for this arm alone.
        interval: (low, high) of the effect, valid for all arms together.
    """

    verdict: Verdict
    runs: int
    effect: float | None
    se: float | None
    dof: float | None
    p_difference: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class FixedResult(Jsonable):
    """All arms against the control, judged once.

    Attributes:
        arms: in the order they were given.
        control_runs: runs of the control that count.
        paired: whether seeds were compared with each other.
        bound: what a p value has to stay below; None where nothing can be said.
        noise: standard deviation of one run (of a pair's half, where paired), pooled over the groups; None if no group
            has two runs.
    """

    arms: tuple[FixedArm, ...]
    control_runs: int
    paired: bool
    bound: float | None
    noise: float | None


def judge_groups(
    control: Sequence[float],
    arms: Sequence[Sequence[float]],
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> FixedResult:
    """Judge arms whose runs have nothing to do with each other: seeds differ, or are not known.

    Args:
        control: scores of the control's runs, finite, at least one.
        arms: scores of each arm's runs, finite, at least one each.
        margin: the largest difference that does not matter, > 0; None: nothing is called equivalent.
        alpha: share of tables without any difference that may get a false verdict.
        higher_is_better: False for a loss.

    Raises:
        ValueError: a group is empty or holds a score that is not finite.
    """
    groups = [np.asarray(group, dtype=np.float64) for group in (control, *arms)]
    if any(group.ndim != 1 or not len(group) or not np.isfinite(group).all() for group in groups):
        raise ValueError("every group must hold at least one score, all of them finite")
    sizes = np.array([len(group) for group in groups])
    means = np.array([group.mean() for group in groups])
    squares = np.array([((group - mean) ** 2).sum() for group, mean in zip(groups, means, strict=True)])
    effect = means[1:] - means[0]
    free = int((sizes - 1).sum())
    # Without any noise there is nothing to judge by: the runs are copies, or the score cannot change.
    if free < 2 or is_rounding(squares.sum() / free, np.abs(np.concatenate(groups)).max()):
        lone = tuple(
            _arm(size, value, None, None, None, margin, True) for size, value in zip(sizes[1:], effect, strict=True)
        )
        return FixedResult(arms=lone, control_runs=int(sizes[0]), paired=False, bound=None, noise=None)
    se, dof = _moderated(squares[None], sizes)
    bound = _bound_of_groups(tuple(int(size) for size in sizes), alpha)
    judged = tuple(
        _arm(size, value, error, degrees, bound, margin, higher_is_better)
        for size, value, error, degrees in zip(sizes[1:], effect, se[0], dof[0], strict=True)
    )
    noise = math.sqrt(squares.sum() / free)
    return FixedResult(arms=judged, control_runs=int(sizes[0]), paired=False, bound=bound, noise=noise)


def judge_pairs(
    scores: Mapping[int, Sequence[float | None]],
    *,
    margin: float | None = None,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> FixedResult:
    """Judge arms that ran with the control's seeds: each run is compared with the control's of the same seed.

    Args:
        scores: by seed the control's score and then one an arm; None where a run is missing. Seeds without a control
            are not used.
        margin, alpha, higher_is_better: as for `judge_groups`.

    Raises:
        ValueError: no seed has a score of the control, or the rows are not of one length.
    """
    rows = [[math.nan if value is None else float(value) for value in row] for _, row in sorted(scores.items())]
    rows = [row for row in rows if math.isfinite(row[0])]
    if not rows or len({len(row) for row in rows}) > 1:
        raise ValueError("every seed must have one score for the control and each arm, None where it is missing")
    values = np.array(rows)
    known = np.isfinite(values)
    table = Table(np.where(known, values, np.nan), ~known, np.ones_like(known), np.zeros_like(known))
    found = contrasts(table, _rule_of_pairs(len(rows), alpha, margin))
    noisy = bool(np.isfinite(found.se).any())
    bound = _bound_of_pairs(table.arms, len(rows), alpha) if noisy else None
    judged = []
    for index in range(table.arms):
        pairs, error = int(found.pairs[index]), float(found.se[index])
        usable = bound is not None and pairs >= 2 and math.isfinite(error)
        judged.append(
            _arm(
                pairs,
                float(found.effect[index]) if pairs else None,
                error if usable else None,
                float(found.dof[index]) if usable else None,
                bound,
                margin,
                higher_is_better,
            )
        )
    noise = math.sqrt(found.residual.variance) if noisy and found.residual.variance is not None else None
    return FixedResult(arms=tuple(judged), control_runs=len(rows), paired=True, bound=bound, noise=noise)


def _arm(
    runs: int,
    effect: float | None,
    se: float | None,
    dof: float | None,
    bound: float | None,
    margin: float | None,
    higher_is_better: bool,
) -> FixedArm:
    if effect is None or se is None or dof is None or bound is None:
        return FixedArm(
            verdict=Verdict.UNDECIDED,
            runs=int(runs),
            effect=effect,
            se=None,
            dof=None,
            p_difference=None,
            interval=None,
        )
    p_difference = 2 * float(upper_tail(abs(effect), se, dof))
    p_equivalence = None if margin is None else float(upper_tail(margin - abs(effect), se, dof))
    half = t_quantile(1 - bound / 2, dof) * se
    return FixedArm(
        verdict=verdict_of(effect, p_difference, p_equivalence, bound, higher_is_better),
        runs=int(runs),
        effect=float(effect),
        se=float(se),
        dof=float(dof),
        p_difference=p_difference,
        interval=(float(effect - half), float(effect + half)),
    )


def _moderated(squares: Floats, sizes: np.ndarray) -> tuple[Floats, Floats]:
    """Standard errors and degrees of freedom of each arm's difference to the control.

    Args:
        squares: (tables, groups) sums of squares about each group's mean, the control first.
        sizes: (groups,) runs.

    Returns:
        Two arrays (tables, groups - 1).
    """
    own = np.maximum(sizes - 1, 0)
    free = own.sum()
    shared = squares.sum(axis=1, keepdims=True) / free
    variance = (PRIOR_DF * shared + squares) / (PRIOR_DF + own)
    dof = np.minimum(PRIOR_DF + own, np.maximum(free, own)).astype(np.float64)
    part = variance / sizes
    total = part[:, :1] + part[:, 1:]
    below = part[:, :1] ** 2 / dof[0] + part[:, 1:] ** 2 / dof[1:]
    satterthwaite = np.divide(total**2, below, out=np.full_like(total, float(free)), where=below > 0)
    return np.sqrt(total), np.minimum(satterthwaite, max(free, 1))


def _rule_of_pairs(seeds: int, alpha: float, margin: float | None = None) -> Rule:
    """Return the rule that looks once, after all seeds."""
    return Rule(margin=margin, seeds=max(2, seeds), first_look=max(2, seeds), alpha=alpha, futility=False)


@cache
def _bound_of_pairs(arms: int, seeds: int, alpha: float) -> float:
    seeds = min(seeds, _ENOUGH_SEEDS)
    studies = min(_STUDIES, max(_STUDIES // 10, _MOST_DRAWS // (seeds * (arms + 1))))
    return calibrate(arms, _rule_of_pairs(seeds, alpha), studies=studies).bound


@cache
def _bound_of_groups(sizes: tuple[int, ...], alpha: float) -> float:
    """Return the p value that a share `alpha` of tables of these sizes without any difference falls below.

    Args:
        sizes: runs of the control and of each arm.
        alpha: the share.
    """
    rng = np.random.default_rng(0)
    counts = np.array(sizes)
    noise = np.exp(LOG_SPREAD * rng.standard_normal((_STUDIES, len(counts))))
    means = noise * rng.standard_normal(noise.shape) / np.sqrt(counts)
    degrees = np.maximum(counts - 1, 0)
    squares = noise**2 * np.where(degrees > 0, rng.chisquare(np.maximum(degrees, 1), noise.shape), 0.0)
    se, dof = _moderated(squares, counts)
    p = 2 * student.tail(np.abs(means[:, 1:] - means[:, :1]) / se, dof)
    return float(np.quantile(p.min(axis=1), alpha))


def smallest_visible(result: FixedResult, arm: int) -> float | None:
    """Return the true difference that this comparison would have found in 4 of 5 cases; None where nothing is known.

    Args:
        result: what `judge_groups` or `judge_pairs` returned.
        arm: which arm, from 0.
    """
    found = result.arms[arm]
    if found.se is None or found.dof is None or result.bound is None:
        return None
    return (t_quantile(1 - result.bound / 2, found.dof) + t_quantile(0.8, found.dof)) * found.se
