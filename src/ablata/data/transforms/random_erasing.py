"""Random erasing of normalised images (Zhong et al. 2017, arXiv 1708.04896; several boxes as in timm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from ablata.base.seeds import derive
from ablata.base.settings import Settings
from ablata.structures.batch import Rows

_TRIES = 10


class RandomErasing(Settings):
    """Random erasing: cover random boxes, after normalisation and before mixing."""

    kind: Literal["erase"] = "erase"
    probability: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of the images that are erased."""
    area: tuple[float, float] = (0.02, 1 / 3)
    """Lowest and highest fraction of the image's area, uniform; divided by the number of boxes."""
    aspect: tuple[float, float] = (0.3, 10 / 3)
    """Lowest and highest height / width, uniform in the logarithm."""
    fill: Literal["const", "rand", "pixel"] = "const"
    """const: 0, the mean colour; rand: one normal random colour a box; pixel: one a pixel."""
    count: Annotated[int, Field(ge=1)] = 1
    """Boxes of an erased image, at most; how many is uniform."""
    until_epoch: Annotated[int, Field(ge=0)] | None = None
    """First epoch (counted from 0) that is no longer erased; null: erase to the end."""

    @model_validator(mode="after")
    def _ordered(self) -> RandomErasing:
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"0 < area[0] <= area[1] <= 1 must hold, got {list(self.area)}")
        if not 0 < self.aspect[0] <= self.aspect[1]:
            raise ValueError(f"0 < aspect[0] <= aspect[1] must hold, got {list(self.aspect)}")
        return self

    def active(self, epoch: int) -> bool:
        """Tell whether images of this epoch may be erased."""
        return self.until_epoch is None or epoch < self.until_epoch


@dataclass(frozen=True)
class EraseBoxes:
    """Boxes that are erased in n images, k boxes each at most.

    Attributes:
        place: int64 [n, k, 4]: top, left, bottom, right, half open and inside; an empty box erases nothing.
        row: int64 [n], rows of the global batch, which address the random fill.
        seed: of this step.
    """

    place: np.ndarray
    row: np.ndarray
    seed: int


def draw_boxes(seed: int, erase: RandomErasing, rows: Rows, here: int, size: tuple[int, int]) -> EraseBoxes:
    """Draw boxes for the whole global batch and return those of the rows at hand.

    A box is drawn up to ten times until it is smaller than the image; one that never is erases nothing.

    Args:
        seed: of this step.
        erase: the settings.
        rows: the rows at hand.
        here: how many they are.
        size: height and width in pixels.
    """
    random, shape = np.random.default_rng(seed), (rows.total, erase.count)
    boxes = random.integers(1, erase.count + 1, size=rows.total)
    boxes[random.random(rows.total) >= erase.probability] = 0
    place, found = np.zeros((*shape, 4), dtype=np.int64), np.arange(erase.count) >= boxes[:, None]
    low, high = np.log(erase.aspect)
    for share, shape_, down, across in random.random((_TRIES, 4, *shape)):
        area = (erase.area[0] + (erase.area[1] - erase.area[0]) * share) * size[0] * size[1]
        area = area / np.maximum(boxes, 1)[:, None]
        aspect = np.exp(low + (high - low) * shape_)
        extent = np.stack([np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=-1).round().astype(np.int64)
        fits = (extent < size).all(-1) & ~found
        start = (np.stack([down, across], axis=-1) * (np.array(size) - extent + 1)).astype(np.int64)
        place[fits] = np.concatenate([start, start + extent], axis=-1)[fits]
        found |= fits
    row = np.arange(rows.first, rows.first + here)
    return EraseBoxes(place[row], row, seed)


def erase_boxes(images: Tensor, boxes: EraseBoxes, fill: Literal["const", "rand", "pixel"]) -> Tensor:
    """Return normalised float32 [B, C, H, W] with the boxes of its rows filled."""
    images = images.clone()
    height, width = boxes.place[..., 2] - boxes.place[..., 0], boxes.place[..., 3] - boxes.place[..., 1]
    for row, number in zip(*((height > 0) & (width > 0)).nonzero(), strict=True):
        top, left, bottom, right = boxes.place[row, number].tolist()
        covered = images[row, :, top:bottom, left:right]
        if fill == "const":
            covered.zero_()
            continue
        generator = torch.Generator().manual_seed(derive(boxes.seed, "augment", int(boxes.row[row]), int(number)))
        shape = covered.shape if fill == "pixel" else (len(covered), 1, 1)
        covered.copy_(torch.randn(shape, generator=generator), non_blocking=True)
    return images
