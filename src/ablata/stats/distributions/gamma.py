"""Gamma function: its logarithm's correction and derivatives, the incomplete one, chi-square and Poisson.

Sources: Abramowitz and Stegun (1964), "Handbook of mathematical functions", 6.1.40 (Stirling's series), 6.3.18 and
6.4.12 (its derivatives), 6.5.29 and 6.5.31 (series and continued fraction of the incomplete function).
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from ablata.stats.table import Floats

_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1))
_HALF_STEP = tuple((4.0**-k - 1) * b / (k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, start=1))
_LARGE = 8
_TINY = 1e-300
_EPSILON = 1e-16
_MOST_TERMS = 100_000


def stirling_error(z: Floats) -> Floats:
    """Return ln Gamma(z) - ((z - 1/2) ln z - z + ln(2 pi) / 2), which Stirling's formula leaves out.

    Args:
        z: > 0, of any shape.
    """
    small = z < _LARGE
    if not small.any():
        return _odd_series(_STIRLING, z)
    large = np.where(small, z + _LARGE, z)
    product = z.copy()
    for k in range(1, _LARGE):
        product *= z + k
    moved = (large - 0.5) * np.log(large) - (z - 0.5) * np.log(z) - _LARGE - np.log(product)
    return np.asarray(_odd_series(_STIRLING, large) + np.where(small, moved, 0.0), dtype=np.float64)


def half_step(z: Floats) -> Floats:
    """Return Gamma(z + 1/2) / Gamma(z), by the difference of two of Stirling's series.

    Args:
        z: > 0, of any shape.
    """
    small = z < _LARGE
    if not small.any():
        return np.sqrt(z) * np.exp(_odd_series(_HALF_STEP, z))
    large = np.where(small, z + _LARGE, z)
    top, bottom = z.copy(), z + 0.5
    for k in range(1, _LARGE):
        top *= z + k
        bottom *= z + (k + 0.5)
    moved = np.where(small, top / bottom, 1.0)
    return np.asarray(moved * np.sqrt(large) * np.exp(_odd_series(_HALF_STEP, large)), dtype=np.float64)


def _odd_series(coefficients: tuple[float, ...], z: Floats) -> Floats:
    """Return the sum of c_k / z^(2k - 1)."""
    inverse = 1 / z
    square = inverse * inverse
    total = np.full_like(z, coefficients[-1])
    for term in coefficients[-2::-1]:
        total *= square
        total += term
    return total * inverse


def digamma(z: float) -> float:
    """Return psi(z), the derivative of ln Gamma, for z > 0."""
    total = 0.0
    while z < _LARGE:
        total -= 1 / z
        z += 1
    return total + math.log(z) - 1 / (2 * z) - sum(b / (2 * k * z ** (2 * k)) for k, b in enumerate(_BERNOULLI, 1))


def trigamma(z: float) -> float:
    """Return psi'(z), the second derivative of ln Gamma, for z > 0."""
    total = 0.0
    while z < _LARGE:
        total += 1 / z**2
        z += 1
    return total + 1 / z + 1 / (2 * z**2) + sum(b / z ** (2 * k + 1) for k, b in enumerate(_BERNOULLI, 1))


def gamma_tails(shape: float, x: float) -> tuple[float, float]:
    """Return P(X <= x) and P(X > x) of the gamma distribution with scale 1.

    Args:
        shape: > 0.
        x: >= 0.
    """
    if x <= 0:
        return 0.0, 1.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1:
        below = front * _lower_series(shape, x)
        return below, 1 - below
    above = front * _upper_fraction(shape, x)
    return 1 - above, above


def _lower_series(shape: float, x: float) -> float:
    term = total = 1 / shape
    for k in range(1, _MOST_TERMS):
        term *= x / (shape + k)
        total += term
        if term < _EPSILON * total:
            break
    return total


def _upper_fraction(shape: float, x: float) -> float:
    """Evaluate the continued fraction forwards (Lentz 1976, modified by Thompson and Barnett 1986)."""
    b = x + 1 - shape
    c, d = 1 / _TINY, 1 / b
    total = d
    for k in range(1, _MOST_TERMS):
        a, b = -k * (k - shape), b + 2
        d = 1 / ((a * d + b) or _TINY)
        c = (b + a / c) or _TINY
        total *= c * d
        if abs(c * d - 1) < 2 * _EPSILON:
            break
    return total


def poisson_tail(count: int, mean: float) -> float:
    """Return P(X > count) of the Poisson distribution, for count >= 0 and mean >= 0."""
    return gamma_tails(count + 1, mean)[0]


def chi_square_quantile(above: float, df: float) -> float:
    """Return the value that a chi-square variable exceeds with probability `above`.

    Newton's steps in the logarithm from Wilson and Hilferty's approximation (1931), halved where they overshoot.

    Args:
        above: in (0, 1).
        df: degrees of freedom, > 0.
    """
    shape, z = df / 2, -NormalDist().inv_cdf(above)
    x = shape * max(1 - 2 / (9 * df) + z * math.sqrt(2 / (9 * df)), 0.0) ** 3
    if x < 0.1 * shape:
        x = math.exp((math.log1p(-above) + math.lgamma(shape + 1)) / shape)
    low, high = 0.0, math.inf
    for _ in range(200):
        lower, upper = gamma_tails(shape, x)
        off = upper - above if above < 0.5 else (1 - above) - lower
        low, high = (x, high) if off > 0 else (low, x)
        density = math.exp(shape * math.log(x) - x - math.lgamma(shape))
        step = off / density if density > 0 else math.copysign(1.0, off)
        moved = x * math.exp(max(-1.0, min(step, 1.0)))
        if not low < moved < high:
            moved = (low + high) / 2 if math.isfinite(high) else 2 * x
        if abs(moved - x) <= 1e-15 * x:
            break
        x = moved
    return 2 * x
