"""Factorial studies: each change judged averaged over the others, with seeds as blocks and a look after each block.

One seed runs all cells of a `Design`. Its part that the cells share drops out of every contrast, and so do all other
effects, since the columns are orthogonal; what a change's contrasts differ by over seeds is noise. A contrast's own
variance is moderated by that of all contrasts (Smyth 2004), looks are paid for by the bound c * n / N of the sequential
rule, and the bound comes from simulated studies in which nothing differs, as in `ablata.stats.calibration`.

A cell that left no score at one seed is left out at all seeds, and the rest is fitted by least squares (see
`lost_cells`); where that would mistake changes for interactions of two, whole blocks are left out instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.calibration import LOG_SPREAD, STUDIES, Calibration, sorted_minima
from ablata.stats.contrasts import t_quantile, upper_tail
from ablata.stats.distributions import student
from ablata.stats.factors.designs import Design
from ablata.stats.factors.lost_cells import Contrast, contrast_of
from ablata.stats.jsonable import Jsonable
from ablata.stats.rounding import is_rounding
from ablata.stats.rule import RULE_VERSION, Mode, Rule, Verdict, verdict_of
from ablata.stats.table import Floats

VERSION = 1
FLAG_RATE = Mode.SCREEN.alpha
"""Share of studies without any interaction in which one is flagged all the same: a flag is a hint, no claim."""


@dataclass(frozen=True, kw_only=True)
class FactorResult(Jsonable):
    """One change, averaged over the others.

    Attributes:
        factor: its number, from 0.
        verdict: better, worse, equivalent or undecided.
        seeds: whole blocks after which it was decided, or all there are.
        effect: mean of the cells with the change minus that of the cells without, in the metric's units.
        se: its standard error; None before the second block.
        dof: degrees of freedom of `se`.
        p_difference: two-sided p of "no difference".
        p_equivalence: p of "at least the margin apart"; None without a margin.
        bound: what a p value has to stay below at this look; None where no verdict can fall.
        interval: (low, high), valid over all looks and changes; None without a bound.
    """

    factor: int
    verdict: Verdict
    seeds: int
    effect: float
    se: float | None
    dof: float | None
    p_difference: float | None
    p_equivalence: float | None
    bound: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class InteractionResult(Jsonable):
    """An interaction of two changes, or the sum of several that the design cannot tell apart.

    Attributes:
        pairs: (i, j) of the changes.
        effect: half of how much one change's effect differs with and without the other.
        se: its standard error; None before the second block.
        p: two-sided p of "none", before any correction.
        flagged: p is small enough to look again, corrected for the number of groups at the rate of a screening.
    """

    pairs: tuple[tuple[int, int], ...]
    effect: float
    se: float | None
    p: float | None
    flagged: bool


@dataclass(frozen=True, kw_only=True)
class FactorialResult(Jsonable):
    """A factorial study after its last whole block.

    Attributes:
        seeds: whole blocks.
        factors: one a change, in their order.
        interactions: one a group of the design, the largest effect first.
        noise: standard deviation of one run within a seed, in the metric's units; None before the second block.
        contrasts: effects of all columns, in the order of `Design.contrasts`, for a half-normal plot; without the last
            where cells are left out.
        cells: mean score of each cell; None of one without any.
        lost: numbers of the cells that are left out, since at one seed or more they left no score.
        apart: blocks, from 0, that are left out since one of their cells left no score.
        clear: whether changes are told apart from interactions of two; where not, no verdict falls.
    """

    seeds: int
    factors: tuple[FactorResult, ...]
    interactions: tuple[InteractionResult, ...]
    noise: float | None
    contrasts: tuple[float, ...]
    cells: tuple[float | None, ...]
    lost: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()
    clear: bool = True

    @property
    def settled(self) -> bool:
        """Whether every change has a verdict, so that no further block is needed."""
        return all(factor.verdict is not Verdict.UNDECIDED for factor in self.factors)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Contrasts (columns,) after n blocks: effects, standard errors, degrees of freedom, and the pooled variance.

    `blocks` are those that count, `contrast` says which cells do, `pooled` is of a contrast with every cell.
    """

    blocks: int
    effect: Floats
    se: Floats
    dof: float
    pooled: float
    contrast: Contrast
    apart: tuple[int, ...]


