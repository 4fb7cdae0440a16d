"""Spread that is no noise: what rounding alone makes of numbers that do not vary, and scores that are the same."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.table import Bools, Floats

SINGLE = 2e-7
"""Standard deviation of differences, as a share of the scores' size, that rounding to single precision can make: four
roundings of 6e-8 over the root of 2."""


def is_rounding(variance: ArrayLike, largest: ArrayLike) -> Bools:
    """Return whether a variance is none: that of numbers that do not vary, but for the rounding of their last digits.

    Args:
        variance: of scores or of their differences; NaN gives False.
        largest: the greatest size of a score; broadcasts to `variance`.
    """
    most = SINGLE * np.asarray(largest, dtype=np.float64)
    return np.asarray(np.asarray(variance, dtype=np.float64) <= np.square(most), dtype=np.bool_)


def is_same(control: Floats, arm: Floats, margin: float | None) -> bool:
    """Return whether an arm is the control's own training, as where a program was only rewritten.

    It scores the same to the last digit at every seed, while no two seeds do, and in steps no larger than the margin:
    where scores have few steps, different trainings tie by chance.

    Args:
        control: its scores at the seeds that both have.
        arm: those of the arm.
        margin: the largest difference that does not matter; None: nothing is asked of the kind.
    """
    if margin is None or len(control) < 2 or not np.array_equal(control, arm):
        return False
    step = _step(control)
    return 0 < step <= margin


def _step(scores: Floats) -> float:
    """Return the largest step that scores may have, the greatest common divisor of their gaps; 0: two are equal."""
    gaps = np.diff(np.sort(scores))
    least = 10 * SINGLE * float(np.abs(scores).max())
    step = 0.0
    for gap in gaps:
        if gap <= 0:
            return 0.0
        larger, smaller = max(step, float(gap)), min(step, float(gap))
        while smaller > least:
            larger, smaller = smaller, math.fmod(larger, smaller)
        step = larger
    return step
