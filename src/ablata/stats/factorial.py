"""Factorial studies: each change judged averaged over the others, with seeds as blocks and a look after each block.

One seed runs all cells of a `Design`. Its part that the cells share drops out of every contrast, and so do all other
effects, since the columns are orthogonal; what a change's contrasts differ by over seeds is noise. A contrast's own
variance is moderated by that of all contrasts (Smyth 2004), looks are paid for by the bound c * n / N of the sequential
rule, and the bound comes from simulated studies in which nothing differs, as in `ablata.stats.calibration`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.calibration import LOG_SPREAD, STUDIES, Calibration, sorted_minima
from ablata.stats.contrasts import t_quantile, upper_tail
from ablata.stats.designs import Design
from ablata.stats.distributions import student
from ablata.stats.jsonable import Jsonable
from ablata.stats.rule import Mode, Rule, Verdict, verdict_of
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
        contrasts: effects of all columns, in the order of `Design.contrasts`, for a half-normal plot.
        cells: mean score of each cell.
    """

    seeds: int
    factors: tuple[FactorResult, ...]
    interactions: tuple[InteractionResult, ...]
    noise: float | None
    contrasts: tuple[float, ...]
    cells: tuple[float, ...]

    @property
    def settled(self) -> bool:
        """Whether every change has a verdict, so that no further block is needed."""
        return all(factor.verdict is not Verdict.UNDECIDED for factor in self.factors)


@dataclass(frozen=True, eq=False)
class _Numbers:
    """Contrasts (columns,) after n blocks: effects, standard errors, degrees of freedom, and the pooled variance."""

    blocks: int
    effect: Floats
    se: Floats
    dof: float
    pooled: float


def judge_factorial(scores: ArrayLike, design: Design, rule: Rule, calibration: Calibration) -> FactorialResult:
    """Decide block by block, as if the seeds had come one after the other.

    Args:
        scores: float (seeds, cells), whole blocks without gaps, in the order of the design's cells.
        design: which changes each cell has.
        rule: as fixed before the first look; at most `rule.seeds` blocks. Its history is not used.
        calibration: `calibrate_factorial(design, rule)`.

    Raises:
        ValueError: the scores do not fit the design or the rule, or are not finite.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != design.cells or not 1 <= len(table) <= rule.seeds:
        raise ValueError(f"`scores` must have shape (1 to {rule.seeds}, {design.cells}), got {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError("`scores` must be finite: a block counts once all its cells have finished")
    if not calibration.key.startswith(_name(design, rule)):
        raise ValueError(f"the calibration must be for this design and rule, got {calibration.key}")
    rows = design.effects(table)
    settled: dict[int, FactorResult] = {}
    for n in range(1, len(table) + 1):
        numbers = _numbers(rows[:n], rule)
        for factor in range(design.factors):
            if factor not in settled:
                found = _factor(factor, n, numbers, rule, calibration)
                if found.verdict is not Verdict.UNDECIDED or n == len(table):
                    settled[factor] = found
    return FactorialResult(
        seeds=len(table),
        factors=tuple(settled[factor] for factor in range(design.factors)),
        interactions=_interactions(numbers, design),
        noise=None if math.isnan(numbers.pooled) else math.sqrt(numbers.pooled * design.cells) / 2,
        contrasts=tuple(numbers.effect.tolist()),
        cells=tuple(table.mean(axis=0).tolist()),
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


def _numbers(rows: Floats, rule: Rule) -> _Numbers:
    n, columns = rows.shape
    effect = rows.mean(axis=0)
    if n < 2:
        return _Numbers(n, effect, np.full(columns, np.nan), math.nan, math.nan)
    own = rows.var(axis=0, ddof=1)
    pooled = float(own.mean())
    weight = rule.prior_df + n - 1
    variance = (rule.prior_df * pooled + (n - 1) * own) / weight
    return _Numbers(n, effect, np.sqrt(variance / n), min(weight, columns * (n - 1)), pooled)


def _factor(factor: int, n: int, numbers: _Numbers, rule: Rule, calibration: Calibration) -> FactorResult:
    effect, se = float(numbers.effect[factor]), float(numbers.se[factor])
    known = not math.isnan(se)
    bound = calibration.bound_at(n, rule) if n in rule.looks else None
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
    found = []
    se = math.sqrt(numbers.pooled / numbers.blocks) if not math.isnan(numbers.pooled) else None
    dof = (design.cells - 1) * (numbers.blocks - 1)
    for at, group in enumerate(design.aliases, start=design.factors):
        effect = float(numbers.effect[at])
        p = None if se is None else 2 * float(upper_tail(abs(effect), se, dof))
        flagged = p is not None and p < FLAG_RATE / len(design.aliases)
        found.append(InteractionResult(pairs=group.pairs, effect=effect, se=se, p=p, flagged=flagged))
    return tuple(sorted(found, key=lambda one: -abs(one.effect)))


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
