"""faster-coco-eval's counting without its indices: it looks every row up several times, and makes lists of the boxes of
each image and class, which takes longer than the counting itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core import mask as packed


class Boxes(NamedTuple):
    """Boxes of all images, each image's and class's together, the surest first.

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
    """Counts hits of boxes; what it counts is the library's.

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
        """Return float64 [D, G]: overlaps of the surest detections of an image and class with its objects."""
        found, true = self._found.places.get((imgId, catId)), self._true.places.get((imgId, catId))
        if found is None or true is None:
            return []
        surest = slice(found[0], min(found[1], found[0] + self.params.maxDets[-1]))
        objects = slice(*true)
        overlaps: np.ndarray = packed.iou(
            self._found.boxes[surest], self._true.boxes[objects], self._true.crowd[objects].tolist()
        )
        return overlaps
