"""Resizing, flipping, cutting and joining images with their boxes and masks.

An object of which too little remains visible is none any more; what is seen of it is ignored, so that it is neither
positive nor negative.

Shapes: N objects of an image of H x W pixels; boxes are left, top, right, bottom in pixels, half open.

    pixels uint8 [H, W, C]     boxes [N, 4]     masks bool [N, H, W]     visible [N], a fraction
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ablata.data.io.crop import opencv_resize
from ablata.structures.detection import Objects

NAMELESS = -1
"""Number of an object that comes from another image."""


def resize(pixels: np.ndarray, objects: Objects, scale: float) -> tuple[np.ndarray, Objects]:
    """Resize an image uint8 [H, W, C], with its boxes and masks bool [N, H, W]."""
    if scale == 1:
        return pixels, objects
    height, width = pixels.shape[:2]
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = opencv_resize(pixels, (tall, wide), cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
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


def cut(
    pixels: np.ndarray, objects: Objects, top: int, left: int, height: int, width: int, min_visible: float
) -> tuple[np.ndarray, Objects]:
    """Cut a part out of an image.

    Args:
        pixels: uint8 [H, W, C].
        objects: what is on it; masks bool [N, H, W] or None.
        top, left: of the part, inside the image.
        height, width: of the part, in pixels; it ends with the image at the latest.
        min_visible: fraction of an object, in 0..1, of which less is ignored.

    Returns:
        The part; boxes of objects that were cut surround what remains of their masks.
    """
    part = pixels[top : top + height, left : left + width]
    tall, wide = part.shape[:2]
    boxes, ignored = (_clipped(one, top, left, tall, wide) for one in (objects.boxes, _ignored(objects)))
    masks = objects.masks[:, top : top + tall, left : left + wide] if isinstance(objects.masks, Tensor) else None
    before = _areas(objects.boxes) if not isinstance(objects.masks, Tensor) else objects.masks.sum((1, 2))
    after = _areas(boxes) if masks is None else masks.sum((1, 2))
    ignored = ignored[_areas(ignored) >= 1]
    moved = replace(objects, boxes=boxes, masks=masks, ignored=ignored if len(ignored) else None)
    return part, without_hidden(moved, before, after, min_visible)


def without_hidden(objects: Objects, before: Tensor, after: Tensor, min_visible: float) -> Objects:
    """Return the objects without those of which too little is visible.

    Args:
        objects: masks hold what is visible, where there are masks.
        before: [N], area of each object as it was.
        after: [N], what is visible of it.
        min_visible: fraction, in 0..1.

    Returns:
        Objects; where an object lost pixels of its mask, its box surrounds the others. What is seen of one that is
        left out is ignored.
    """
    boxes = objects.boxes.clone()
    if isinstance(objects.masks, Tensor):
        for row in ((after < before) & (after > 0)).nonzero().flatten().tolist():
            boxes[row] = _around(objects.masks[row])
    kept = (after >= min_visible * before) & (after > 0) & ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)
    hidden = boxes[~kept & (after > 0)]
    left_out = torch.cat([_ignored(objects), hidden])
    return replace(replace(objects, boxes=boxes).at(kept), ignored=left_out if len(left_out) else None)


def moved(objects: Objects, down: int, right: int, height: int, width: int) -> Objects:
    """Return objects of an image that lies at a place of a larger one, of `height` x `width` pixels."""
    shift = torch.tensor([right, down, right, down], dtype=objects.boxes.dtype)
    masks = objects.masks
    if isinstance(masks, Tensor):
        tall, wide = masks.shape[1:]
        masks = torch.nn.functional.pad(masks, (right, width - right - wide, down, height - down - tall))
    ignored = None if objects.ignored is None else objects.ignored + shift
    return replace(objects, boxes=objects.boxes + shift, masks=masks, ignored=ignored)


def together(parts: Sequence[Objects]) -> Objects:
    """Return the objects of several images that became one, those of the first image first; ids of the others go."""
    masks = [part.masks for part in parts if isinstance(part.masks, Tensor)]
    ids = [part.ids if place == 0 else torch.full_like(part.ids, NAMELESS) for place, part in enumerate(parts)]
    ignored = torch.cat([_ignored(part) for part in parts])
    return Objects(
        torch.cat([part.boxes for part in parts]),
        torch.cat([part.labels for part in parts]),
        torch.cat(masks) if len(masks) == len(parts) else None,
        torch.cat(ids),
        torch.cat([part.crowd for part in parts]),
        ignored if len(ignored) else None,
    )


def _ignored(objects: Objects) -> Tensor:
    return objects.boxes.new_zeros(0, 4) if objects.ignored is None else objects.ignored


def _clipped(boxes: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    shifted = boxes - torch.tensor([left, top, left, top], dtype=boxes.dtype)
    return shifted.clamp(min=0).minimum(torch.tensor([width, height, width, height], dtype=boxes.dtype))


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)


def _around(mask: Tensor) -> Tensor:
    """Return the box around the pixels of a mask bool [H, W] that has some."""
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return torch.tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=torch.float32)
