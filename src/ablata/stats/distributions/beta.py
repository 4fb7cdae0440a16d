"""Incomplete beta function, and the F distribution.

The continued fraction is that of Didonato and Morris (1992, "Algorithm 708: significant digit computation of the
incomplete beta function ratios", equation 9), which takes two steps of the classical one at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions.gamma import stirling_error
from ablata.stats.distributions.piecewise import piecewise
from ablata.stats.table import Floats

_TOLERANCE = 1e-15
_BETWEEN_CHECKS = 2
_MOST_STEPS = 20_000
_LARGEST = 1e60


def f_cdf(ratio: ArrayLike, above: ArrayLike, below: ArrayLike) -> Floats:
    """Return P(F <= ratio) of the F distribution with `above` and `below` degrees of freedom; the arguments broadcast.

    Args:
        ratio: of two variances, >= 0.
        above, below: degrees of freedom of its numerator and denominator, > 0, not necessarily whole.
    """
    return piecewise(_f_cdf, ratio, _one_if_equal(above), _one_if_equal(below))


def _one_if_equal(values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    first = array.reshape(-1)[:1]
    return first if array.size > 1 and (array == first).all() else array


def _f_cdf(ratio: Floats, above: Floats, below: Floats) -> Floats:
    weighted = above * ratio
    a, b, x, y = above / 2, below / 2, weighted / (weighted + below), below / (weighted + below)
    # The fraction is short on one side of the middle, where it is the complement's.
    upper = x * (a + b + 2) > a + 1
    part = _front(a, b, x, y) * beta_fraction(
        np.where(upper, b, a), np.where(upper, a, b), np.where(upper, y, x), np.where(upper, x, y)
    )
    return np.where(upper, 1 - part, part)


def _front(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """x^a y^b / B(a, b), without the cancellation of large logarithms."""
    total = a + b
    off = x * b - y * a
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = off / a, -off / b
        power = a * np.where(np.abs(near) < 0.5, np.log1p(near), np.log(x * (total / a)))
        power += b * np.where(np.abs(far) < 0.5, np.log1p(far), np.log(y * (total / b)))
        power += stirling_error(total) - stirling_error(a) - stirling_error(b)
        return np.asarray(np.sqrt(a * b / (2 * math.pi * total)) * np.exp(power), dtype=np.float64)


def beta_fraction(a: Floats, b: Floats, x: Floats, y: Floats) -> Floats:
    """Return I_x(a, b) B(a, b) / (x^a y^b), by the numerators and denominators of the continued fraction.

    Args:
        a, b: > 0, flat.
        x: in [0, 1], up to about a / (a + b); beyond, the complement's fraction is shorter.
        y: 1 - x, to full relative precision.
    """
    slope = 2 - x
    level = a * y - b * x + 1
    odd = 1 / (a + 1)
    top_before, bottom_before = np.ones_like(x), np.zeros_like(x)
    top, bottom = a * level * odd, np.ones_like(x)
    found = bottom / top
    for m in range(1, _MOST_STEPS):
        past, shared = a + m, m * (b - m) * x * odd
        following = 1 / (past + (m + 1))
        alpha = (past - 1) * (past + (b - 1)) * shared * x * odd
        beta = m + shared + past * (level + m * slope) * following
        top, top_before = beta * top + alpha * top_before, top
        bottom, bottom_before = beta * bottom + alpha * bottom_before, bottom
        odd = following
        if m % _BETWEEN_CHECKS == 0:
            before, found = found, bottom / top
            if not (np.abs(found - before) > _TOLERANCE * np.abs(found)).any():
                break
            if m % 8 == 0 and (np.abs(top) > _LARGEST).any():
                scale = 1 / top
                top, top_before, bottom, bottom_before = (
                    part * scale for part in (top, top_before, bottom, bottom_before)
                )
    return np.asarray(found, dtype=np.float64)
