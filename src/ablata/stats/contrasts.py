"""Arm against control at one look: the shared residual variance, the moderated t test and the equivalence test.

The model is y[a, s] = mu_a + u_s + e[a, s]: the seed's shared part u_s drops out of every difference, and the residual
variance s_e^2 is pooled over all arms; see `moderation` for how it and an arm's own variance make that of a difference.
Equivalence is two one-sided tests (Schuirmann 1987). From version 3 of the rule on, an arm whose differences have no
spread at all, where nothing else tells the noise either, has no variance: without noise everything would be a verdict.
An arm that is the control's own training has none to be uncertain about, see `rounding.is_same`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions import student
from ablata.stats.items.moderation import ItemEvidence, moderate_items
from ablata.stats.moderation import Residuals, history_trust, moderate, pooled
from ablata.stats.rounding import is_rounding, is_same
from ablata.stats.rule import RULE_VERSION, Rule
from ablata.stats.table import Floats, Table


@dataclass(frozen=True)
class Residual:
    """Pooled residual of a two-way layout: sum of squares `ss` and degrees of freedom `df` (0 if nothing is left)."""

    ss: float
    df: float

    @property
    def variance(self) -> float | None:
        """s_e^2 = ss / df, in squared units of the metric; None without degrees of freedom."""
        return self.ss / self.df if self.df > 0 else None


@dataclass(frozen=True, eq=False)
class Contrasts:
    """All arms against the control. Every array is float64 (arms,), NaN where an arm has too few pairs.

    Attributes:
        pairs: seeds n at which both the arm and the control finished.
        effect: d, mean difference arm minus control over these seeds, in the metric's units.
        variance: V, moderated variance of one difference; NaN too where there is no spread to tell it by.
        dof: nu, degrees of freedom of `variance`.
        se: standard error of the effect, sqrt(V / n).
        p_difference: two-sided p of "no difference".
        p_equivalence: the greater p of "below -delta" and "above +delta"; NaN without a margin.
        effect_size: effect in units of s_e (for unpaired arms of the root mean variance of arm and control).
        residual: the pooled residual, with what counts of the noise history.
        history_trust: how far that counts, from 0 to 1; None without one.
    """

    pairs: Floats
    effect: Floats
    variance: Floats
    dof: Floats
    se: Floats
    p_difference: Floats
    p_equivalence: Floats
    effect_size: Floats
    residual: Residual
    history_trust: float | None = None


def pooled_residual(scores: Floats) -> Residual:
    """Return the exact least-squares residual of y[a, s] = mu_a + u_s + e[a, s].

    Args:
        scores: float (seeds, columns), NaN where there is no score. When columns only ever end (an arm is closed), the
            residual follows from each new row against the mean of the earlier ones; with holes (a diverged run) the
            layout is fitted.

    Returns:
        Sum of squares and degrees of freedom. Source: Helmert contrasts over seeds within the columns still open.
    """
    known = ~np.isnan(scores)
    if not (known[:-1] >= known[1:]).all():
        return _fitted_residual(scores, known)
    if len(scores) < 2:
        return Residual(0.0, 0.0)
    earlier = np.arange(1, len(scores))
    step = scores[1:] - np.cumsum(scores, axis=0)[:-1] / earlier[:, None]
    open_columns = known[1:].sum(axis=1)
    centre = np.where(known[1:], step, 0.0).sum(axis=1) / np.maximum(open_columns, 1)
    squares = np.where(known[1:], step - centre[:, None], 0.0) ** 2
    ss = float((earlier / (earlier + 1) * squares.sum(axis=1)).sum())
    return Residual(ss, float(np.maximum(open_columns - 1, 0).sum()))


def _fitted_residual(scores: Floats, known: np.ndarray) -> Residual:
    row, column = np.nonzero(known)
    design = np.concatenate([np.eye(scores.shape[0])[row], np.eye(scores.shape[1])[column]], axis=1)
    values = scores[known] - scores[known].mean()
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    left = values - design @ solution
    return Residual(float(left @ left), float(len(values) - rank))


def contrasts(table: Table, rule: Rule, version: int = RULE_VERSION, evidence: ItemEvidence | None = None) -> Contrasts:
    """Compare every arm with the control over the rows of `table`.

    Arms whose pairs come from different environment classes do not enter the pooled residual and are compared by
    Welch's t test (1947), with the arm's and the control's own variance and no gain from pairing.

    Args:
        table: whole seed rows.
        rule: for the margin, the prior weight d0 and the noise history.
        version: of the rule.
        evidence: what single items say of each arm's noise; its prior then takes the place of the shared variance.

    Returns:
        One value an arm, in the order of the columns.
    """
    residuals = _residuals(table.scores[:, table.paired_columns], rule)
    residual = Residual(*(float(part) for part in pooled(residuals, version)))
    control, arms = table.scores[:, :1], table.scores[:, 1:]
    difference = arms - control
    both = ~np.isnan(difference)
    n = both.sum(axis=0).astype(np.float64)
    effect, own = _mean_and_variance(difference, both)
    variance, dof = moderate(own, n, residuals, rule.prior_df, version)
    if evidence is not None:
        open_arms = evidence.items.at(table.seeds).of(table.ran[-1, 1:])
        by_items, items_dof = moderate_items(own, n, open_arms, evidence.prior)
        variance, dof = (np.where(np.isnan(one), two, one) for one, two in ((by_items, variance), (items_dof, dof)))
    unit = np.full(n.shape, residual.variance if residual.variance is not None else np.nan) ** 0.5
    apart = table.unpaired[1:]
    if apart.any():
        spread_arm = _mean_and_variance(arms, both)[1]
        spread_control = _mean_and_variance(np.broadcast_to(control, arms.shape), both)[1]
        variance = np.where(apart, spread_arm + spread_control, variance)
        # The bound of later versions is found for paired arms, whose variance is better known: n - 1 pays for that.
        welch = _welch_dof(spread_arm, spread_control, n) if version == 1 else n - 1
        dof = np.where(apart, welch, dof)
        unit = np.where(apart, np.sqrt((spread_arm + spread_control) / 2), unit)
    if version > 2:
        largest = _largest(table.scores)
        still = is_rounding(variance, largest)
        for arm in np.flatnonzero(still):
            use = both[:, arm]
            still[arm] = not is_same(control[use, 0], arms[use, arm], rule.margin)
        variance = np.where(still, np.nan, variance)
        effect = np.where(still & is_rounding(np.square(effect), largest), 0.0, effect)
    se = np.sqrt(variance / np.maximum(n, 1))
    return Contrasts(
        pairs=n,
        effect=effect,
        variance=variance,
        dof=dof,
        se=se,
        p_difference=2 * upper_tail(np.abs(effect), se, dof),
        p_equivalence=upper_tail((math.nan if rule.margin is None else rule.margin) - np.abs(effect), se, dof),
        effect_size=np.divide(effect, unit, out=np.full(n.shape, np.nan), where=unit > 0),
        residual=residual,
        history_trust=None if rule.history is None else float(history_trust(residuals, version)),
    )


def t_quantile(probability: float, dof: float) -> float:
    """Return the quantile of Student's t, e.g. `t_quantile(0.975, 4)` = 2.776. `dof` need not be whole."""
    return float(student.quantile(probability, dof))


