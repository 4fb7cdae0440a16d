"""What a difference between two single runs can tell, once the noise of one run is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from ablata.stats.contrasts import t_quantile
from ablata.stats.jsonable import Jsonable
from ablata.stats.noise import Noise


@dataclass(frozen=True, kw_only=True)
class Visibility(Jsonable):
    """Whether a difference of two single runs stands out from the noise.

    Attributes:
        difference: of the two scores, in the metric's units.
        threshold: two equal trainings differ by less than this in `1 - alpha` of all cases.
        seen: whether the difference is at least that.
        seeds: runs of each side, at the same seeds, that would find a true effect of this size with the power asked
            for; None for no difference, which no number of runs finds.
    """

    difference: float
    threshold: float
    seen: bool
    seeds: int | None


def visibility(difference: float, noise: Noise, *, alpha: float = 0.05, power: float = 0.8) -> Visibility:
    """Say whether a difference between two runs, one of each side, could be seen above the noise.

    The difference of two runs of equal trainings has variance 2 s_e^2; the threshold is its two-sided Student quantile,
    with the degrees of freedom that s_e was estimated with. The number of seeds is that of a two-sided test of known
    variance, 2 (z_alpha/2 + z_power)^2 (s_e / difference)^2, rounded up; one arm, one look.

    Args:
        difference: of the scores, in the metric's units.
        noise: of one run, s_e > 0.
        alpha: share of equal pairs that may be taken for different, in (0, 1).
        power: share of true effects that are to be found, in (0, 1).

    Raises:
        ValueError: the noise is 0, or a share is out of range.
    """
    if noise.sd <= 0:
        raise ValueError("noise must be above 0")
    if not (0 < alpha < 1 and 0 < power < 1):
        raise ValueError(f"alpha and power must lie between 0 and 1, got {alpha} and {power}")
    threshold = t_quantile(1 - alpha / 2, noise.df) * math.sqrt(2) * noise.sd
    seeds = None
    if difference:
        quantiles = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
        seeds = math.ceil(2 * (quantiles * noise.sd / difference) ** 2)
    return Visibility(difference=difference, threshold=threshold, seen=abs(difference) >= threshold, seeds=seeds)


def largest_noise(difference: float, *, alpha: float = 0.05) -> float:
    """Return the noise of one run, in the metric's units, up to which a difference between two runs is seen.

    The threshold of `visibility` solved for s_e, the noise taken as known exactly.

    Args:
        difference: of the scores, in the metric's units.
        alpha: share of equal pairs that may be taken for different, in (0, 1).

    Raises:
        ValueError: the share is out of range.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}")
    return abs(difference) / (math.sqrt(2) * NormalDist().inv_cdf(1 - alpha / 2))
