"""Large-scale jitter of images with their objects (Ghiasi et al. 2021, arXiv 2012.07177, section 3).

torchvision's v2.ScaleJitter draws from torch's global generator, which the threads that read images share; here every
number is the sample's own, so that a training resumes exactly. The names and the defaults are torchvision's.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from ablata.base.settings import Settings
from ablata.data.transforms.object_geometry import cut, resize
from ablata.structures.detection import Objects


class ScaleJitter(Settings):
    """Large-scale jitter: resize by a random factor, then cut to one size at a random place."""

    height: Annotated[int, Field(ge=32)] = 1024
    """Height of training images in pixels, at most."""
    width: Annotated[int, Field(ge=32)] = 1024
    """Width, at most."""
    low: Annotated[float, Field(gt=0)] = 0.1
    """Smallest factor on the size at which an image just fits into `height` x `width`."""
    high: Annotated[float, Field(gt=0)] = 2.0
    """Largest factor; 0.8 to 1.25 is what the paper calls standard jitter."""

    @model_validator(mode="after")
    def _ordered(self) -> ScaleJitter:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, got low={self.low}, high={self.high}")
        return self

    def fit(self, height: int, width: int) -> float:
        """Return the factor at which an image of this size in pixels just fits."""
        return min(self.height / height, self.width / width)

    def apply(
        self, pixels: np.ndarray, objects: Objects, draws: tuple[float, float, float], min_visible: float
    ) -> tuple[np.ndarray, Objects]:
        """Return an image resized and cut.

        Args:
            pixels: uint8 [H, W, C].
            objects: what is on it; masks bool [N, H, W] or None.
            draws: three numbers in [0, 1): of the factor, and of the cut's place down and across.
            min_visible: fraction of an object, in 0..1, of which less is ignored.
        """
        factor = self.low + (self.high - self.low) * draws[0]
        pixels, objects = resize(pixels, objects, factor * self.fit(*pixels.shape[:2]))
        top, left = (
            int(draw * (max(0, have - most) + 1))
            for draw, have, most in zip(draws[1:], pixels.shape, (self.height, self.width), strict=False)
        )
        return cut(pixels, objects, top, left, self.height, self.width, min_visible)
