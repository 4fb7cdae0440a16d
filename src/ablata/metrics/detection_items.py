"""What a detector got on each image: the average precision of one image's boxes, a score that is a mean over images.

Average precision ranks the detections of all images together, so no image has a part of its own in it. The average
precision of each image alone, by the same rules (Lin et al. 2014), ranks within the image: it asks whether the objects
of an image are found before anything else is, and does not see how scores compare between images. Images without an
object that counts have none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_coco_eval.core import mask as packed
from numpy.typing import NDArray

from ablata.metrics.average_precision import DetectionScores
from ablata.structures.detection import Objects

_RECALLS = np.linspace(0.0, 1.0, 101)
NAME = "image_AP"


def image_precisions(
    scores: DetectionScores, images: Sequence[Objects], thresholds: Sequence[float], most: int = 100
) -> NDArray[np.float64]:
    """Return the average precision of each image's boxes alone, in percent, float64 (images,).

    The mean over the classes that have an object in the image, and over IoU thresholds; nan for an image without one.

    Args:
        scores: what was found on all of them.
        images: the truth.
        thresholds: IoU thresholds, each in (0, 1].
        most: maximum detections of an image and class, those of the highest scores.
    """
    rows: list[list[list[float]]] = [[] for _ in images]
    for image, label, score, *box, _ in scores.rows():
        rows[image].append([label, score, *box])
    limits = np.minimum(np.array(thresholds, dtype=np.float64), 1 - 1e-10)
    return np.array(
        [
            _of_image(np.array(found, dtype=np.float64).reshape(-1, 6), objects, limits, most)
            for found, objects in zip(rows, images, strict=True)
        ],
        dtype=np.float64,
    )


def _of_image(found: np.ndarray, objects: Objects, limits: np.ndarray, most: int) -> float:
    labels, crowd = objects.labels.numpy(), objects.crowd.numpy().astype(bool)
    truth = _with_sizes(objects.boxes.double().numpy().reshape(-1, 4))
    values = []
    for label in np.unique(labels[~crowd]):
        mine = found[found[:, 0] == label]
        mine = mine[np.argsort(-mine[:, 1], kind="mergesort")][:most]
        true = np.flatnonzero(labels == label)
        true = true[np.argsort(crowd[true], kind="mergesort")]
        values.append(_of_class(_with_sizes(mine[:, 2:]), truth[true], crowd[true], limits))
    return 100 * float(np.mean(values)) if values else float("nan")


def _of_class(boxes: np.ndarray, truth: np.ndarray, crowd: np.ndarray, limits: np.ndarray) -> float:
    """Return the average precision of detections, the surest first, with one class's objects, crowds last."""
    if not len(boxes):
        return 0.0
    overlaps = np.asarray(packed.iou(boxes, truth, crowd.astype(int).tolist()), dtype=np.float64)
    means = []
    for limit in limits:
        free, hit, counts = np.ones(len(truth), dtype=bool), np.zeros(len(boxes)), np.ones(len(boxes), dtype=bool)
        for row in range(len(boxes)):
            for chosen in (free & ~crowd, crowd):
                at = _best(overlaps[row], chosen, limit)
                if at is not None:
                    hit[row], counts[row] = not crowd[at], not crowd[at]
                    free[at] &= crowd[at]
                    break
        means.append(_area(hit[counts], int((~crowd).sum())))
    return float(np.mean(means))


def _best(overlaps: np.ndarray, chosen: np.ndarray, limit: float) -> int | None:
    """Return the chosen object of the highest overlap, the last of equal ones; None below the limit."""
    allowed = np.where(chosen, overlaps, -1.0)
    at = len(allowed) - 1 - int(np.argmax(allowed[::-1]))
    return at if allowed[at] >= limit else None


def _area(hit: np.ndarray, objects: int) -> float:
    """Return the mean of the falling precision at 101 recalls."""
    if not len(hit):
        return 0.0
    right = hit.cumsum()
    recall, precision = right / objects, right / np.arange(1, len(hit) + 1)
    falling = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(falling[np.searchsorted(recall, _RECALLS, side="left")].mean())


def _with_sizes(corners: np.ndarray) -> np.ndarray:
    """Return boxes as left, top, width and height, contiguous."""
    return np.ascontiguousarray(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1))
