"""Average precision (AP) of boxes and masks at any IoU thresholds, after COCO's rules (Lin et al. 2014).

The detections of a class are taken by falling score; each is a true positive if its IoU with an object that is not yet
matched is at least the threshold (the object of the highest IoU is matched). Precision, made falling, is read at 101
recalls and averaged. Crowd regions are ignored: neither missed nor a cause of false positives. A class without an
object has no AP: it is left out of means and named.

Counting is faster-coco-eval's; thresholds, classes and sizes are read from its arrays by position, never by equality of
floating-point numbers (cocoapi issue 409).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as packed

from ablata.base.collecting import gc_paused
from ablata.structures.detection import Detections, Objects, Rle


class Boxes(NamedTuple):
    """Boxes of all images, sorted by image, class and falling score.

    Attributes:
        boxes: float64 [N, 4]: left, top, width, height.
        crowd: int64 [N], 1 where a box stands for many objects.
        places: where those of an image and class begin and end.
    """

    boxes: np.ndarray
    crowd: np.ndarray
    places: dict[tuple[int, int], tuple[int, int]]


def sorted_boxes(
    images: np.ndarray, classes: np.ndarray, scores: np.ndarray, boxes: np.ndarray, crowd: np.ndarray
) -> Boxes:
    """Sort boxes [N, 4] by image, class and falling score, all [N]; equal ones stay in their order."""
    order = np.lexsort((-scores, classes, images))
    images, classes = images[order], classes[order]
    starts = np.flatnonzero((np.diff(images, prepend=-1) != 0) | (np.diff(classes, prepend=-1) != 0))
    stops = np.append(starts, len(order))[1:]
    keys = zip(images[starts].tolist(), classes[starts].tolist(), strict=True)
    return Boxes(
        boxes[order], crowd[order], dict(zip(keys, zip(starts.tolist(), stops.tolist(), strict=True), strict=True))
    )


class BoxCounting(COCOeval_faster):  # type: ignore[misc]  # the library has no types
    """faster-coco-eval's box evaluation, given IoUs that are computed at once.

    Args:
        truth: objects as the library has them.
        rows: what was found, as the library has it, with `area`, `iscrowd` and an `id` from 1.
        true_boxes: the objects' boxes.
        found_boxes: those of what was found.
    """

    def __init__(
        self, truth: COCO, rows: list[dict[str, Any]], true_boxes: Boxes, found_boxes: Boxes, **options: Any
    ) -> None:
        super().__init__(truth, None, "bbox", **options)
        self._rows, self._true, self._found = rows, true_boxes, found_boxes

    def _prepare(self) -> None:
        """Hand all rows over; the library does so as well, after it has filtered them by what all of them are."""
        self.gt_dataset.clean()
        self.dt_dataset.clean()
        for row in self.cocoGt.dataset["annotations"]:
            row["ignore"] = row["iscrowd"]
            self.gt_dataset.append_ref(row["image_id"], row["category_id"], row)
        for row in self._rows:
            self.dt_dataset.append_ref(row["image_id"], row["category_id"], row)
        self._nonempty_iou_pairs = self._true.places.keys() & self._found.places.keys()

    def computeIoU(self, imgId: int, catId: int) -> np.ndarray | list[float]:  # noqa: N802, N803 (the library's names)
        """Return float64 [D, G]: IoU of the best detections of an image and class with its objects."""
        found, true = self._found.places.get((imgId, catId)), self._true.places.get((imgId, catId))
        if found is None or true is None:
            return []
        surest = slice(found[0], min(found[1], found[0] + self.params.maxDets[-1]))
        objects = slice(*true)
        overlaps: np.ndarray = packed.iou(
            self._found.boxes[surest], self._true.boxes[objects], self._true.crowd[objects].tolist()
        )
        return overlaps


EVALUATOR: Literal[1] = 1
"""Version of these rules; scores of two versions are not compared. It changes with anything that can move a score."""

COCO_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SIZES = ("all", "small", "medium", "large")
"""Sizes of objects: any; below 32 x 32 pixels; up to 96 x 96; above. Pixels of the mask, or of the box without one."""
_AREAS = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]]

Kind = Literal["box", "mask"]


@dataclass(frozen=True)
class AveragePrecisions:
    """Average precision of boxes or of masks.

    Attributes:
        thresholds: IoU thresholds, T of them.
        values: float64 [T, K, 4], in percent, by threshold, class and `SIZES`; nan where there is no such object.
        recalls: float64 [T, K, 4], the highest recall, likewise.
    """

    thresholds: tuple[float, ...]
    values: np.ndarray
    recalls: np.ndarray

    def mean(self, size: str = "all", threshold: float | None = None) -> float:
        """Return the mean over classes that have objects of a size, and over thresholds or at one of them.

        Returns:
            Percent; nan where no class has an object.
        """
        chosen = self.values[:, :, SIZES.index(size)]
        if threshold is not None:
            chosen = chosen[self.thresholds.index(threshold)]
        return _mean(chosen)

    def mean_recall(self, size: str = "all") -> float:
        """Return the average recall (AR): the highest recall, mean over thresholds and classes with such objects."""
        return _mean(self.recalls[:, :, SIZES.index(size)])

    def of_classes(self) -> np.ndarray:
        """Return float64 [K], the mean over thresholds of each class; nan for one without objects."""
        mean: np.ndarray = self.values[:, :, 0].mean(axis=0)
        return mean


class DetectionScores:
    """COCO evaluation: collects the detections of a split and scores them.

    Args:
        classes: how many there are.
        images: height and width, and truth, of every image of the split, masks as run lengths.
    """

    def __init__(self, classes: int, images: Sequence[tuple[tuple[int, int], Objects]]) -> None:
        self._classes = classes
        self._images = images
        self._found: list[list[Any]] = []

    def update(self, image: int, found: Detections) -> None:
        """Add the detections of an image, given by its index in the split."""
        boxes = found.boxes.double().tolist()
        columns = (boxes, found.labels.tolist(), found.scores.double().tolist())
        masks = [mask.counts.decode() for mask in found.masks] if found.masks is not None else [None] * len(boxes)
        for box, label, score, mask in zip(*columns, masks, strict=True):
            self._found.append([image, label, score, *box, mask])

    def state(self) -> bytes:
        """Return what was collected, to be joined with that of other processes."""
        return json.dumps(self._found).encode()

    def join(self, states: Sequence[bytes]) -> None:
        """Replace what was collected by that of all processes, in an order that does not depend on how many."""
        rows = [row for state in states for row in json.loads(state)]
        self._found = sorted(rows, key=lambda row: row[0])

    def score(self, kind: Kind, thresholds: Sequence[float], most: int = 100) -> AveragePrecisions:
        """Score what was collected.

        Args:
            kind: boxes or masks.
            thresholds: IoU thresholds, each in (0, 1].
            most: maximum detections of an image and class, those of the highest scores.

        Raises:
            ValueError: masks are asked for where truth or detections have none.
        """
        with gc_paused():
            truth = COCO(self._truth(kind))
            evaluation = self._box_counting(truth) if kind == "box" else self._mask_counting(truth)
            evaluation.params.iouThrs = np.array(thresholds, dtype=np.float64)
            evaluation.params.maxDets = [most]
            evaluation.params.areaRng, evaluation.params.areaRngLbl = _AREAS, list(SIZES)
            evaluation.evaluate()
            evaluation.accumulate()
        precision = np.asarray(evaluation.eval["precision"], dtype=np.float64)
        values = precision.reshape(len(thresholds), -1, self._classes, len(SIZES)).mean(axis=1)
        recall = np.asarray(evaluation.eval["recall"], dtype=np.float64).reshape(values.shape)
        return AveragePrecisions(
            tuple(thresholds), np.where(values < 0, np.nan, 100 * values), np.where(recall < 0, np.nan, 100 * recall)
        )

    def rows(self) -> list[list[Any]]:
        """Return the detections: index of the image, label, score, left, top, right, bottom, mask or None."""
        return self._found

    def detections(self) -> list[Detections]:
        """Return what was collected, image by image, in the order they were found."""
        by_image: list[list[list[Any]]] = [[] for _ in self._images]
        with_masks = any(row[7] for row in self._found)
        for row in self._found:
            by_image[row[0]].append(row)
        return [
            Detections(
                torch.tensor([row[3:7] for row in rows], dtype=torch.float32).reshape(-1, 4),
                torch.tensor([row[1] for row in rows], dtype=torch.int64),
                torch.tensor([row[2] for row in rows], dtype=torch.float32),
                tuple(Rle(size, row[7].encode()) for row in rows) if with_masks else None,
            )
            for rows, (size, _) in zip(by_image, self._images, strict=True)
        ]

    def confusion(self, threshold: float, score_threshold: float = 0.0) -> np.ndarray:
        """Return the confusion matrix of objects, int64 [K + 1, K + 1], the last row and column the background's.

        Of each image the detections are taken by falling score: each goes to the free object of its own class that it
        overlaps most, as for average precision; those that are left, to a free object of any class. Objects without a
        detection are in the last column (missed), detections without an object in the last row (false). What lies on an
        ignored region is not counted.

        Args:
            threshold: overlap from which a detection is on an object.
            score_threshold: detections below it are not counted.
        """
        counts = np.zeros((self._classes + 1, self._classes + 1), dtype=np.int64)
        by_image: dict[int, list[list[Any]]] = {}
        for row in self._found:
            if row[2] >= score_threshold:
                by_image.setdefault(row[0], []).append(row)
        for image, (_, objects) in enumerate(self._images):
            rows = sorted(by_image.get(image, []), key=lambda row: -float(row[2]))
            _count_confusion(counts, rows, objects, threshold)
        return counts

    def _truth(self, kind: Kind) -> dict[str, Any]:
        annotations: list[dict[str, Any]] = []
        images = []
        for number, ((height, width), objects) in enumerate(self._images):
            images.append({"id": number, "height": height, "width": width})
            if kind == "mask" and objects.masks is None:
                raise ValueError(f"masks are to be scored, but image {number} has boxes alone")
            masks = objects.masks if isinstance(objects.masks, tuple) else (None,) * len(objects)
            columns = (objects.boxes.double().tolist(), objects.labels.tolist(), objects.crowd.tolist(), masks)
            for (left, top, right, bottom), label, crowd, mask in zip(*columns, strict=True):
                one = {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [left, top, right - left, bottom - top],
                    "area": (right - left) * (bottom - top) if mask is None else float(packed.area(mask.as_dict())),
                    "iscrowd": int(crowd),
                }
                annotations.append(one | ({} if mask is None else {"segmentation": mask.as_dict()}))
        categories = [{"id": label, "name": str(label)} for label in range(self._classes)]
        return {"images": images, "annotations": annotations, "categories": categories}

    def _box_counting(self, truth: COCO) -> BoxCounting:
        columns = list(zip(*self._found, strict=True)) or [()] * 8
        images, labels, scores, *sides = (np.array(column) for column in columns[:7])
        left, top, right, bottom = (side.astype(np.float64) for side in sides)
        boxes, none = np.stack([left, top, right - left, bottom - top], axis=1), np.zeros(len(left), dtype=np.int64)
        rows = [
            {"id": number, "image_id": image, "category_id": label, "score": score, "area": area, "iscrowd": 0}
            for number, (image, label, score, area) in enumerate(
                zip(*columns[:3], (boxes[:, 2] * boxes[:, 3]).tolist(), strict=True), start=1
            )
        ]
        found = sorted_boxes(images, labels, scores, boxes, none)
        return BoxCounting(truth, rows, self._true_boxes(), found, print_function=_silent)

    def _true_boxes(self) -> Boxes:
        every = [objects for _, objects in self._images]
        images = np.repeat(np.arange(len(every)), [len(objects) for objects in every])
        boxes = np.concatenate([objects.boxes.double().numpy() for objects in every] or [np.zeros((0, 4))])
        boxes[:, 2:] -= boxes[:, :2]
        labels, crowd = (
            np.concatenate([getattr(objects, name).numpy() for objects in every] or [np.zeros(0)]).astype(np.int64)
            for name in ("labels", "crowd")
        )
        return sorted_boxes(images, labels, np.zeros(len(boxes)), boxes, crowd)

    def _mask_counting(self, truth: COCO) -> COCOeval_faster:
        rows = []
        for image, label, score, *_, counts in self._found:
            if counts is None:
                raise ValueError(f"masks are to be scored, but a detection on image {image} has none")
            mask = {"size": list(self._images[image][0]), "counts": counts}
            rows.append({"image_id": image, "category_id": label, "score": score, "segmentation": mask})
        return COCOeval_faster(truth, truth.loadRes(rows), "segm", print_function=_silent)


def _count_confusion(counts: np.ndarray, rows: list[list[Any]], objects: Objects, threshold: float) -> None:
    """Add an image's objects and detections, the surest first, to a confusion matrix; see `confusion`."""
    background = len(counts) - 1
    crowd = objects.crowd.numpy()
    truth, regions = (objects.boxes.double().numpy()[chosen] for chosen in (~crowd, crowd))
    labels = objects.labels.numpy()[~crowd]
    boxes = np.array([row[3:7] for row in rows], dtype=np.float64).reshape(-1, 4)
    found = np.array([row[1] for row in rows], dtype=np.int64)
    overlaps = _overlaps(boxes, truth)
    free, left = np.ones(len(truth), dtype=bool), np.ones(len(boxes), dtype=bool)
    for same_class in (True, False):
        for row in np.flatnonzero(left):
            fits = free & (overlaps[row] >= threshold)
            fits &= labels == found[row] if same_class else True
            if fits.any():
                best = int(np.argmax(np.where(fits, overlaps[row], -1.0)))
                free[best] = left[row] = False
                counts[labels[best], found[row]] += 1
    for label in labels[free]:
        counts[label, background] += 1
    on_region = (_common(boxes, regions) >= threshold * _areas_of(boxes)[:, None]).any(1)
    for label in found[left & ~on_region]:
        counts[background, label] += 1


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _silent(message: str) -> None:
    """Print nothing."""


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64 [N, M], intersection over union of boxes [N, 4] and [M, 4]."""
    common = _common(boxes, others)
    union = _areas_of(boxes)[:, None] + _areas_of(others)[None] - common
    overlaps: np.ndarray = common / union.clip(min=1e-12)
    return overlaps


def _common(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64 [N, M], the area that boxes [N, 4] and [M, 4] share."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    common: np.ndarray = (high - low).clip(min=0).prod(-1)
    return common


def _areas_of(boxes: np.ndarray) -> np.ndarray:
    sides: np.ndarray = boxes[:, 2:] - boxes[:, :2]
    areas: np.ndarray = sides.prod(-1)
    return areas
