"""A/A test: one setting's runs against each other, to see whether their noise is what the rule takes it for.

The rule takes the runs of one setting for independent draws of normal noise. Of runs in the order in which they were
started it can be seen whether they all score the same, whether some are copies of each other, whether the score moves
with time (a cache that grows, a checkpoint of the run before), whether neighbours are alike, and whether they look
normal; and what share of studies dealt from them, in which nothing differs, gets a verdict all the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.calibration import Calibration, calibrate
from ablata.stats.distributions.gamma import chi_square_quantile, poisson_tail
from ablata.stats.distributions.shapiro import shapiro_wilk
from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import Rule
from ablata.stats.simulation import judge_many
from ablata.stats.table import Floats

FEWEST_RUNS = 6
"""Runs below which nothing but their noise is told."""
LEVEL = 0.01
"""p below which one of the tests speaks up; of clean runs about 3 in 100 sets give a warning."""
_SHUFFLES = 10_000
_DEALT = 4_000


@dataclass(frozen=True, kw_only=True)
class AaResult(Jsonable):
    """What runs of one setting say about their noise; None where there are too few runs, or they are all alike.

    Attributes:
        runs: how many have a score.
        mean: of the scores.
        sd: standard deviation of a run; `sd_low` and `sd_high` its 95% interval, if the noise is normal.
        distinct: number of different scores.
        equal_pairs: pairs of runs with exactly the same score; `expected_pairs` as many as the steps of the score
            explain, and `p_equal` the probability of so many.
        trend: rank correlation (Spearman) of the score with the order of the runs, `p_trend` its two-sided p.
        serial: correlation of each run with the one before, `p_serial` its two-sided p; both by shuffling the order.
        p_normal: p of Shapiro and Wilk's test (1965) of normal noise.
        dealt_seeds: seeds of an arm in the studies that are dealt from the runs at random: a control and one arm.
        dealt: share of these studies with a verdict, though nothing differs; the rule promises `alpha`.
        alpha: of that rule.
    """

    runs: int
    mean: float | None = None
    sd: float | None = None
    sd_low: float | None = None
    sd_high: float | None = None
    distinct: int = 0
    equal_pairs: int = 0
    expected_pairs: float | None = None
    p_equal: float | None = None
    trend: float | None = None
    p_trend: float | None = None
    serial: float | None = None
    p_serial: float | None = None
    p_normal: float | None = None
    dealt_seeds: int | None = None
    dealt: float | None = None
    alpha: float = 0.05

    @property
    def enough(self) -> bool:
        """Whether there are enough runs for more than their noise."""
        return self.runs >= FEWEST_RUNS

    @property
    def constant(self) -> bool:
        """Whether all runs have the same score."""
        return self.runs > 1 and self.distinct == 1

    @property
    def copies(self) -> bool:
        """Whether more runs are equal to the last digit than the steps of the score explain."""
        return not self.constant and self.p_equal is not None and self.p_equal < LEVEL

    @property
    def moves(self) -> bool:
        """Whether the score moves with the order of the runs."""
        return self.p_trend is not None and self.p_trend < LEVEL

    @property
    def depends(self) -> bool:
        """Whether runs are like, or unlike, the one before."""
        return self.p_serial is not None and self.p_serial < LEVEL

    @property
    def odd(self) -> bool:
        """Whether the noise is far from normal, as with a run that stands alone."""
        return self.p_normal is not None and self.p_normal < LEVEL

    @property
    def too_many(self) -> bool:
        """Whether dealt studies get false verdicts at more than twice the rate of the rule."""
        return self.dealt is not None and self.dealt > 2 * self.alpha

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against what the rule takes for granted, as far as so many runs can show."""
        return not (self.constant or self.copies or self.moves or self.depends or self.odd or self.too_many)


