"""Where a proposal is kept and where it is given up, look by look.

A look compares the means of n runs of the proposal and b runs of the baseline. With I = n b / (n + b) and the
difference g in standard deviations of one run, B = g I moves like a Brownian motion over I with the true effect as its
drift (group sequential tests; Jennison and Turnbull 2000, chapter 11). A proposal is kept when B reaches
`constant + slope I`, at the second look at the earliest, and given up when B falls to a lower line that a useful change
seldom meets.

The constant belongs to a level: the probability that a change without any effect is kept, its whole course counted. It
is found by recursive integration over the looks (Armitage, McPherson and Rowe 1969). All lines are in units of the
effect that is sought: one standard deviation of a run, or the margin where that is more (`scale`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions import normal
from ablata.stats.loop.noise import information
from ablata.stats.loop.rule import LoopMode
from ablata.stats.table import Floats

SCALES = tuple(1.25**step for step in range(7))
"""Sizes of the effect that is sought, in standard deviations of a run."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_CONSTANTS = np.linspace(-1.0, 16.0, 52)


@dataclass(frozen=True)
class Bounds:
    """The lines of a mode, found by simulation (docs/results/loops.md).

    Attributes:
        base_runs: fresh runs of a baseline before anything is compared with it.
        base_most: the most runs it grows to.
        base_growth: further runs of the baseline for each run of a proposal that goes on.
        first_drop: g I at or below this times I is given up after the first run.
        drop_at, drop_slope: g I at or below `drop_at + drop_slope I` is given up later.
        keep_slope: slope of the line above which a proposal is kept.
    """

    base_runs: int
    base_most: int
    base_growth: float
    first_drop: float
    drop_at: float
    drop_slope: float
    keep_slope: float

    def baseline_for(self, runs: ArrayLike) -> Floats:
        """Return how many runs of the baseline stand beside so many of a proposal."""
        grown = self.base_runs + np.floor(self.base_growth * np.asarray(runs, dtype=np.float64))
        return np.asarray(np.minimum(grown, self.base_most), dtype=np.float64)

    def drop(self, info: ArrayLike, runs: ArrayLike) -> Floats:
        """Return the line at or below which a proposal with so many runs is given up."""
        there = np.asarray(info, dtype=np.float64)
        later = self.drop_at + self.drop_slope * there
        return np.asarray(np.where(np.asarray(runs) <= 1, self.first_drop * there, later), dtype=np.float64)

    def keep(self, info: ArrayLike, constant: ArrayLike) -> Floats:
        """Return the line at or above which a proposal is kept."""
        return np.asarray(np.asarray(constant) + self.keep_slope * np.asarray(info), dtype=np.float64)


BOUNDS = {
    LoopMode.PROGRESS: Bounds(6, 13, 0.5, 0.4, -0.3, 0.7, 0.2),
    LoopMode.CLAIM: Bounds(5, 30, 1.2, 0.55, -0.18, 0.7, 0.4),
}


def scale_of(margin: float | None, sd: float) -> float:
    """Return the size of effect that is sought, in standard deviations of a run: 1, or the margin's, in steps."""
    if margin is None or sd <= 0:
        return 1.0
    return max(step for step in SCALES if step == 1.0 or step <= margin / sd)


@dataclass(frozen=True, eq=False)
class Course:
    """How proposals of one true effect fare.

    Attributes:
        kept: probability of being kept at each look.
        reached: probability of each look.
    """

    kept: Floats
    reached: Floats

    @property
    def runs(self) -> float:
        """Expected runs of the proposal."""
        return float(self.reached.sum())


def course(
    bounds: Bounds,
    constant: float,
    most_runs: int,
    *,
    drift: float = 0.0,
    baseline: int | None = None,
    scale: float = 1.0,
    drops: bool = True,
) -> Course:
    """Return what becomes of proposals by recursive integration, the noise being known.

    Args:
        bounds: the lines.
        constant: of the line above which a proposal is kept.
        most_runs: looks.
        drift: true effect, in units of the effect that is sought.
        baseline: runs of the baseline at the start; None: as few as there may be.
        scale: the effect that is sought, in standard deviations of one run.
        drops: whether proposals are given up early.
    """
    runs = np.arange(1, most_runs + 1)
    have = np.maximum(bounds.baseline_for(runs), baseline or bounds.base_runs)
    have[0] = baseline or bounds.base_runs
    info = scale**2 * information(runs, have)
    upper = bounds.keep(info, constant)
    lower = np.minimum(bounds.drop(info, runs), upper) if drops else np.full(most_runs, -np.inf)
    kept, reached = np.zeros(most_runs), np.zeros(most_runs)
    reached[0] = 1.0
    # Before the first run all mass lies at 0.
    at, mass, before = np.zeros(1), np.ones(1), 0.0
    for look in range(most_runs):
        step = math.sqrt(info[look] - before)
        centre = at + drift * (info[look] - before)
        reach = 8 * math.sqrt(info[look])
        high = min(upper[look] if look else np.inf, drift * info[look] + reach)
        low = max(lower[look], drift * info[look] - reach)
        if look:
            kept[look] = (mass * normal.tail((upper[look] - centre) / step)).sum()
        if look == most_runs - 1 or high <= low:
            break
        points = (high - low) / 2 * _NODES + (high + low) / 2
        apart = (points[:, None] - centre) / step
        density = (np.exp(-0.5 * apart**2) * mass).sum(axis=1) / (step * math.sqrt(2 * math.pi))
        at, mass, before = points, density * _WEIGHTS * (high - low) / 2, float(info[look])
        reached[look + 1] = mass.sum()
    return Course(kept, reached)


def constant_for(bounds: Bounds, level: ArrayLike, most_runs: int, *, scale: float = 1.0, drops: bool = True) -> Floats:
    """Return the constant of the keeping line for a level, or for an array of them.

    Args:
        bounds: the lines.
        level: probability that a proposal without effect is kept, > 0; at the baseline's least favourable size.
        most_runs: looks.
        scale: the effect that is sought, in standard deviations of one run, one of `SCALES`.
        drops: whether proposals are given up early.
    """
    levels, constants = _table(bounds, most_runs, scale, drops)
    return np.asarray(np.interp(np.log(level), levels, constants), dtype=np.float64)


def level_at(bounds: Bounds, constant: float, most_runs: int, *, scale: float = 1.0, drops: bool = True) -> float:
    """Return the level of a constant, the inverse of `constant_for`."""
    levels, constants = _table(bounds, most_runs, scale, drops)
    return math.exp(float(np.interp(-constant, -constants, levels)))


@lru_cache(maxsize=64)
def _table(bounds: Bounds, most_runs: int, scale: float, drops: bool) -> tuple[Floats, Floats]:
    """Return log levels, rising, and their constants, falling."""
    found = [
        max(
            course(bounds, value, most_runs, baseline=baseline, scale=scale, drops=drops).kept.sum()
            for baseline in (bounds.base_runs, bounds.base_most)
        )
        for value in _CONSTANTS
    ]
    # Far out the integral is nothing but rounding; there each step costs what the last sound one did.
    sound = [math.log(value) for value in found if value > 1e-13]
    while len(sound) < len(found):
        sound.append(2 * sound[-1] - sound[-2])
    return np.asarray(np.minimum.accumulate(sound)[::-1]), _CONSTANTS[::-1].copy()
