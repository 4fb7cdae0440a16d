"""Dtypes: what must be computed in float32 at least."""

from __future__ import annotations

from torch import Tensor


def as_float32(values: Tensor) -> Tensor:
    """Cast 16-bit values to float32; return float32 and float64 as they are."""
    return values.float() if values.element_size() < 4 else values
