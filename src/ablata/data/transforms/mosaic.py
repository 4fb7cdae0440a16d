"""Mosaic of four images with their objects (Bochkovskiy et al. 2020, YOLOv4, arXiv 2004.10934, section 3.4).

torchvision has none. The canvas and the place of its middle are those of mmdetection and ultralytics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from ablata.base.settings import Settings
from ablata.data.transforms.object_geometry import cut, moved, resize, together
from ablata.structures.detection import Objects

_GREY = 114
"""What lies beside the four images."""
_MIDDLE = (0.5, 1.5)
"""Where the four images meet, in sides from the upper left corner."""


class Mosaic(Settings):
    """Mosaic: put each training image and three others into one, around a random middle."""

    side: Annotated[int, Field(ge=32)] = 640
    """Pixels into whose square each of the four is resized; the whole is twice as high and wide."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the training images that become one."""
    until_epoch: Annotated[int, Field(ge=0)] | None = None
    """First epoch (counted from 0) without; null: to the end."""

    def apply(
        self, four: Sequence[tuple[np.ndarray, Objects]], draws: tuple[float, float], min_visible: float
    ) -> tuple[np.ndarray, Objects]:
        """Return the mosaic of four images: the first upper left, then upper right, lower left, lower right.

        Args:
            four: pixels uint8 [H, W, C] and objects of each.
            draws: two numbers in [0, 1): the middle's place down and across.
            min_visible: fraction of an object, in 0..1, of which less is ignored.
        """
        whole = 2 * self.side
        middle_y, middle_x = (int(self.side * (_MIDDLE[0] + (_MIDDLE[1] - _MIDDLE[0]) * draw)) for draw in draws)
        canvas = np.full((whole, whole, four[0][0].shape[2]), _GREY, dtype=np.uint8)
        parts = []
        for place, (pixels, objects) in enumerate(four):
            pixels, objects = resize(pixels, objects, min(self.side / side for side in pixels.shape[:2]))
            tall, wide = pixels.shape[:2]
            room_y = middle_y if place < 2 else whole - middle_y
            room_x = middle_x if place % 2 == 0 else whole - middle_x
            top, left = max(0, tall - room_y) if place < 2 else 0, max(0, wide - room_x) if place % 2 == 0 else 0
            pixels, objects = cut(pixels, objects, top, left, min(tall, room_y), min(wide, room_x), min_visible)
            down = middle_y - len(pixels) if place < 2 else middle_y
            right = middle_x - pixels.shape[1] if place % 2 == 0 else middle_x
            canvas[down : down + pixels.shape[0], right : right + pixels.shape[1]] = pixels
            parts.append(moved(objects, down, right, whole, whole))
        return canvas, together(parts)
