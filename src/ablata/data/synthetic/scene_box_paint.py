"""Painting the images of `scene_boxes`: things on a noisy ground, none of them over another."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

Large = Literal["ring", "cross", "block"]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom, half open."""

_COLOURS: dict[Large, tuple[int, int, int]] = {"ring": (200, 60, 50), "cross": (60, 80, 210), "block": (60, 170, 80)}
_GREY = (165, 165, 165)
_SMALL, _LARGE, _BLOCK = 9, 23, (15, 15)
_MARGIN, _TRIES = 2, 60


class Canvas:
    """An image that things are put on.

    Args:
        random: drawn from.
        height: pixels.
        width: pixels.
        gap: fewest pixels between the middle of a small thing and the border of the large one it goes with.

    Attributes:
        pixels: uint8 [H, W, 3].
        instances: uint8 [H, W], 0 or 1 + the thing's place in `classes`.
        classes: of each thing, in the order of painting.
    """

    def __init__(self, random: np.random.Generator, height: int, width: int, gap: int) -> None:
        self._random, self._gap = random, gap
        ground = random.normal(85, 14, (height, width, 3)) + random.normal(0, 12, 3)
        self.pixels = ground.clip(0, 255).astype(np.uint8)
        self.instances = np.zeros((height, width), dtype=np.uint8)
        self.classes: list[int] = []
        self._taken: list[Box] = []
        self._large: dict[Large, Box] = {}

    def large(self, name: Large, label: int) -> bool:
        """Put a large thing at a free place; return whether there was one."""
        width, height = _BLOCK if name == "block" else (_LARGE, _LARGE)
        box = self._free(width, height)
        if box is None:
            return False
        self._large[name] = box
        left, top = box[:2]
        shape = np.zeros((height, width), dtype=np.uint8)
        middle = _LARGE // 2
        if name == "ring":
            cv2.circle(shape, (middle, middle), middle - 2, 1, 4)
        elif name == "cross":
            shape[middle - 2 : middle + 3] = 1
            shape[:, middle - 2 : middle + 3] = 1
        else:
            shape[:] = 1
        self._paint(shape.astype(bool), left, top, _COLOURS[name], label)
        return True

    def disc(self, label: int, company: Large) -> bool:
        """Put a grey disc away from the thing it goes with; return whether there was room."""
        place = self._far(company)
        if place is None:
            return False
        rows, columns = np.mgrid[:_SMALL, :_SMALL] - _SMALL // 2
        self._paint(rows**2 + columns**2 <= (_SMALL / 2) ** 2, place[0], place[1], _GREY, label)
        return True

    def side(self) -> tuple[Box, int] | None:
        """Draw a place for a square once; return it with its side of the block: 0 beside, 1 above or below.

        None where it is taken, or on neither side. Places that lie more often on one side than on the other, such as
        those at the image's border, are left out as often as makes both sides alike: a place alone tells nothing.
        """
        box = self._free(_SMALL, _SMALL)
        if box is None:
            return None
        across, down = self._away(box, "block")
        if min(across, down) > 0 or max(across, down) < self._gap:
            return None
        side = int(down > across)
        height, width = self.instances.shape
        (level_x, far_x), (level_y, far_y) = self._chances(box[0], width), self._chances(box[1], height)
        beside, stacked = level_y * far_x, level_x * far_y
        own, other = (beside, stacked) if side == 0 else (stacked, beside)
        return (box, side) if self._random.random() * own < other else None

    def square(self, label: int, place: Box) -> None:
        """Put a grey square at a place of `side`."""
        self._paint(np.ones((_SMALL, _SMALL), dtype=bool), place[0], place[1], _GREY, label)

    def _away(self, box: Box, company: Large) -> tuple[float, float]:
        """Return how far the middle of a small thing lies from the border of a large one, across and down."""
        left, top, right, bottom = self._large[company]
        x, y = box[0] + _SMALL / 2, box[1] + _SMALL / 2
        return max(left - x, x - right, 0.0), max(top - y, y - bottom, 0.0)

    def _chances(self, start: int, length: int) -> tuple[float, float]:
        """Return of how many of the block's places along an axis a square that starts here is level, and far."""
        size, middle = _BLOCK[0], start + _SMALL / 2
        starts = np.arange(length - size + 1)
        apart = np.maximum(starts - middle, middle - (starts + size))
        return float((apart <= 0).mean()), float((apart >= self._gap).mean())

    def _far(self, company: Large) -> Box | None:
        """Return a free place for a small thing, `gap` from its company."""
        for _ in range(_TRIES):
            box = self._free(_SMALL, _SMALL)
            if box is None or max(self._away(box, company)) >= self._gap:
                return box
        return None

    def _free(self, width: int, height: int) -> Box | None:
        """Return a place where nothing is."""
        tall, wide = self.instances.shape
        for _ in range(_TRIES):
            left = int(self._random.integers(0, wide - width + 1))
            top = int(self._random.integers(0, tall - height + 1))
            box = (left, top, left + width, top + height)
            if not any(_near(box, other) for other in self._taken):
                return box
        return None

    def _paint(self, shape: np.ndarray, left: int, top: int, colour: tuple[int, int, int], label: int) -> None:
        height, width = shape.shape
        part = (slice(top, top + height), slice(left, left + width))
        noise = self._random.normal(0, 10, (height, width, 1))
        painted = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
        self.pixels[part][shape] = painted[shape]
        self.classes.append(label)
        self.instances[part][shape] = len(self.classes)
        self._taken.append((left, top, left + width, top + height))


def _near(one: Box, other: Box) -> bool:
    apart = max(one[0] - other[2], other[0] - one[2], one[1] - other[3], other[1] - one[3])
    return apart < _MARGIN
