"""Normal distribution: its function from the error function, its quantile by Wichura's approximation.

Source of the quantile: Wichura (1988), "Algorithm AS 241: the percentage points of the normal distribution", PPND16;
the standard library's `statistics.NormalDist` has the same for one number at a time.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.distributions.piecewise import piecewise
from ablata.stats.table import Floats

_MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.3871328727963666080),
    (5226.4952788528545610, 28729.085735721942674, 39307.895800092710610, 21213.794301586595867,
     5394.1960214247511077, 687.18700749205790830, 42.313330701600911252, 1.0),
)  # fmt: skip
_TAIL = (
    (7.74545014278341407640e-4, 0.0227238449892691845833, 0.241780725177450611770, 1.27045825245236838258,
     3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 0.0151986665636164571966, 0.148103976427480074590,
     0.689767334985100004550, 1.67638483018380384940, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.00124266094738807843860, 0.0265321895265761230930,
     0.296560571828504891230, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     0.0148753612908506148525, 0.136929880922735805310, 0.599832206555887937690, 1.0),
)  # fmt: skip


def tail(x: ArrayLike) -> Floats:
    """Return P(Z > x), to full relative precision in either tail."""
    values = np.asarray(x, dtype=np.float64)
    above = [0.5 * math.erfc(value) for value in (values / math.sqrt(2)).ravel().tolist()]
    return np.array(above, dtype=np.float64).reshape(values.shape)


def quantile(probability: ArrayLike) -> Floats:
    """Return z with P(Z <= z) = `probability`; -inf at 0, inf at 1, NaN outside [0, 1]."""
    return piecewise(_quantile, probability)


def _quantile(p: Floats) -> Floats:
    off = p - 0.5
    z = off * _ratio(_MIDDLE, 0.180625 - off * off)
    outer = np.abs(off) > 0.425
    if outer.any():
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = np.sqrt(-np.log(np.minimum(p, 1 - p)[outer]))
            far = np.where(depth <= 5, _ratio(_TAIL, depth - 1.6), _ratio(_FAR, depth - 5))
        z[outer] = np.copysign(np.where(np.isinf(depth), np.inf, far), off[outer])
    return z


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: Floats) -> Floats:
    top, bottom = (np.full_like(r, one[0]) for one in coefficients)
    for above, below in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        top, bottom = top * r + above, bottom * r + below
    return np.asarray(top / bottom, dtype=np.float64)
