"""What a loop gained in truth: its start and its best once more, with seeds that decided nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ablata.stats.contrasts import t_quantile
from ablata.stats.loop.noise import pooled_noise
from ablata.stats.loop.rule import LoopRule

CONFIRM_RUNS = 6
"""Fresh runs of the start, and as many of the best, that confirm a loop's gain."""
MOST_CONFIRM_RUNS = 50
_NORMAL_95 = 1.959964


@dataclass(frozen=True, kw_only=True)
class LoopGain:
    """What a loop gained, by fresh runs of its start and its best.

    Attributes:
        effect: best minus start, in the score's unit; without bias, since these runs chose nothing.
        interval: 95%.
        start_runs: fresh runs of the start.
        best_runs: of the best.
    """

    effect: float
    interval: tuple[float, float]
    start_runs: int
    best_runs: int


def honest_gain(
    rule: LoopRule, start: Mapping[int, float], best: Mapping[int, float], pools: Sequence[Sequence[float]] = ()
) -> LoopGain:
    """Return what a loop gained, by fresh runs of its start and its best: a t interval with the loop's pooled noise.

    Args:
        rule: of the loop.
        start, best: by seed, runs that no decision of the loop has seen.
        pools: every other group of runs of equal code in the loop, oldest first.

    Raises:
        ValueError: a side has no run, or no group has two.
    """
    first, last = list(start.values()), list(best.values())
    noise = pooled_noise([*pools, first, last])
    if not first or not last or noise.sd is None:
        raise ValueError("the start and the best must have fresh runs, and some group two of them")
    effect = float(np.mean(last) - np.mean(first))
    half = t_quantile(0.975, noise.df) * noise.sd * math.sqrt(1 / len(first) + 1 / len(last))
    return LoopGain(effect=effect, interval=(effect - half, effect + half), start_runs=len(first), best_runs=len(last))


def confirm_runs(gain: float, sd: float, *, within: float = 0.1) -> int:
    """Return how many fresh runs a side show a gain to that part of itself: n = 2 (1.96 sd / (within gain))^2.

    At least 2, at most `MOST_CONFIRM_RUNS`; a small gain has a wide interval whatever it costs.

    Args:
        gain: as the loop believes it, in the score's unit.
        sd: noise of one run.
        within: half the width of the 95% interval, as a part of the gain.
    """
    if not gain:
        return MOST_CONFIRM_RUNS
    return max(2, min(MOST_CONFIRM_RUNS, math.ceil(2 * (_NORMAL_95 * sd / (within * gain)) ** 2)))
