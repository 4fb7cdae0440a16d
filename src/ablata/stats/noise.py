"""How noisy one run is once the seed's shared part is taken out: estimated from scores, pooled over earlier studies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.contrasts import pooled_residual
from ablata.stats.distributions.gamma import chi_square_quantile
from ablata.stats.jsonable import Jsonable
from ablata.stats.rounding import is_rounding
from ablata.stats.rule import History
from ablata.stats.table import Floats


@dataclass(frozen=True, kw_only=True)
class Noise(Jsonable):
    """Estimated noise of one run.

    Attributes:
        variance: s_e^2, in squared units of the metric; 0: the runs showed no spread, which tells nothing of it.
        df: its degrees of freedom, > 0.
        paired: False if it comes from one recipe alone and so still holds the seed's shared part: an upper bound.
    """

    variance: float
    df: float
    paired: bool = True

    @property
    def sd(self) -> float:
        """s_e, in the metric's units."""
        return math.sqrt(self.variance)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the chi-square interval of s_e, in the metric's units; wide when `df` is small."""
        tail = (1 - level) / 2
        low, high = (self.sd * math.sqrt(self.df / chi_square_quantile(above, self.df)) for above in (tail, 1 - tail))
        return low, high


def noise_from_scores(scores: ArrayLike) -> Noise:
    """Estimate s_e from earlier whole seed rows.

    Args:
        scores: float (seeds, recipes) with the same seeds in a row, NaN where there is no score. A single column (three
            to five seeds of the control) gives the spread over seeds, which is s_e or more.

    Raises:
        ValueError: the scores leave no degree of freedom, are infinite or not two-dimensional.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"`scores` must be finite or NaN, of shape (seeds, recipes), got {values.shape}")
    if values.shape[1] == 1:
        known = values[~np.isnan(values)]
        if len(known) < 2:
            raise ValueError(f"noise needs at least two seeds, got {len(known)}")
        return Noise(variance=_seen(float(known.var(ddof=1)), known), df=len(known) - 1.0, paired=False)
    residual = pooled_residual(values)
    if residual.variance is None:
        raise ValueError("noise needs at least two recipes at two common seeds")
    return Noise(variance=_seen(residual.variance, values), df=residual.df)


def _seen(variance: float, scores: Floats) -> float:
    """Return a variance, 0 where it is that of rounding alone."""
    return 0.0 if is_rounding(variance, np.nanmax(np.abs(scores))) else variance


def pool_noise(noises: Iterable[Noise]) -> History | None:
    """Pool the noise of earlier studies of the same recipe family, metric and epochs, weighted by degrees of freedom.

    Estimates from a single recipe are left out, since they hold the seed's part, and those without any spread, where
    the seed did nothing. Returns None if nothing is left.
    """
    kept = [noise for noise in noises if noise.paired and noise.variance > 0]
    if not kept:
        return None
    df = sum(noise.df for noise in kept)
    return History(df=df, variance=sum(noise.df * noise.variance for noise in kept) / df)
