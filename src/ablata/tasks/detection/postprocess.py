"""From a detector's answer to detections on the images as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ablata.data.detection.rle import encode
from ablata.models.detection.base import ImageDetections
from ablata.structures.detection import DetectionBatch, Detections

_DECIMALS = 3
"""Of a box's pixels in JSON."""


def detect_objects(model: nn.Module, batch: DetectionBatch, boxes: int | None) -> list[ImageDetections]:
    """Return what a detector, in evaluation mode, finds on each image of a batch, in pixels of the batch.

    Args:
        model: the detector.
        batch: normalised.
        boxes: how many are proposed; None: as the settings say.
    """
    return cast(list[ImageDetections], model(batch.images, sizes_of(batch), None, boxes))


def sizes_of(batch: DetectionBatch) -> list[tuple[int, int]]:
    """Return height and width of each image in the batch."""
    return [(int(height), int(width)) for height, width in batch.sizes.tolist()]


def to_original_size(found: ImageDetections, size: Tensor, original: Tensor) -> Detections:
    """Return detections in pixels of the image as it is stored.

    Args:
        found: in pixels of the batch.
        size: int64 [2], height and width of the image in the batch.
        original: those of the image as stored.
    """
    height, width = original.tolist()
    factors = torch.tensor([width / float(size[1]), height / float(size[0])] * 2, device=found.boxes.device)
    boxes = found.boxes.float() * factors
    masks = None
    if found.masks is not None:
        masks = tuple(
            packed for mask in found.masks_at(boxes, height, width) for packed in encode(mask[None].cpu().numpy())
        )
    return Detections(boxes.cpu(), found.labels.cpu(), found.scores.float().cpu(), masks)


def coco_result(
    box: Sequence[float],
    category_id: int,
    score: float,
    image_id: int | str,
    mask: str | None,
    size: tuple[int, int],
) -> dict[str, Any]:
    """Return a detection in COCO's form of results (cocodataset.org, "Results format").

    Args:
        box: left, top, right, bottom, in pixels of the image.
        category_id: number of its class in the annotations.
        score: in [0, 1].
        image_id: number or name of the image in its set.
        mask: packed run lengths; None: no mask.
        size: height and width of the image.
    """
    left, top, right, bottom = box
    sides = (left, top, right - left, bottom - top)
    row = {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [round(side, _DECIMALS) for side in sides],
        "score": score,
    }
    return row | ({} if mask is None else {"segmentation": {"size": list(size), "counts": mask}})