def judge_factorial(
    scores: ArrayLike, design: Design, rule: Rule, calibration: Calibration, version: int = RULE_VERSION
) -> FactorialResult | None:
    """Decide block by block, as if the seeds had come one after the other.

    Args:
        scores: float (seeds, cells), whole blocks, in the order of the design's cells; NaN where a run left no score.
        design: which changes each cell has.
        rule: as fixed before the first look; at most `rule.seeds` blocks. Its history is not used.
        calibration: `calibrate_factorial(design, rule)`.
        version: of the rule; from 3 on no verdict falls while blocks show no spread.

    Returns:
        None where too few runs left a score to estimate any change.

    Raises:
        ValueError: the scores do not fit the design or the rule, or are infinite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != design.cells or not 1 <= len(table) <= rule.seeds:
        raise ValueError(f"`scores` must have shape (1 to {rule.seeds}, {design.cells}), got {table.shape}")
    if np.isinf(table).any():
        raise ValueError("`scores` must be finite, or NaN where a run left none")
    if not calibration.key.startswith(_name(design, rule)):
        raise ValueError(f"the calibration must be for this design and rule, got {calibration.key}")
    settled: dict[int, FactorResult] = {}
    numbers = None
    for n in range(1, len(table) + 1):
        if (seen := _numbers(table[:n], design, rule, version)) is None:
            continue
        numbers = seen
        for factor in range(design.factors):
            if factor not in settled:
                found = _factor(factor, numbers, rule, calibration)
                if found.verdict is not Verdict.UNDECIDED or n == len(table):
                    settled[factor] = found
    if numbers is None:
        return None
    seen_by_cell = [column[~np.isnan(column)] for column in table.T]
    return FactorialResult(
        seeds=len(table),
        factors=tuple(
            settled.get(factor) or _factor(factor, numbers, rule, calibration) for factor in range(design.factors)
        ),
        interactions=_interactions(numbers, design),
        noise=None if math.isnan(numbers.pooled) else math.sqrt(numbers.pooled * design.cells) / 2,
        contrasts=tuple(numbers.effect.tolist()),
        cells=tuple(float(column.mean()) if len(column) else None for column in seen_by_cell),
        lost=tuple(np.flatnonzero(~numbers.contrast.kept).tolist()),
        apart=numbers.apart,
        clear=numbers.contrast.clear,
    )


def calibrate_factorial(design: Design, rule: Rule, *, studies: int = STUDIES, seed: int = 0) -> Calibration:
    """Simulate studies in which nothing differs and return the bound. The same arguments give the same bits.

    Args:
        design: of the study.
        rule: for N, alpha, n0 and d0.
        studies: how many are simulated.
        seed: of the simulation's own generator.
    """
    key = factorial_key(design, rule, studies=studies, seed=seed)
    if not rule.looks:
        return Calibration.without_looks(key, studies)
    rng = np.random.default_rng(seed)
    minima = sorted_minima(
        lambda size: _null_minima(size, design, rule, rng), studies, scores=rule.seeds * design.cells
    )
    return Calibration.of(key, minima, bound=float(np.quantile(minima, rule.alpha)))


def factorial_key(design: Design, rule: Rule, *, studies: int = STUDIES, seed: int = 0) -> str:
    """Return a text that is equal exactly when `calibrate_factorial` would return the same."""
    return f"{_name(design, rule)}:studies={studies}:rng={seed}"


def _name(design: Design, rule: Rule) -> str:
    """What a calibration must fit, as text."""
    masks = ".".join(map(str, design.masks))
    return (
        f"f{VERSION}:base={design.base}:columns={masks}:folded={design.folded}:seeds={rule.seeds}"
        f":alpha={rule.alpha:.12g}:first={rule.first_look}:prior={rule.prior_df:.12g}:spread={LOG_SPREAD}"
    )


def _numbers(table: Floats, design: Design, rule: Rule, version: int) -> _Numbers | None:
    """Return what whole blocks (n, cells) say; None where they cannot tell any change."""
    holes = np.isnan(table)
    broken, empty = holes.any(axis=1), holes.all(axis=1)
    contrast = contrast_of(design, np.flatnonzero(holes[~empty].any(axis=0)).tolist())
    if (contrast is None or not contrast.clear) and not broken.all():
        contrast, empty = contrast_of(design, ()), broken
    apart, table = tuple(np.flatnonzero(empty).tolist()), table[~empty]
    if contrast is None or not len(table):
        return None
    rows = contrast.of(table)
    n, columns = rows.shape
    effect = rows.mean(axis=0)
    if n < 2:
        return _Numbers(n, effect, np.full(columns, np.nan), math.nan, math.nan, contrast, apart)
    own = (rows / contrast.spread).var(axis=0, ddof=1)
    pooled, pools = float(own.mean()), columns
    if not contrast.kept.all():
        # The contrasts of what is left are correlated, and not all there are: what the cells leave over is the noise.
        cells = table[:, contrast.kept]
        pools = cells.shape[1] - 1
        rest = cells - cells.mean(axis=0) - cells.mean(axis=1, keepdims=True) + cells.mean()
        pooled = float(np.square(rest).sum() / (pools * (n - 1)) * 4 / design.cells)
    if version > 2 and is_rounding(pooled, np.nanmax(np.abs(table))):
        pooled = math.nan
    weight = rule.prior_df + n - 1
    variance = (rule.prior_df * pooled + (n - 1) * own) / weight
    se = np.sqrt(variance / n) * contrast.spread
    return _Numbers(n, effect, se, min(weight, pools * (n - 1)), pooled, contrast, apart)


def _factor(factor: int, numbers: _Numbers, rule: Rule, calibration: Calibration) -> FactorResult:
    effect, se = float(numbers.effect[factor]), float(numbers.se[factor])
    known, n = not math.isnan(se), numbers.blocks
    looks = n in rule.looks and numbers.contrast.clear and known
    bound = calibration.bound_at(n, rule) if looks else None
    p = 2 * float(upper_tail(abs(effect), se, numbers.dof)) if known else None
    equal = None
    if known and rule.margin is not None:
        equal = float(upper_tail(rule.margin - abs(effect), se, numbers.dof))
    half = None if bound is None else t_quantile(1 - bound / 2, numbers.dof) * se
    return FactorResult(
        factor=factor,
        verdict=verdict_of(effect, p, equal, bound, rule.higher_is_better),
        seeds=n,
        effect=effect,
        se=se if known else None,
        dof=numbers.dof if known else None,
        p_difference=p,
        p_equivalence=equal,
        bound=bound,
        interval=None if half is None else (effect - half, effect + half),
    )


def _interactions(numbers: _Numbers, design: Design) -> tuple[InteractionResult, ...]:
    """Each group's contrast, with the noise of all columns: one column's own says too little for a hint."""
    if not numbers.contrast.clear:
        return ()
    found = []
    known = not math.isnan(numbers.pooled)
    dof = (int(numbers.contrast.kept.sum()) - 1) * (numbers.blocks - 1)
    for at, group in enumerate(design.aliases, start=design.factors):
        effect = float(numbers.effect[at])
        se = math.sqrt(numbers.pooled / numbers.blocks) * float(numbers.contrast.spread[at]) if known else None
        p = None if se is None else 2 * float(upper_tail(abs(effect), se, dof))
        flagged = p is not None and p < FLAG_RATE / len(design.aliases)
        found.append(InteractionResult(pairs=group.pairs, effect=effect, se=se, p=p, flagged=flagged))
    return tuple(sorted(found, key=lambda one: -abs(one.effect)))


def predicted_best(result: FactorialResult, *, higher: bool) -> tuple[int, ...]:
    """Return the changes of the combination that should score best, numbered from 0; it need not have run.

    The sum of the changes' effects and of the flagged interactions that are of one pair alone; a change that was called
    equivalent is left off, and of equal sums the one with fewer changes is taken.

    Args:
        result: after at least one block.
        higher: whether higher scores are better.
    """
    sign = 1.0 if higher else -1.0
    effects = np.array([sign * factor.effect for factor in result.factors])
    pairs = [(one.pairs[0], sign * one.effect) for one in result.interactions if one.flagged and len(one.pairs) == 1]
    free = [one.factor for one in result.factors if one.verdict is not Verdict.EQUIVALENT]
    cells = np.zeros((1 << len(free), len(effects)))
    for bit, factor in enumerate(free):
        cells[:, factor] = np.arange(len(cells)) >> bit & 1
    signs = 2 * cells - 1
    sums = signs @ effects / 2 + sum(signs[:, i] * signs[:, j] * effect / 2 for (i, j), effect in pairs)
    best = max(range(len(cells)), key=lambda at: (round(float(sums[at]), 12), -cells[at].sum()))
    return tuple(np.flatnonzero(cells[best]).tolist())


def _null_minima(studies: int, design: Design, rule: Rule, rng: np.random.Generator) -> Floats:
    """The least p / (n / N) over looks and changes of studies without a difference, (studies,).

    A change can be as much noisier than another as an arm can: the contrasts have noise exp(0.3 z).
    """
    columns = design.cells - 1
    spread = np.exp(LOG_SPREAD * rng.standard_normal((studies, columns)))
    rows = rng.standard_normal((rule.seeds, studies, columns)) * spread
    least = np.full(studies, np.inf)
    for n in rule.looks:
        seen = rows[:n]
        own = seen.var(axis=0, ddof=1)
        weight = rule.prior_df + n - 1
        variance = (rule.prior_df * own.mean(axis=1, keepdims=True) + (n - 1) * own) / weight
        squares = np.square(seen.mean(axis=0)) * n / variance
        greatest = np.sqrt(squares[:, : design.factors].max(axis=1))
        p = 2 * student.tail(greatest, min(weight, columns * (n - 1)))
        least = np.minimum(least, p * rule.seeds / n)
    return least
