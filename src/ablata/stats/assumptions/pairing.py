"""How far runs of the same seed move together: what a comparison at equal seeds gains over one of strangers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.jsonable import Jsonable

FEWEST = 4
"""Seeds that an arm needs: the error of a correlation's Fisher transform is 1 / sqrt(n - 3)."""
_Z = 1.2816
LITTLE = 0.3
"""A correlation below this saves less than a third of the seeds."""


@dataclass(frozen=True, kw_only=True)
class Pairing(Jsonable):
    """Correlation of the arms with the control over seeds, pooled over the arms.

    Attributes:
        correlation: between -1 and 1; the variance of a difference is 1 - this of that of unpaired runs.
        low, high: its 80% interval.
        seeds: the most seeds that an arm and the control share.
        arms: how many arms it rests on.
    """

    correlation: float
    low: float
    high: float
    seeds: int
    arms: int

    @property
    def is_paired(self) -> bool:
        """Whether runs of the same seed move together."""
        return self.low > 0

    @property
    def is_unpaired(self) -> bool:
        """Whether they do so little that the same seeds gain next to nothing."""
        return not self.is_paired and self.high < LITTLE


def measured_pairing(scores: ArrayLike) -> Pairing | None:
    """Measure how far runs of the same seed move together; None where no arm has four seeds, or nothing varies.

    Fisher's transforms of the arms' correlations with the control are averaged with weights n - 3. They correlate in
    turn, since all arms share the control, which widens the interval (Dunn and Clark 1969, "Correlation coefficients
    measured on the same individuals", with all correlations equal).

    Args:
        scores: float (seeds, 1 + arms), column 0 the control; NaN where a run is missing.

    Raises:
        ValueError: another shape.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ValueError(f"`scores` must have shape (seeds, 1 + arms), got {values.shape}")
    found: list[tuple[float, int]] = []
    for column in range(1, values.shape[1]):
        pairs = values[~np.isnan(values[:, [0, column]]).any(axis=1)][:, [0, column]]
        if len(pairs) >= FEWEST and (pairs.std(axis=0) > 0).all():
            found.append((float(np.asarray(np.corrcoef(pairs.T))[0, 1]), len(pairs)))
    if not found:
        return None
    weights = np.array([n - 3.0 for _, n in found])
    transforms = np.arctanh(np.clip([r for r, _ in found], -0.999999, 0.999999))
    mean, count = float((weights * transforms).sum() / weights.sum()), len(found)
    error = math.sqrt((1 + (count - 1) * _in_common(math.tanh(mean))) / weights.sum())
    low, high = mean - _Z * error, mean + _Z * error
    return Pairing(
        correlation=math.tanh(mean), low=math.tanh(low), high=math.tanh(high), seeds=max(n for _, n in found),
        arms=count,
    )  # fmt: skip


def _in_common(correlation: float) -> float:
    """Return how two arms' correlations with the control correlate, where any two columns do by `correlation`."""
    r = min(max(correlation, 0.0), 0.95)
    return (0.5 * (2 * r - r**2) * (1 - 3 * r**2) + r**3) / (1 - r**2) ** 2
