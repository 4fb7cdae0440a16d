"""Student's t distribution with any degrees of freedom: tail and quantile.

With y = t^2 / (dof + t^2), the middle part P(0 < T < t) is t * density(t) times a series of positive terms in y
(Abramowitz and Stegun 1964, 26.5.4), and the tail the same times the incomplete beta function's continued fraction.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions import normal
from ablata.stats.distributions.beta import beta_fraction
from ablata.stats.distributions.gamma import half_step
from ablata.stats.distributions.piecewise import piecewise
from ablata.stats.table import Bools, Floats

_NORMAL = 1e15
"""Degrees of freedom from which on the distribution is the normal one to the last digit that counts."""
_GREATEST = 1e150
_MIDDLE_SQUARE, _MIDDLE_SHARE = 10.0, 0.5
"""t^2, and y, up to which the series is taken: beyond, the tail is a small difference of it, or it converges slowly."""
_MOST_TERMS = 200
_MOST_STEPS = 50
_CUBIC = 3e-5
"""A step of Halley's, relative to t, after which the next would be below the last digit."""
_FEW = 1.5


def tail(t: ArrayLike, dof: ArrayLike) -> Floats:
    """Return P(T > t), to about 12 digits in either tail; the arguments broadcast.

    Args:
        t: any number, infinite ones included.
        dof: degrees of freedom, not necessarily whole; infinite for the normal distribution.

    Returns:
        Probabilities; NaN for NaN, and where dof is not above 0.
    """
    return piecewise(_tail, t, dof)


def quantile(probability: ArrayLike, dof: ArrayLike) -> Floats:
    """Return t with P(T <= t) = `probability`, e.g. `quantile(0.975, 4)` = 2.776; the arguments broadcast.

    Args:
        probability: in [0, 1].
        dof: degrees of freedom, not necessarily whole; infinite for the normal distribution.

    Returns:
        Quantiles, infinite at 0 and 1; NaN for NaN, and where dof is not above 0.
    """
    return piecewise(_quantile, probability, dof)


def _tail(t: Floats, dof: Floats) -> Floats:
    t, dof = np.broadcast_arrays(t, _degrees(dof))
    size = np.minimum(np.abs(t), _GREATEST)
    share, middle = _share(size, dof, half_step(dof / 2))
    upper = np.where(middle, 0.5 - share, share)
    upper[np.isinf(t) & (dof > 0)] = 0.0
    return np.where(t < 0, 1 - upper, upper)


def _degrees(dof: Floats) -> Floats:
    return np.where(dof > 0, np.minimum(dof, _NORMAL), np.nan)


def _share(t: Floats, dof: Floats, rise: Floats) -> tuple[Floats, Bools]:
    """P(0 < T < t) in the middle, P(T > t) elsewhere, and where the middle is; for t >= 0.

    Args:
        t, dof: finite or NaN, flat.
        rise: `half_step(dof / 2)`.
    """
    square = t * t
    ratio = square / dof
    share = t * _density(ratio, dof, rise)
    middle = (square <= _MIDDLE_SQUARE) & (ratio <= _MIDDLE_SHARE / (1 - _MIDDLE_SHARE))
    inside = ratio / (1 + ratio)
    if middle.all():
        return share * _series(inside, dof), middle
    share[middle] *= _series(inside[middle], dof[middle])
    out = ~middle
    degrees, outside = dof[out], 1 / (1 + ratio[out])
    share[out] *= 0.5 * beta_fraction(degrees / 2, np.full_like(degrees, 0.5), outside, inside[out])
    return share, middle


def _density(ratio: Floats, dof: Floats, rise: Floats) -> Floats:
    return np.asarray(rise / np.sqrt(math.pi * dof) * np.exp(-0.5 * (dof + 1) * np.log1p(ratio)), dtype=np.float64)


def _series(y: Floats, dof: Floats) -> Floats:
    """The sum over k of y^k (dof + 1)(dof + 3) ... / (3 * 5 * ...)."""
    factor, step = y * (dof + 1), 2 * y
    term = factor / 3
    total = 1 + term
    for k in range(2, _MOST_TERMS):
        factor += step
        term *= factor
        term *= 1 / (2 * k + 1)
        total += term
        if k % 4 == 0 and not (term > 1e-16 * total).any():
            break
    return total


def _quantile(probability: Floats, dof: Floats) -> Floats:
    above, dof = np.broadcast_arrays(np.minimum(probability, 1 - probability), _degrees(dof))
    known = np.where((above > 0) & (above < 0.5), above, np.nan)
    rise = half_step(dof / 2)
    t = _approximation(known, dof, rise)
    for _ in range(_MOST_STEPS):
        share, middle = _share(t, dof, rise)
        off = np.where(middle, (0.5 - known) - share, share - known)
        step = off / _density(t * t / dof, dof, rise)
        # Halley's method, kept within reach of a point from which it may start.
        moved = np.clip(t + step / (1 - step * (dof + 1) * t / (2 * (dof + t * t))), t / 8, t * 8)
        t, before = moved, t
        if not (np.abs(t - before) > _CUBIC * t).any():
            break
    size = np.select([above == 0, above == 0.5], [np.inf, 0.0], t)
    return np.asarray(np.copysign(size, probability - 0.5), dtype=np.float64)


def _approximation(above: Floats, dof: Floats, rise: Floats) -> Floats:
    """Return about which t has the probability `above`, to 3 digits from three degrees of freedom on.

    Hill (1970), "Algorithm 396: Student's t-quantiles"; with fewer than 1.5 the power law of the far tail.
    """
    few = dof < _FEW
    n = np.maximum(dof, _FEW)
    a = 1 / (n - 0.5)
    b = 48 / (a * a)
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * np.sqrt(a * (math.pi / 2)) * n
    with np.errstate(all="ignore"):
        y = (2 * d * above) ** (2 / n)
        x = normal.quantile(above)
        c += np.where(n < 5, 0.3 * (n - 4.5) * (x + 0.6), 0.0) + (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        z = x * x
        near = np.expm1(a * np.square((((((0.4 * z + 6.3) * z + 36) * z + 94.5) / c - z - 3) / b + 1) * x))
        far = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) / (
            n + 2
        ) + 1 / y
        t = np.sqrt(n * np.maximum(np.where(y > 0.05 + a, near, far), 1e-300))
        if few.any():
            t = np.where(few, np.sqrt(dof) * (rise / (math.sqrt(math.pi) * dof * above)) ** (1 / dof), t)
    return np.asarray(np.minimum(t, _GREATEST), dtype=np.float64)
