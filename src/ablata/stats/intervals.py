"""The mean of one arm over its seeds with a t interval: what a table shows, never what a verdict rests on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.contrasts import t_quantile
from ablata.stats.jsonable import Jsonable


@dataclass(frozen=True, kw_only=True)
class MeanInterval(Jsonable):
    """Mean of the finished runs of one arm.

    Attributes:
        seeds: number n of finished runs; to be shown next to the mean.
        mean: their mean, None with n = 0.
        sd: standard deviation over seeds (ddof 1), None with n < 2.
        low, high: the t interval, None with n < 2.
        level: its coverage for one arm looked at once.
    """

    seeds: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    level: float


def mean_interval(scores: ArrayLike, *, level: float = 0.95) -> MeanInterval:
    """Return the mean of one arm's scores with its t interval over seeds.

    Args:
        scores: float (seeds,), NaN where a run did not finish; those are left out and not counted.
        level: coverage in (0, 1).

    Raises:
        ValueError: `level` is out of range, or `scores` is not one-dimensional.
    """
    if not 0 < level < 1:
        raise ValueError(f"`level` must lie between 0 and 1, got {level}")
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"`scores` must have shape (seeds,), got {values.shape}")
    values = values[~np.isnan(values)]
    n = len(values)
    mean = float(values.mean()) if n else None
    if n < 2 or mean is None:
        return MeanInterval(seeds=n, mean=mean, sd=None, low=None, high=None, level=level)
    sd = float(values.std(ddof=1))
    half = t_quantile(0.5 + level / 2, n - 1) * sd / n**0.5
    return MeanInterval(seeds=n, mean=mean, sd=sd, low=mean - half, high=mean + half, level=level)