def judge_aa(
    scores: ArrayLike,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    calibration: Callable[[int, Rule], Calibration] = calibrate,
) -> AaResult:
    """Test the runs of one setting against each other.

    Args:
        scores: float (runs,), in the order in which the runs were started; NaN, a run without a score, is left out.
        alpha: error rate of the rule by which dealt studies are judged.
        seed: of the generator that shuffles and deals; the same gives the same result.
        calibration: makes the bound of that rule.

    Returns:
        The result; from `FEWEST_RUNS` runs on with all its tests.

    Raises:
        ValueError: `scores` is not one-dimensional.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"`scores` must have shape (runs,), got {values.shape}")
    values = values[np.isfinite(values)]
    runs, distinct = len(values), len(np.unique(values))
    if runs < 2:
        return AaResult(runs=runs, distinct=distinct, mean=float(values[0]) if runs else None, alpha=alpha)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    if distinct == 1:
        return AaResult(runs=runs, mean=mean, sd=0.0, distinct=1, equal_pairs=math.comb(runs, 2), alpha=alpha)
    ends = [sd * math.sqrt((runs - 1) / chi_square_quantile(tail, runs - 1)) for tail in (0.025, 0.975)]
    pairs, expected, p_equal = equal_pairs(values)
    found = AaResult(
        runs=runs, mean=mean, sd=sd, sd_low=ends[0], sd_high=ends[1], distinct=distinct, equal_pairs=pairs, alpha=alpha
    )
    if runs < FEWEST_RUNS:
        return found
    rng = np.random.default_rng(seed)
    trend, p_trend, serial, p_serial = _order(values, rng)
    seeds = runs // 2
    rule = Rule(seeds=seeds, alpha=alpha, first_look=min(3, seeds))
    tables = rng.permuted(np.tile(values, (_DEALT, 1)), axis=1)[:, : 2 * seeds].reshape(_DEALT, seeds, 2)
    judged = judge_many(tables, rule, calibration(1, rule))
    return replace(
        found, expected_pairs=expected, p_equal=p_equal, trend=trend, p_trend=p_trend, serial=serial,
        p_serial=p_serial, p_normal=shapiro_wilk(values),
        dealt_seeds=seeds, dealt=float((judged.sign != 0).any(axis=1).mean()),
    )  # fmt: skip


def equal_pairs(scores: ArrayLike) -> tuple[int, float, float]:
    """Return pairs of equal scores, how many normal noise of this size gives in the steps of the score, and p.

    Args:
        scores: float (runs,), finite, not all equal.
    """
    values = np.asarray(scores, dtype=np.float64)
    sd = float(values.std(ddof=1))
    known, counts = np.unique(values, return_counts=True)
    pairs = int((counts * (counts - 1) // 2).sum())
    # Two draws of one normal distribution, rounded to steps h, are equal with probability h / (2 sd sqrt(pi)).
    chance = min(_step(np.diff(known), sd) / (2 * sd * math.sqrt(math.pi)), 1.0)
    expected = math.comb(len(values), 2) * chance
    return pairs, expected, poisson_tail(pairs - 1, expected) if pairs else 1.0


def _step(gaps: Floats, sd: float) -> float:
    """Return the step of which all gaps between scores are multiples; 0 where there is none above rounding."""
    step = 0.0
    for gap in gaps.tolist():
        while gap > 1e-6 * sd:
            step, gap = gap, step % gap
            gap = 0.0 if step - gap < 1e-6 * sd else gap
    return step if step > 1e-4 * sd else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks from 1 on; equal values share their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place], dtype=np.float64)


def _order(values: Floats, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return rank correlation with the order, and correlation with the run before, each with its p by shuffling."""
    ranks = _ranks(values)
    time = np.arange(len(values), dtype=np.float64)

    def both(order: Floats) -> tuple[Floats, Floats]:
        """Return drift and likeness of neighbours of orders of ranks, float64 (orders, runs)."""
        centred = order - order.mean(axis=1, keepdims=True)
        squares = np.square(centred).sum(axis=1)
        off = time - time.mean()
        drift = centred @ off / np.sqrt(squares * np.square(off).sum())
        return drift, (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / squares

    drift, like = (float(one[0]) for one in both(ranks[None]))
    shuffled = both(rng.permuted(np.tile(ranks, (_SHUFFLES, 1)), axis=1))
    # The mean of the serial correlation of independent runs is -1 / n, not 0.
    centre = float(shuffled[1].mean())
    extreme = (np.abs(shuffled[0]) >= abs(drift) - 1e-12, np.abs(shuffled[1] - centre) >= abs(like - centre) - 1e-12)
    p_drift, p_like = (float((1 + one.sum()) / (1 + _SHUFFLES)) for one in extreme)
    return drift, p_drift, like, p_like
