"""How far a difference holds for other items of this kind: seeds and items crossed, clusters as one.

Differences z[s, i] of arm and control at seed s on item i vary over seeds (a run is better as a whole), over items (a
change helps some images) and over both. The mean over all of them is known with the variance

    var_s(mean_i z) / n + var_i(mean_s z) / m - sum_i var_s(z_i) / (n m^2),

the crossed random-effects variance of Owen (2007, "The pigeonhole bootstrap"), whose last term is what the first two
count twice. Clusters take the place of items where items are not independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ablata.stats.contrasts import t_quantile
from ablata.stats.items.noise import group_sums, item_variance
from ablata.stats.jsonable import Jsonable
from ablata.stats.table import Floats


@dataclass(frozen=True, kw_only=True)
class PopulationInterval(Jsonable):
    """An effect as it would be on other items of this kind.

    Attributes:
        effect: mean difference, arm minus control.
        low, high: its 95% interval over new seeds and new items, for this arm alone and at this look.
        se, dof: its standard error and degrees of freedom.
        seeds, items, clusters: how many there were.
        items_fraction: the fraction of the variance that more items of the kind would remove, in [0, 1].
    """

    effect: float
    low: float
    high: float
    se: float
    dof: float
    seeds: int
    items: int
    clusters: int
    items_fraction: float


def population_interval(
    differences: ArrayLike, groups: NDArray[np.int64] | None = None, *, level: float = 0.95
) -> PopulationInterval | None:
    """Return the interval of a difference for other items of this kind.

    Args:
        differences: (seeds, items), arm minus control at the same seed and item.
        groups: the number of each item's cluster, from 0 on; None: each stands alone.
        level: of the interval.

    Returns:
        None with fewer than two seeds or two clusters. Degrees of freedom are Satterthwaite's, but no fewer than those
        of the seeds or clusters, whichever are fewer: what is taken off the variance would leave a fraction of one.
    """
    table = np.asarray(differences, dtype=np.float64)
    seeds, items = table.shape
    sums = group_sums(table, groups)
    clusters = sums.shape[1]
    if seeds < 2 or clusters < 2:
        return None
    effect = float(table.mean())
    by_seed = float(table.mean(axis=1).var(ddof=1)) / seeds
    twice = item_variance(table, groups).value / seeds
    by_item = _between_items(sums, _sizes(items, groups), effect) / items**2
    # What seeds add beyond the items' own noise may come out negative, but never takes half of the items' part away.
    variance = max(by_seed + by_item - twice, 0.5 * by_item)
    square = by_seed**2 / (seeds - 1) + by_item**2 / (clusters - 1)
    dof = max(variance**2 / square, min(seeds, clusters) - 1.0) if square > 0 else math.inf
    half = t_quantile((1 + level) / 2, dof) * math.sqrt(variance)
    return PopulationInterval(
        effect=effect,
        low=effect - half,
        high=effect + half,
        se=math.sqrt(variance),
        dof=dof,
        seeds=seeds,
        items=items,
        clusters=clusters,
        items_fraction=1 - max(by_seed - twice, 0.0) / variance if variance > 0 else 0.0,
    )


@dataclass(frozen=True, kw_only=True)
class Flips(Jsonable):
    """Items on which two arms disagree.

    Attributes:
        gained: numbers of the items that the arm's runs got right more often, the plainest first.
        lost: those that they got right less often.
        gains, losses: by how much, in the score's unit, in the order of the numbers.
        alike: how many items differ in no run.
    """

    gained: tuple[int, ...]
    lost: tuple[int, ...]
    gains: tuple[float, ...]
    losses: tuple[float, ...]
    alike: int


def flips(differences: ArrayLike, most: int = 12) -> Flips:
    """Return the items on which an arm and its control disagree most: by what every seed shows, then by the mean.

    Args:
        differences: (seeds, items), arm minus control; at least one seed.
        most: how many of each kind.
    """
    table = np.asarray(differences, dtype=np.float64)
    mean = table.mean(axis=0)
    gained, lost = (
        [
            int(place)
            for place in np.lexsort((-sign * mean, -_at_every_seed(sign * table)))[:most]
            if sign * mean[place] > 0
        ]
        for sign in (1, -1)
    )
    return Flips(
        gained=tuple(gained),
        lost=tuple(lost),
        gains=tuple(float(mean[place]) for place in gained),
        losses=tuple(float(mean[place]) for place in lost),
        alike=int((table == 0).all(axis=0).sum()),
    )


def _at_every_seed(table: Floats) -> Floats:
    """Return the difference that an item shows at every seed, 0 where seeds disagree on its sign."""
    shown: Floats = np.maximum(table.min(axis=0), 0.0)
    return shown


def _sizes(items: int, groups: NDArray[np.int64] | None) -> Floats:
    return np.ones(items) if groups is None else np.bincount(groups).astype(np.float64)


def _between_items(sums: Floats, sizes: Floats, mean: float) -> float:
    """Variance of a sum over as many new clusters: the ratio estimator's, so that clusters may differ in size."""
    off = sums.mean(axis=0) - sizes * mean
    count = len(off)
    return float(np.square(off).sum()) * count / max(count - 1, 1)
