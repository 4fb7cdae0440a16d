"""How noisy a mean over items must be: the variance that its items' own noise makes, and how far that is the whole.

A run's score is a mean over m items. If the items of a run erred independently of each other, its variance over seeds
would be S = sum_g var_g / m^2, where var_g is the variance over seeds of the sum over group g (one item, or the frames
of one video). A few hundred items give S in three runs, where the scores themselves would take thirty. The variance of
the score is phi * S: phi is above 1 as a run is better or worse as a whole, and is learnt from earlier studies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ablata.stats.distributions.gamma import digamma, trigamma
from ablata.stats.jsonable import Jsonable
from ablata.stats.table import Floats


@dataclass(frozen=True)
class ItemVariance:
    """S, in squared units of the score, and the degrees of freedom with which it is known (0: not at all)."""

    value: float
    df: float


@dataclass(frozen=True, kw_only=True)
class ItemPrior(Jsonable):
    """What is known of phi before a study.

    Args:
        level: its usual value, > 0.
        between: standard deviation of log phi from study to study, >= 0.
        within: the same from arm to arm within a study, >= 0.

    Raises:
        ValueError: an argument is out of range.
    """

    level: float = 1.2
    between: float = 0.2
    within: float = 0.2

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and self.level > 0):
            raise ValueError(f"`level` of phi must be finite and > 0, got {self.level}")
        for name in ("between", "within"):
            if not (math.isfinite(value := getattr(self, name)) and value >= 0):
                raise ValueError(f"`{name}` must be finite and >= 0, got {value}")


@dataclass(frozen=True)
class Phi:
    """One estimate of phi: the variance of scores over S, and the degrees of freedom of the former."""

    value: float
    df: float


def group_sums(values: Floats, groups: NDArray[np.int64] | None) -> Floats:
    """Return the sums over groups, (runs, groups); without groups the values themselves.

    Args:
        values: (runs, items).
        groups: (items,), the number of each item's group, from 0 on; None: each stands alone.
    """
    if groups is None:
        return values
    sums = np.zeros((values.shape[0], int(groups.max()) + 1))
    np.add.at(sums.T, groups, values.T)
    return sums


def item_variance(values: ArrayLike, groups: NDArray[np.int64] | None = None) -> ItemVariance:
    """Return S of some runs: of one arm's values, or of its differences to the control at the same seeds.

    Args:
        values: (runs, items), NaN-free; with fewer than two runs nothing is known.
        groups: as for `group_sums`.

    Returns:
        S, and degrees of freedom by the moments of its summands: 2 (sum var)^2 / sum var^2, as though which items are
        uncertain were drawn too.
    """
    table = np.asarray(values, dtype=np.float64)
    if len(table) < 2 or not table.shape[1]:
        return ItemVariance(0.0, 0.0)
    var = group_sums(table, groups).var(axis=0, ddof=1)
    squares = float(np.square(var).sum())
    df = 2 * float(var.sum()) ** 2 / squares if squares > 0 else 0.0
    return ItemVariance(float(var.sum()) / table.shape[1] ** 2, df)


def phi_of(values: ArrayLike, groups: NDArray[np.int64] | None = None) -> Phi | None:
    """Estimate phi from runs (runs, items) of one setting, or differences of two; None where nothing varies."""
    table = np.asarray(values, dtype=np.float64)
    found = item_variance(table, groups)
    if found.value <= 0:
        return None
    return Phi(float(table.mean(axis=1).var(ddof=1)) / found.value, len(table) - 1.0)


LEAST_SPREAD, LEAST_STUDIES = 0.2, 3


def learn_prior(studies: Sequence[Sequence[Phi]], default: ItemPrior | None = None) -> ItemPrior:
    """Return what earlier studies say of phi.

    The spreads of log phi are what is left of those of its estimates once the estimates' own error is taken off: that
    of log chi-square / df, psi'(df / 2) (DerSimonian and Laird's moments, 1986, on the logarithm). They are never taken
    for less than 0.2. Fewer than three studies, or too few arms, say nothing of a spread: there the default's counts.
    The level is the mean of the estimates and the default's, which counts as one that is known to its own spreads: one
    earlier study of two seeds says next to nothing.

    Args:
        studies: the estimates of each study's arms.
        default: what counts until then; None: `ItemPrior()`.
    """
    usual = default or ItemPrior()
    known = [[phi for phi in study if phi.value > 0 and phi.df > 0] for study in studies]
    known = [study for study in known if study]
    if not known:
        return usual
    weight = 2 / (usual.between**2 + usual.within**2)
    df = sum(phi.df for study in known for phi in study)
    level = (weight * usual.level + sum(phi.df * phi.value for study in known for phi in study)) / (weight + df)
    arms = [(_log(study), [trigamma(phi.df / 2) for phi in study]) for study in known if len(study) > 1]
    free = sum(len(logs) - 1 for logs, _ in arms)
    inside = usual.within
    if free >= LEAST_STUDIES:
        spread = sum(float(np.square(logs - logs.mean()).sum()) for logs, _ in arms) / free
        error = sum(float(np.mean(errors)) * (len(errors) - 1) for _, errors in arms) / free
        inside = math.sqrt(max(spread - error, LEAST_SPREAD**2))
    outside = usual.between
    if len(known) >= LEAST_STUDIES:
        means = np.array([_log(study).mean() for study in known])
        errors = [(float(np.mean([trigamma(phi.df / 2) for phi in study])) + inside**2) / len(study) for study in known]
        outside = math.sqrt(max(float(means.var(ddof=1)) - float(np.mean(errors)), LEAST_SPREAD**2))
    return ItemPrior(level=level, between=outside, within=inside)


def _log(study: Sequence[Phi]) -> Floats:
    """Unbiased estimates of log phi: the logarithm of chi-square / df lies below 0 on average."""
    return np.array([math.log(phi.value) - digamma(phi.df / 2) + math.log(phi.df / 2) for phi in study])