def upper_tail(distance: ArrayLike, se: ArrayLike, dof: ArrayLike) -> Floats:
    """Return P(T > distance / se) of Student's t; the three arguments broadcast.

    Without any noise a distance decides by its sign alone, and none is no evidence (0.5). NaN gives NaN.
    """
    apart, error = np.broadcast_arrays(np.asarray(distance, dtype=np.float64), np.asarray(se, dtype=np.float64))
    limit = np.where((apart == 0) | np.isnan(apart), apart, np.copysign(np.inf, apart))
    t = np.divide(apart, error, out=limit, where=(error > 0) | np.isnan(error))
    return student.tail(t, dof)


def _largest(scores: Floats) -> float:
    return float(np.nanmax(np.abs(scores), initial=0.0))


def _mean_and_variance(values: Floats, use: np.ndarray) -> tuple[Floats, Floats]:
    """Means and variances (ddof 1) down the columns over `use`; NaN with no value, and with one for the variance."""
    n = use.sum(axis=0)
    mean = np.where(n > 0, np.where(use, values, 0.0).sum(axis=0) / np.maximum(n, 1), np.nan)
    squares = np.where(use, values - mean, 0.0) ** 2
    return mean, np.where(n > 1, squares.sum(axis=0) / np.maximum(n - 1, 1), np.nan)


def _residuals(scores: Floats, rule: Rule) -> Residuals:
    """Split the residual of paired columns, the control first, into the control's and the arms'."""
    whole = pooled_residual(scores)
    arms = pooled_residual(scores[:, 1:]) if scores.shape[1] > 2 else Residual(0.0, 0.0)
    count = (~np.isnan(scores[1:, 1:]) & ~np.isnan(scores[1:, :1])).sum(axis=1)
    history = rule.history
    return Residuals(
        ss=np.float64(whole.ss),
        df=np.float64(whole.df),
        arms_ss=np.float64(arms.ss),
        arms_df=np.float64(arms.df),
        per_arm=np.float64((1 / count[count > 0]).mean() if (count > 0).any() else 0.0),
        history_variance=np.float64(history.variance if history else 0.0),
        history_df=np.float64(rule.history_df),
    )


def _welch_dof(arm: Floats, control: Floats, n: Floats) -> Floats:
    top, bottom = (arm + control) ** 2, arm**2 + control**2
    return (n - 1) * np.divide(top, bottom, out=np.ones_like(top), where=bottom > 0)
