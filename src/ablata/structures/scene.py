"""A synthetic scene: image, label, semantic mask, instances, boxes.

Letters: H height, W width, N instances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SceneSample:
    """One scene.

    Attributes:
        image: uint8 [H, W, 3], red, green, blue in 0..255.
        label: class of the whole image, in [0, places).
        semantic: uint8 [H, W], class of each pixel, in [0, semantic classes); every pixel has one.
        instances: uint16 [H, W], 0 where no thing is seen, else 1 + the thing's row in `boxes`.
        boxes: float32 [N, 4], left, top, right, bottom in pixels, half open, tight around the pixels that are seen;
            right > left, bottom > top.
        classes: int64 [N], semantic class of each thing.
    """

    image: np.ndarray
    label: int
    semantic: np.ndarray
    instances: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray

    @property
    def masks(self) -> np.ndarray:
        """Return bool [N, H, W], the pixels of each thing that are seen; they do not overlap."""
        numbers = np.arange(1, len(self.boxes) + 1, dtype=np.uint16)
        seen: np.ndarray = self.instances[None] == numbers[:, None, None]
        return seen
