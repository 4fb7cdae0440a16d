"""Transforms of images with their boxes and masks: resize, and horizontal flip with paired classes swapped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ablata.base.errors import DataError, choices, listing
from ablata.base.settings import Settings
from ablata.data.transforms.plain import OwnTransform
from ablata.structures.detection import Objects

_SIDES = (("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT"))


class DetectionAugment(Settings):
    """Augmentation for detection: sizes of images, and random changes of training ones."""

    flip: bool = True
    """Mirror half of the training images left to right."""
    swap: tuple[tuple[str, str], ...] | None = None
    """Classes that change places in a mirror; null: those whose names differ by left and right alone."""
    min_size: Annotated[tuple[Annotated[int, Field(ge=8)], ...], Field(min_length=1)] | None = None
    """Lengths of the shorter side in pixels, one drawn for each training image; null: images keep their size."""
    min_size_test: Annotated[int, Field(ge=8)] | None = None
    """That of evaluation; null: the last of `min_size`."""
    max_size: Annotated[int, Field(ge=8)] = 1333
    """Most pixels of the longer side, where `min_size` is set."""
    transform: OwnTransform | None = None
    """A function of image and target, or a class whose instances are, for each training image after flip and resize."""

    def scale(self, height: int, width: int, training: bool, draw: float) -> float:
        """Return the factor for an image.

        Args:
            height: of the image as stored.
            width: likewise.
            training: False for evaluation.
            draw: in [0, 1), chooses among the lengths.
        """
        if self.min_size is None:
            return 1.0
        tested = self.min_size_test or self.min_size[-1]
        side = self.min_size[int(draw * len(self.min_size))] if training else tested
        return min(side / min(height, width), self.max_size / max(height, width))

    def swaps(self, classes: Sequence[str]) -> Tensor:
        """Return int64 [K]: the class that each becomes in a mirror.

        Raises:
            DataError: a pair names a class that there is not, or one class twice.
        """
        pairs = self.swap if self.swap is not None else _sided(classes)
        names = [name for pair in pairs for name in pair]
        unknown = sorted(set(names) - set(classes))
        if unknown or len(set(names)) != len(names):
            raise DataError(
                "data.augment.swap must name classes of the data, each once at most",
                found=f"unknown: {listing(unknown)}" if unknown else f"data.augment.swap={pairs}",
                do=f"the classes are {choices(classes, *unknown[:1])}",
            )
        becomes = torch.arange(len(classes))
        for one, other in pairs:
            first, second = classes.index(one), classes.index(other)
            becomes[first], becomes[second] = second, first
        return becomes


def _sided(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names that differ by left and right alone."""
    mirrored = {name: name.replace(left, right) for left, right in _SIDES for name in classes if left in name}
    return tuple((name, other) for name, other in mirrored.items() if other in classes)


def resize(pixels: np.ndarray, objects: Objects, scale: float) -> tuple[np.ndarray, Objects]:
    """Resize an image uint8 [H, W, 3], with its boxes and masks bool [N, H, W]."""
    if scale == 1:
        return pixels, objects
    height, width = pixels.shape[:2]
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = cv2.resize(pixels, (wide, tall), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    factors = torch.tensor([wide / width, tall / height] * 2)
    boxes = objects.boxes * factors
    ignored = None if objects.ignored is None else objects.ignored * factors
    masks = objects.masks
    if isinstance(masks, Tensor) and not len(masks):
        masks = masks.new_zeros(0, tall, wide)
    elif isinstance(masks, Tensor):
        masks = torch.nn.functional.interpolate(masks[None].float(), size=(tall, wide), mode="nearest-exact")[0].bool()
    return pixels, Objects(boxes, objects.labels, masks, objects.ids, objects.crowd, ignored)


def horizontal_flip(pixels: np.ndarray, objects: Objects, swaps: Tensor) -> tuple[np.ndarray, Objects]:
    """Flip an image horizontally with its boxes and masks; paired classes change places (`swaps` int64 [K])."""
    width = pixels.shape[1]
    boxes = _mirrored(objects.boxes, width)
    ignored = None if objects.ignored is None else _mirrored(objects.ignored, width)
    masks = objects.masks.flip(-1) if isinstance(objects.masks, Tensor) else objects.masks
    flipped = Objects(boxes, swaps[objects.labels], masks, objects.ids, objects.crowd, ignored)
    return np.ascontiguousarray(pixels[:, ::-1]), flipped


def _mirrored(boxes: Tensor, width: int) -> Tensor:
    left, top, right, bottom = boxes.unbind(1)
    return torch.stack([width - right, top, width - left, bottom], dim=1)
