"""What the numbers of boxes mean, compared with the sizes of images and the extents of masks.

Every format says how a box is written, and many exports write it otherwise: as fractions of the image, as corners
where width and height should be, as a centre, with y before x. Most such boxes are still boxes, and a detector trains
on them without a word. A file is refused where another reading fits and the format's own does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ablata.data.detection.problems import Findings, written

XYWH = "[x, y, width, height]"
CORNERS = "[left, top, right, bottom]"

READINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    XYWH: lambda b: np.stack([b[:, 0], b[:, 1], b[:, 0] + b[:, 2], b[:, 1] + b[:, 3]], 1),
    CORNERS: lambda b: b,
    "[center x, center y, width, height]": lambda b: np.concatenate(
        [b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2], 1
    ),
    "[y, x, height, width]": lambda b: np.stack([b[:, 1], b[:, 0], b[:, 1] + b[:, 3], b[:, 0] + b[:, 2]], 1),
    "[top, left, bottom, right]": lambda b: b[:, [1, 0, 3, 2]],
}
"""Ways to write a box; each gives left, top, right, bottom, float64 [N, 4]."""

_SHARE = 0.15
"""Fraction of boxes that must not fit as they should be written, before another reading is looked for."""
_SLACK = 1.0
"""Pixels by which a box may leave its image and still fit."""
_AGREES, _DIFFERS = 0.8, 0.5
"""Median overlap with the masks from which a reading is right, and below which it is wrong."""
_LEAST_SIDE = 8
"""Of an image, in pixels: smaller ones could have boxes of a pixel."""
ELSEWHERE = 0.1
"""Overlap of a box with the extent of its mask, below which they are at different places."""


def refuse_misread(
    boxes: np.ndarray, form: str, sizes: np.ndarray, extents: np.ndarray, where: str, findings: Findings
) -> bool:
    """Refuse boxes that are written in another form than their format has; return whether they were.

    Args:
        boxes: float64 [N, 4], as written.
        form: how they should be written, a key of `READINGS`.
        sizes: [N, 2], height and width of each box's image.
        extents: float64 [N, 4], left, top, right, bottom of each mask; nan: none.
        where: the file.
        findings: where it is noted.
    """
    corners = READINGS[form](boxes)
    rows: np.ndarray = (corners[:, :2] != corners[:, 2:]).all(1)  # an empty box says nothing of the others
    if not rows.any():
        return False
    boxes, sizes, extents = boxes[rows], sizes[rows], extents[rows]
    example = f"{where}: for example {written(boxes[0].tolist())} in an image of {sizes[0, 1]:g}x{sizes[0, 0]:g}"
    if sizes.min() >= _LEAST_SIDE and boxes.max() <= 1 and (boxes > 0).any() and boxes.min() >= 0:
        findings.refuse("Every box must be in pixels, not fractions of the image (all numbers lie in 0..1)", example)
        return True
    other = _by_masks(boxes, form, extents) or _by_sizes(boxes, form, sizes, extents)
    if other is None:
        return False
    findings.refuse(f"Every box must be written as {form}, and these boxes fit as {other} alone", example)
    return True


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64 [N], intersection over union of boxes [N, 4] with others [N, 4], row by row."""
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low).clip(min=0).prod(1)
    union = sum((one[:, 2:] - one[:, :2]).clip(min=0).prod(1) for one in (boxes, others)) - common
    found: np.ndarray = common / np.maximum(union, 1e-12)
    return found


def _by_masks(boxes: np.ndarray, form: str, extents: np.ndarray) -> str | None:
    rows = ~np.isnan(extents).any(1)
    if not rows.any():
        return None
    medians = {name: float(np.median(overlap(read(boxes[rows]), extents[rows]))) for name, read in READINGS.items()}
    best = max(medians, key=lambda name: medians[name])
    return best if medians[form] < _DIFFERS and medians[best] > _AGREES else None


def _by_sizes(boxes: np.ndarray, form: str, sizes: np.ndarray, extents: np.ndarray) -> str | None:
    rows = ~np.isnan(extents).any(1)
    if rows.any() and float(np.median(overlap(READINGS[form](boxes[rows]), extents[rows]))) >= _DIFFERS:
        return None
    fits = {name: _fit(read(boxes), sizes) for name, read in READINGS.items()}
    if 1 - fits[form].mean() < _SHARE:
        return None
    return next((name for name, fitting in fits.items() if fitting.all()), None)


def _fit(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return bool [N]: which boxes have an area and lie in their image."""
    area = (corners[:, 2:] > corners[:, :2]).all(1)
    inside = (corners[:, :2] >= -_SLACK) & (corners[:, 2:] <= sizes[:, ::-1] + _SLACK)
    fitting: np.ndarray = np.logical_and(area, inside.all(1))
    return fitting
