"""Run-length encoding (RLE) of masks as COCO has it: made from pixels or polygons, and turned back into pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from faster_coco_eval.core import mask as packed
from torch import Tensor

from ablata.structures.detection import Rle


def encode(masks: np.ndarray) -> tuple[Rle, ...]:
    """Encode masks, bool or uint8 [N, H, W], as RLE."""
    return tuple(_pack(mask) for mask in masks)


def _pack(mask: np.ndarray) -> Rle:
    found = packed.encode(np.asfortranarray(mask, dtype=np.uint8))
    return Rle((mask.shape[0], mask.shape[1]), _bytes(found["counts"]))


def decode(masks: Sequence[Rle], height: int, width: int) -> Tensor:
    """Decode RLE masks to bool [N, height, width]; `height` and `width` are those of an empty result."""
    if not masks:
        return torch.zeros(0, height, width, dtype=torch.bool)
    pixels = np.stack([packed.decode(mask.as_dict()) for mask in masks])
    return torch.from_numpy(pixels).bool()


def from_runs(size: tuple[int, int], counts: str | bytes | list[int]) -> Rle:
    """Return the RLE of a mask in COCO's JSON: packed text, or a list of run lengths."""
    text: str | bytes
    if isinstance(counts, list):
        text = packed.frPyObjects({"size": list(size), "counts": counts}, *size)["counts"]
    else:
        text = counts
    return Rle(size, _bytes(text))


def from_polygons(polygons: list[list[float]], size: tuple[int, int]) -> Rle:
    """Return the RLE of polygons [[x, y, x, y, ...], ...] filled and joined."""
    return Rle(size, _bytes(packed.merge(packed.frPyObjects(polygons, *size))["counts"]))


def areas(masks: Sequence[Rle]) -> np.ndarray:
    """Return int64 [N], the pixels of each mask."""
    if not masks:
        return np.zeros(0, dtype=np.int64)
    return np.array([int(packed.area(mask.as_dict())) for mask in masks], dtype=np.int64)


def _bytes(counts: str | bytes) -> bytes:
    return counts if isinstance(counts, bytes) else counts.encode()


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom, half open, around the pixels of a mask bool [H, W] that has some."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def extents(masks: Sequence[Rle]) -> np.ndarray:
    """Return float64 [N, 4], left, top, right, bottom, half open, around each mask; zeros for an empty one."""
    if not masks:
        return np.zeros((0, 4))
    found = np.array([packed.toBbox(mask.as_dict()) for mask in masks], dtype=np.float64).reshape(-1, 4)
    found[:, 2:] += found[:, :2]
    return found
