"""Lighting noise along the principal colours of ImageNet (Krizhevsky et al. 2012, section 4.1; constants of pycls)."""

from __future__ import annotations

import torch
from torch import Tensor

_VALUES = (0.2175, 0.0188, 0.0045)
_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""A row for each of red, green, blue; a column for each principal colour. For values in 0..1."""


def draw_shifts(generator: torch.Generator, total: int, deviation: float) -> Tensor:
    """Return float32 [total, 3], what is added to red, green and blue of each image, in 0..255.

    Args:
        generator: drawn from.
        total: number of images.
        deviation: standard deviation of the weight of each principal colour (0.1 is usual).
    """
    weights = deviation * torch.randn(total, 3, generator=generator)
    return 255 * (weights * torch.tensor(_VALUES)) @ torch.tensor(_VECTORS).T
