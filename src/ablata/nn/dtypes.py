"""Number formats: what must be computed in float32 at least."""

from __future__ import annotations

from torch import Tensor


def as_float32(values: Tensor) -> Tensor:
    """Return values of 16 bits in float32, float32 and float64 as they are."""
    return values.float() if values.element_size() < 4 else values
