"""How noisy a difference is, drawn toward what its items say instead of what other arms' scores say.

As in `ablata.stats.moderation` after Smyth (2004), but the prior variance is the arm's own, phi * S, so an arm that is
truly noisier has a greater one. Its weight d0 follows from what is uncertain about it: phi's level for this study,
which the other arms of the study narrow down, phi's spread from arm to arm, and S itself; a variance whose logarithm
has the variance e^2 is known with about 2 / e^2 degrees of freedom. Where the arm's own differences contradict the
prior from above, it loses its weight, so that noise the items cannot show (a run that fails as a whole) counts in full.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ablata.stats.distributions.beta import f_cdf
from ablata.stats.items.noise import ItemPrior
from ablata.stats.table import Bools, Floats

WINDOW = (0.5, 1.0)
"""From which quantile of F on an excess over the prior begins to cost it weight, and from which on all of it."""
MOST_DF = 40.0
SHARED_CONTROL = 0.25
"""Squared correlation of two arms' variances that share the control's noise (correlation 1/2 of the differences)."""


@dataclass(frozen=True, eq=False)
class ArmItems:
    """What the items say of each arm's difference to the control: S and its degrees of freedom, (..., arms).

    NaN or 0 where an arm has no items; it is then judged as without.
    """

    value: Floats
    df: Floats

    def at(self, seeds: int) -> ArmItems:
        """Return those after `seeds` rows, where the first axis of the arrays is the rows."""
        return ArmItems(self.value[seeds - 1], self.df[seeds - 1])

    def of(self, running: Bools) -> ArmItems:
        """Return those of the arms that still run, (..., arms): a closed one no longer tells how large phi is."""
        return ArmItems(np.where(running, self.value, 0.0), self.df)


@dataclass(frozen=True, eq=False)
class ItemEvidence:
    """What the items say of the arms' noise after each row, (rows, ..., arms), and what was known of phi before."""

    items: ArmItems
    prior: ItemPrior


def moderate_items(own: Floats, n: Floats | float, items: ArmItems, prior: ItemPrior) -> tuple[Floats, Floats]:
    """Return variance and degrees of freedom of one difference of each arm to the control; NaN without items.

    Args:
        own: variance of an arm's differences (ddof 1), (..., arms).
        n: pairs, at least 2; broadcasts to `own`.
        items: S of the same differences, (..., arms).
        prior: of phi.

    Returns:
        Two arrays of the shape of `own`.
    """
    free = np.broadcast_to(np.asarray(n, dtype=np.float64) - 1, own.shape)
    known = (items.value > 0) & (items.df > 0) & ~np.isnan(own) & (free > 0)
    size = np.where(known, items.value, 1.0)
    level, level_df = _level(np.where(known, own / size, 0.0), known, free, prior)
    uncertain = prior.within**2 + 2 / np.where(known, items.df, 1.0) + 2 / level_df
    weight, expected = np.minimum(2 / uncertain, MOST_DF), level * size
    quantile = f_cdf(np.where(known, own, 0.0) / expected, np.maximum(free, 1), weight)
    weight = weight * (1 - np.clip((quantile - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0.0, 1.0))
    dof = weight + free
    variance = (weight * expected + free * own) / np.maximum(dof, 1e-9)
    return np.where(known, variance, np.nan), np.where(known, dof, np.nan)


def _level(ratio: Floats, known: np.ndarray, free: Floats, prior: ItemPrior) -> tuple[Floats, Floats]:
    """Phi's level for each arm by the prior and the study's other arms, and its degrees of freedom."""
    before = 2 / max(prior.between**2, 1e-3)
    others = np.maximum(known.sum(axis=-1, keepdims=True) - known, 0)
    some = np.maximum(others, 1)
    mean = (np.where(known, ratio, 0.0).sum(axis=-1, keepdims=True) - np.where(known, ratio, 0.0)) / some
    df = np.where(others > 0, free / (1 / some + SHARED_CONTROL * (1 - 1 / some)), 0.0)
    return (before * prior.level + df * mean) / (before + df), before + df
