"""Picking the best of several settings with a budget of runs: beliefs about each, and where the next run teaches most.

A choice is no claim. It takes the setting that is best as far as is known, says how much that is expected to cost
against the truly best one (expected regret), and how probable it is that it is the best. Runs go where they are
expected to raise the score of what is chosen in the end (knowledge gradient with correlated beliefs: Frazier, Powell
and Dayanik 2009, INFORMS J. Computing 21), several runs ahead, since a single one seldom changes a choice.

The model is y[s, a] = level + d_a + u_s + e: the control has d = 0, the others d ~ N(0, tau^2), the seed's shared part
u ~ N(0, v), noise e ~ N(0, s^2). s^2, v and tau^2 are estimated from the scores by moments (empirical Bayes).

Every array may have further axes in front, one study each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions import normal
from ablata.stats.jsonable import Jsonable
from ablata.stats.table import Bools, Floats

FIRST_SEEDS = 2
"""Runs of every setting before any is preferred."""
KEPT = 0.9
"""Probability of keeping a guardrail from which on a setting may be taken."""
HOPELESS = 0.05
"""Probability of keeping a guardrail below which a setting gets no further run."""
_LEAST_SPREAD = 0.1
"""tau^2 is at least this part of the noise, so that settings that look alike are still told apart."""
_TINY = 1e-12
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_DRAWS = 20_000


@dataclass(frozen=True, eq=False)
class Beliefs:
    """What is believed of the mean score of each setting, higher being better.

    Attributes:
        mean: (..., settings), the control first.
        covariance: (..., settings, settings).
        noise: (...), variance of one run within its seed.
        runs: (..., settings), how many there are of each.
    """

    mean: Floats
    covariance: Floats
    noise: Floats
    runs: Floats


@dataclass(frozen=True, kw_only=True)
class ArmChoice(Jsonable):
    """A setting picked; no claim.

    Attributes:
        best: its column, 0 the control.
        regret: expected difference of the truly best setting's mean to its own, in the metric's unit.
        probabilities: of being the best, by column.
        effects: expected difference to the control, by column, drawn toward 0 as far as it is not known.
        runs: of each column.
        keeps: of each guardrail, how probable it is that the setting keeps it, by column; None where nothing is known.
    """

    best: int
    regret: float
    probabilities: tuple[float, ...]
    effects: tuple[float, ...]
    runs: tuple[int, ...]
    keeps: tuple[tuple[float | None, ...], ...] = ()


def beliefs(scores: ArrayLike, *, shrink: bool = True) -> Beliefs:
    """Return what scores say of each setting's mean.

    Args:
        scores: float (..., seeds, settings), higher being better, the control first; NaN where there is no run. Every
            setting needs a run, and some seed two of them; with fewer than `FIRST_SEEDS` runs each the noise is rough.
        shrink: draw effects toward 0 as far as they are not known. Not for a guarded quantity: a change that costs
            nothing is not what one expects of it.

    Raises:
        ValueError: a setting has no run.
    """
    values = np.asarray(scores, dtype=np.float64)
    known = ~np.isnan(values)
    if not known.any(axis=-2).all():
        raise ValueError("every setting needs a run before it can be compared")
    # Only differences matter; without this a level of 90 costs digits.
    filled = np.where(known, values - np.nanmean(values, axis=(-2, -1), keepdims=True), 0.0)
    mask = known.astype(np.float64)
    each, runs = mask.sum(axis=-1), mask.sum(axis=-2)
    noise, shared, spread = _variances(filled, mask, each, runs)
    weight = shared[..., None] / (noise[..., None] + each * shared[..., None])
    diagonal = np.zeros((*runs.shape, runs.shape[-1]))
    np.einsum("...ii->...i", diagonal)[...] = runs
    information = diagonal - np.einsum("...s,...sa,...sb->...ab", weight, mask, mask)
    right = filled.sum(axis=-2) - np.einsum("...s,...sa,...s->...a", weight, mask, filled.sum(axis=-1))
    # From the settings' means to the control's level and the differences to it.
    change = np.eye(runs.shape[-1])
    change[:, 0] = 1.0
    prior = np.zeros(runs.shape)
    prior[..., 1:] = (noise / spread)[..., None] if shrink else 0.0
    precision = change.T @ information @ change
    np.einsum("...ii->...i", precision)[...] += prior
    covariance = np.linalg.inv(precision) * noise[..., None, None]
    mean = np.einsum("...ab,...b->...a", covariance / noise[..., None, None], right @ change)
    return Beliefs(mean @ change.T, change @ covariance @ change.T, noise, runs)


def _variances(filled: Floats, mask: Floats, each: Floats, runs: Floats) -> tuple[Floats, Floats, Floats]:
    """Return s^2, v and tau^2 by moments."""
    columns = runs.shape[-1]
    middle = filled.sum(axis=-1) / np.maximum(each, 1)
    off = np.where(mask > 0, filled - middle[..., None], 0.0)
    within = -np.einsum("...s,...sa,...sb->...ab", 1 / np.maximum(each, 1), mask, mask)
    np.einsum("...ii->...i", within)[...] += runs
    # The within-seed layout leaves the level open; any value will do.
    right = off.sum(axis=-2)
    means = np.linalg.solve(within + 1.0 / columns, right[..., None])[..., 0]
    squares = np.square(off).sum(axis=(-2, -1)) - (means * right).sum(axis=-1)
    free = mask.sum(axis=(-2, -1)) - (each > 0).sum(axis=-1) - (columns - 1)
    scale = np.square(filled).sum(axis=(-2, -1)) / mask.sum(axis=(-2, -1))
    noise = np.maximum(np.where(free > 0, squares / np.maximum(free, 1), scale), _TINY + 1e-9 * scale)
    left = np.where(each > 0, middle - np.einsum("...sa,...a->...s", mask, means) / np.maximum(each, 1), 0.0)
    seeds = (each > 0).sum(axis=-1)
    centre = left.sum(axis=-1) / seeds
    rough = np.where(each > 0, np.square(left - centre[..., None]), 0.0).sum(axis=-1) / np.maximum(seeds - 1, 1)
    inverse = np.where(each > 0, 1 / np.maximum(each, 1), 0.0).sum(axis=-1) / seeds
    shared = np.maximum(rough - noise * inverse, 0.0)
    apart = means.var(axis=-1, ddof=1) - noise * (1 / runs).mean(axis=-1)
    spread = np.maximum(apart * columns / max(columns - 1, 1), _LEAST_SPREAD * noise)
    return noise, shared, spread


def after(state: Beliefs, column: ArrayLike) -> Beliefs:
    """Return the beliefs once a run that is under way has ended, its score being what is expected.

    Args:
        state: beliefs.
        column: (...), the setting of that run.
    """
    index = np.asarray(column)[..., None]
    row = np.take_along_axis(state.covariance, index[..., None], axis=-2)[..., 0, :]
    own = np.take_along_axis(row, index, axis=-1)
    covariance = state.covariance - (row[..., :, None] * row[..., None, :]) / (own + state.noise[..., None])[..., None]
    runs = state.runs.copy()
    np.put_along_axis(runs, index, np.take_along_axis(runs, index, axis=-1) + 1, axis=-1)
    return Beliefs(state.mean, covariance, state.noise, runs)


def next_run(state: Beliefs, left: int) -> np.ndarray:
    """Return the setting whose next runs are expected to raise the mean of what is chosen in the end most.

    Args:
        state: beliefs.
        left: runs that are left, this one included.

    Returns:
        Columns, (...) of int.
    """
    ahead = max(left / 2, 1.0)
    own = np.einsum("...ii->...i", state.covariance)
    moves = state.covariance / np.sqrt(own + state.noise[..., None] / ahead)[..., None, :]
    # (..., settings that run, settings, nodes)
    ends = state.mean[..., None, :, None] + np.swapaxes(moves, -1, -2)[..., None] * _NODES
    gain = (ends.max(axis=-2) * (_WEIGHTS / _WEIGHTS.sum())).sum(axis=-1) - state.mean.max(axis=-1)[..., None]
    # Where no run can change the choice any more, the rest goes to the first two, for what is said of them.
    second = np.sort(state.mean, axis=-1)[..., -2][..., None]
    hint = np.where(state.mean >= second, 1 / state.runs, 0.0) * np.sqrt(state.noise)[..., None]
    return np.asarray((np.maximum(gain, 0) + 1e-6 * hint).argmax(axis=-1))


def keeping(state: Beliefs, allowed: ArrayLike) -> Floats:
    """Return how probable it is that each setting keeps a guardrail, (..., settings); the control does.

    Args:
        state: beliefs of the guarded quantity, higher being better.
        allowed: (...), by how much a setting may be worse than the control, in the quantity's unit.
    """
    worse = state.mean[..., :1] - state.mean
    own, covariance = np.einsum("...ii->...i", state.covariance), state.covariance[..., 0, :]
    spread = np.sqrt(np.maximum(own[..., :1] + own - 2 * covariance, _TINY))
    found = normal.tail((worse - np.asarray(allowed)[..., None]) / spread)
    found[..., 0] = 1.0
    return np.asarray(found, dtype=np.float64)


def kept(
    scores: ArrayLike, allowed: float, *, percent: bool = False, higher_is_better: bool = False
) -> tuple[float | None, ...]:
    """Return how probable it is that each setting keeps a guardrail; None of one that has no value.

    Args:
        scores: float (seeds, settings) of the guarded quantity, the control first; NaN where there is none.
        allowed: by how much a setting may be worse, above 0, in the quantity's unit.
        percent: whether it is in percent of the control's mean.
        higher_is_better: False for a cost.
    """
    values = np.asarray(scores, dtype=np.float64)
    some = np.asarray((~np.isnan(values)).any(axis=0), dtype=np.bool_)
    found: list[float | None] = [None] * values.shape[1]
    if not some[0] or some.sum() < 2:
        return tuple(found)
    scale = abs(float(np.nanmean(values[:, 0]))) / 100 if percent else 1.0
    state = beliefs((1.0 if higher_is_better else -1.0) * values[:, some], shrink=False)
    for column, share in zip(np.flatnonzero(some), keeping(state, allowed * scale), strict=True):
        found[column] = float(share)
    return tuple(found)


def candidates(keeps: ArrayLike, least: float = KEPT) -> Bools:
    """Return which settings may be taken: those that keep each guardrail with this probability, and the control.

    Args:
        keeps: float (guardrails, ..., settings); NaN where nothing is known, which excludes none.
        least: the probability.
    """
    found = np.asarray(~(np.asarray(keeps, dtype=np.float64) < least).any(axis=0), dtype=np.bool_)
    found[..., 0] = True
    return found


def choose(
    scores: ArrayLike,
    *,
    higher_is_better: bool = True,
    keeps: Sequence[Sequence[float | None]] = (),
    seed: int = 0,
) -> ArmChoice:
    """Return the best setting as far as the scores say, with what that may cost.

    With guardrails it is the best of those that keep each with a probability of `KEPT`; probabilities and regret are
    then among those that do keep them.

    Args:
        scores: float (seeds, settings), the control first; NaN where there is no run.
        higher_is_better: False for a loss.
        keeps: of each guardrail what `kept` says of the settings.
        seed: of the draws from the beliefs.

    Raises:
        ValueError: a setting has no run, or `scores` is not a table.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError(f"`scores` must have shape (seeds, settings), got {values.shape}")
    sign = 1.0 if higher_is_better else -1.0
    state = beliefs(sign * values)
    known = np.array(keeps, dtype=np.float64).reshape(len(keeps), len(state.mean))
    best = int(np.where(candidates(known), state.mean, -np.inf).argmax())
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_normal(state.mean, state.covariance, _DRAWS, method="eigh")
    own, one = draws[:, best].copy(), np.nan_to_num(known, nan=1.0).prod(axis=0)
    if len(keeps):
        draws[rng.random(draws.shape) >= one] = -np.inf
    wins = np.bincount(draws.argmax(axis=1), minlength=len(state.mean)) / _DRAWS
    return ArmChoice(
        best=best,
        regret=float(np.maximum(draws.max(axis=1) - own, 0).mean()),
        probabilities=tuple(wins.tolist()),
        effects=tuple((sign * (state.mean - state.mean[0])).tolist()),
        runs=tuple(int(count) for count in state.runs),
        keeps=tuple(tuple(one) for one in keeps),
    )
