"""Large arrays in pieces that fit a processor's cache: half the time of functions that pass over them often."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from ablata.stats.table import Floats

_PIECE = 12_000


def piecewise(function: Callable[..., Floats], *arguments: ArrayLike) -> Floats:
    """Apply a function of flat float64 arrays to arguments that broadcast, a cache's worth of elements at a time.

    What is one number for all elements reaches the function as an array of one element.
    """
    arrays = [np.asarray(argument, dtype=np.float64) for argument in arguments]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    flat = [array.reshape(-1) if array.size == 1 else np.broadcast_to(array, shape).reshape(-1) for array in arrays]
    size = math.prod(shape)
    if size <= _PIECE:
        return np.broadcast_to(function(*flat), size).reshape(shape)
    out = np.empty(size)
    for start in range(0, size, _PIECE):
        piece = slice(start, start + _PIECE)
        out[piece] = function(*(array if array.size == 1 else array[piece] for array in flat))
    return out.reshape(shape)
