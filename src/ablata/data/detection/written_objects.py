"""Objects as a set's files write them, before they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ablata.data.detection.box_forms import READINGS, XYWH
from ablata.data.detection.rle import extents
from ablata.structures.detection import Rle

_NO_EXTENT = np.full(4, np.nan)


@dataclass(frozen=True)
class WrittenObject:
    """An annotation whose fields can be read.

    Attributes:
        where: file and entry, for messages.
        id: a number of its own.
        label: position in the class list.
        box: four numbers in pixels, as written; None: taken from the mask.
        mask: None where there is none.
        crowd: ignored in training and scores.
        form: what the numbers of the box are, a key of `READINGS`.
        polygons: what the mask was drawn with, x, y, x, y, ... in pixels; empty: with something else.
    """

    where: str
    id: int
    label: int
    box: tuple[float, ...] | None
    mask: Rle | None
    crowd: bool
    form: str = XYWH
    polygons: tuple[tuple[float, ...], ...] = ()

    @property
    def corners(self) -> np.ndarray:
        """Return left, top, right, bottom, float64 [4]."""
        return self.extent if self.box is None else READINGS[self.form](np.array([self.box], dtype=np.float64))[0]

    @property
    def extent(self) -> np.ndarray:
        """Return left, top, right, bottom of the mask, float64 [4]; nan without one."""
        if self.mask is None:
            return _NO_EXTENT
        around: np.ndarray = extents([self.mask])[0]
        return around if (around[2:] > around[:2]).all() else _NO_EXTENT


@dataclass(frozen=True)
class WrittenImage:
    """An image as a set's files describe it.

    Attributes:
        where: annotation file and image, for messages.
        size: height and width; (0, 0): its file cannot be read, and it has no objects.
        id: the set's number or name of it.
        objects: what is on it.
    """

    where: str
    size: tuple[int, int]
    id: int | str | None
    objects: Sequence[WrittenObject]
