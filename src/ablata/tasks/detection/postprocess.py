"""From a detector's answer to detections on the images as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from ablata.data.detection.dataset import STRIDE
from ablata.data.detection.rle import encode
from ablata.models.detection.base import ImageDetections
from ablata.models.detection.detection_dicts import as_dict
from ablata.structures.detection import DetectionBatch, Detections, Objects, joined

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


def detect_plain(model: nn.Module, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """Return what a detector finds on images [3, h, w], prepared as it takes them: a dict for each; see `as_dict`."""
    batch, _ = joined(images, STRIDE)
    sizes = [(image.shape[-2], image.shape[-1]) for image in images]
    return [as_dict(found, *size) for found, size in zip(model(batch, sizes), sizes, strict=True)]


def plain_detections(found: Detections) -> dict[str, Any]:
    """Return detections as a user's metric gets them: boxes, labels from 0, scores, and masks as COCO's run lengths."""
    values = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    return values if found.masks is None else values | {"masks": [mask.as_dict() for mask in found.masks]}


def plain_objects(objects: Objects) -> dict[str, Any]:
    """Return the truth of an image as a user's metric gets it: boxes, labels, crowd, and masks where there are any."""
    values: dict[str, Any] = {"boxes": objects.boxes, "labels": objects.labels, "crowd": objects.crowd}
    return (
        values | {"masks": [mask.as_dict() for mask in objects.masks]} if isinstance(objects.masks, tuple) else values
    )


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
