"""The noise of a loop: pooled over every group of runs of equal code, and what a difference weighs against it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.rounding import is_rounding
from ablata.stats.table import Floats

MEMORY = 20.0
"""Degrees of freedom after which older noise counts half."""


@dataclass(frozen=True)
class LoopNoise:
    """The spread of one run's score; `sd` is None before any group of equal code has two runs.

    `still`: equal code scored the same, but for rounding, in every run.
    """

    sd: float | None
    df: float
    still: bool = False


def pooled_noise(groups: Sequence[Sequence[float]]) -> LoopNoise:
    """Return the spread of a run within groups of equal code, what was run last counting most.

    What is kept changes the noise too, as longer training makes it less; so a group counts half for every `MEMORY`
    degrees of freedom that came after it. In the long run it is known as by 58 degrees of freedom.

    Args:
        groups: scores of each baseline and each proposal of the loop, oldest first; groups of one run tell nothing.
    """
    squares = df = square_weights = largest = 0.0
    for group in groups:
        if len(group) > 1:
            values = np.asarray(group, dtype=np.float64)
            largest = max(largest, float(np.abs(values).max()))
            keeps = float(fading(len(group) - 1))
            squares = keeps * squares + float(np.square(values - values.mean()).sum())
            df = keeps * df + len(group) - 1
            square_weights = keeps**2 * square_weights + len(group) - 1
    # Satterthwaite's degrees of freedom of a weighted variance.
    if not df:
        return LoopNoise(None, 0.0)
    return LoopNoise(math.sqrt(squares / df), df**2 / square_weights, bool(is_rounding(squares / df, largest)))


def fading(df: ArrayLike) -> Floats:
    """Return the weight that is left to older noise after so many further degrees of freedom."""
    return np.asarray(np.exp2(-np.asarray(df, dtype=np.float64) / MEMORY))


def normal_score(t: ArrayLike, df: ArrayLike) -> Floats:
    """Return the normal quantile with the tail of Student's t, to 0.04 from 4 degrees of freedom on, never above.

    Source: Wallace 1959, "Bounds on normal approximations to Student's and the chi-square distributions".
    """
    value, free = np.asarray(t, dtype=np.float64), np.asarray(df, dtype=np.float64)
    size = (8 * free + 1) / (8 * free + 3) * np.sqrt(free * np.log1p(np.square(value) / free))
    return np.asarray(np.copysign(size, value), dtype=np.float64)


def student_score(z: float, df: float) -> float:
    """Return the inverse of `normal_score`."""
    inner = z * (8 * df + 3) / (8 * df + 1)
    return math.copysign(math.sqrt(df * math.expm1(min(inner**2 / df, 700.0))), z)


def information(proposal: ArrayLike, baseline: ArrayLike) -> Floats:
    """Return I = n b / (n + b), the inverse variance of a difference of means when one run has variance 1."""
    n, b = np.asarray(proposal, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    return np.asarray(n * b / (n + b), dtype=np.float64)


def look_at(
    difference: ArrayLike, sd: ArrayLike, df: ArrayLike, proposal: ArrayLike, baseline: ArrayLike, scale: float = 1.0
) -> tuple[Floats, Floats]:
    """Return B and I of a look, see `bounds`, with the noise estimated.

    Args:
        difference: of the means, proposal minus baseline, higher being better.
        sd: noise of one run; without any, a difference decides by its sign.
        df: its degrees of freedom.
        proposal, baseline: runs of each.
        scale: the effect that is sought, in standard deviations of one run.
    """
    info = information(proposal, baseline)
    apart, noise, _ = np.broadcast_arrays(np.asarray(difference, dtype=np.float64), np.asarray(sd), info)
    limit = np.where(apart == 0, 0.0, np.copysign(np.inf, apart))
    t = np.divide(apart * np.sqrt(info), noise, out=limit, where=noise > 0)
    return np.asarray(normal_score(t, df) * scale * np.sqrt(info)), np.asarray(scale**2 * info)
