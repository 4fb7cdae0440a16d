"""Shapiro and Wilk's test (1965) of normal noise, by Royston's approximation.

Source: Royston (1995), "Remark AS R94: a remark on algorithm AS 181: the W-test for normality".
"""

from __future__ import annotations

import math

import numpy as np

from ablata.stats.distributions import normal
from ablata.stats.table import Floats

FEWEST, MOST = 3, 5_000
"""Values for which the approximation was made."""
_FIRST = (0.0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056)
_SECOND = (0.0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633)
_FEW = 11


def shapiro_wilk(values: Floats) -> float:
    """Return the p value: the probability that normal values look as little normal as these.

    Args:
        values: float (n,), finite, not all equal, `FEWEST` <= n; above `MOST` p is an extrapolation.
    """
    ordered = np.sort(values)
    n = len(ordered)
    centred = ordered - ordered.mean()
    weights = _weights(n)
    # 1 - W, without the cancellation where W is close to 1.
    size = math.sqrt(float(np.square(weights).sum() * np.square(centred).sum()))
    product = float(weights @ centred)
    return _p_value((size - product) * (size + product) / size**2, n)


def _weights(n: int) -> Floats:
    if n == FEWEST:
        return np.array([-math.sqrt(0.5), 0.0, math.sqrt(0.5)])
    scores = normal.quantile((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    total = float(np.square(scores).sum())
    at = 1 / math.sqrt(n)
    ends = [_polynomial(_FIRST, at) + scores[-1] / math.sqrt(total)]
    if n > 5:
        ends.append(_polynomial(_SECOND, at) + scores[-2] / math.sqrt(total))
    left, known = total, 1.0
    for place, weight in enumerate(ends, start=1):
        left -= 2 * float(scores[-place]) ** 2
        known -= 2 * weight**2
    weights = scores / math.sqrt(left / known)
    for place, weight in enumerate(ends, start=1):
        weights[-place], weights[place - 1] = weight, -weight
    return np.asarray(weights, dtype=np.float64)


def _p_value(lack: float, n: int) -> float:
    """P of 1 - W = `lack`."""
    if n == FEWEST:
        return max(6 / math.pi * (math.asin(math.sqrt(1 - lack)) - math.asin(math.sqrt(0.75))), 0.0)
    if lack <= 0:
        return 1.0
    y, log_n = math.log(lack), math.log(n)
    if n <= _FEW:
        bound = -2.273 + 0.459 * n
        if y >= bound:
            return 0.0
        y = -math.log(bound - y)
        mean = _polynomial((0.544, -0.39978, 0.025054, -6.714e-4), n)
        sd = math.exp(_polynomial((1.3822, -0.77857, 0.062767, -0.0020322), n))
    else:
        mean = _polynomial((-1.5861, -0.31082, -0.083751, 0.0038915), log_n)
        sd = math.exp(_polynomial((-0.4803, -0.082676, 0.0030302), log_n))
    return float(normal.tail((y - mean) / sd))


def _polynomial(coefficients: tuple[float, ...], x: float) -> float:
    return sum(c * x**k for k, c in enumerate(coefficients))
