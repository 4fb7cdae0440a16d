"""What the numbers of boxes mean, compared with the sizes of images and the extents of masks.

Every format says how a box is written, and many exports write it otherwise: as fractions of the image, as corners
where width and height should be, as a centre, with y before x. Most such boxes are still boxes, and a detector trains
on them without a word. A file is refused where another reading fits and the format's own does not; so is a single box
among right ones where another reading is its mask's extent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
_PIXELS = "Every box must be in pixels, not fractions of the image (all numbers lie in 0..1)"
_LEAST_SIDE = 8
"""Of an image, in pixels: smaller ones could have boxes of a pixel."""
_MASK_FITS, _MASK_DIFFERS = 0.95, 0.8
"""Overlap of one box with its mask from which another reading is right, and below which the format's own is wrong."""
_LEAST_SCALED = 4
"""Boxes with masks from which a factor of all can be read."""
_FAR_OUT = 0.25
"""Fraction of its width or height by which one box may leave its image and be cut without further words."""
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
        findings.refuse(_PIXELS, example)
        return True
    if factors := _scaled(corners[rows], extents):
        across, down = (f"{factor:.3g}" for factor in factors)
        must = "Every box must be in pixels of its image, but these fit their masks only when x is multiplied by"
        findings.refuse(f"{must} {across} and y by {down}: they are of another size of the images", example)
        return True
    other = _by_masks(boxes, form, extents) or _by_sizes(boxes, form, sizes, extents)
    if other is None:
        return False
    findings.refuse(
        f"Every box must be written as {form}, but these fit their images only when read as {other}", example
    )
    return True


def note_misread(
    boxes: np.ndarray, form: str, sizes: np.ndarray, extents: np.ndarray, names: Sequence[str], findings: Findings
) -> set[int]:
    """Note single boxes in another form, in a file whose boxes are as they should be for the most part.

    One of fractions is refused, and one that is its mask's extent in another reading. One without a mask that leaves
    its image by far, and lies in it in another reading, may be an object that goes on beyond the border: it is told,
    and stays.

    Args:
        boxes: float64 [N, 4], as written.
        form: how they should be written, a key of `READINGS`.
        sizes: [N, 2], height and width of each box's image.
        extents: float64 [N, 4], left, top, right, bottom of each mask; nan: none.
        names: what messages call each.
        findings: where they are noted.

    Returns:
        The rows that are refused.
    """
    corners, masked = READINGS[form](boxes), ~np.isnan(extents).any(1)
    around = np.where(masked[:, None], extents, 0)
    refused: set[int] = set(np.flatnonzero(_are_fractions(boxes, sizes)).tolist())
    for row in sorted(refused):
        findings.refuse(_PIXELS, f"{names[row]} {written(boxes[row].tolist())}")
    unlike, out = masked & (overlap(corners, around) < _MASK_DIFFERS), ~masked & _is_far_out(corners, sizes)
    for row in np.flatnonzero(unlike | out).tolist():
        if row in refused:
            continue
        for name, read in READINGS.items():
            other, told = read(boxes[[row]]), f"{names[row]} {written(boxes[row].tolist())}"
            if name == form:
                continue
            if masked[row] and overlap(other, around[[row]])[0] >= _MASK_FITS:
                findings.refuse(
                    f"Every box must be written as {form}, but this one fits its mask only when read as {name}",
                    f"{told}, mask {written(extents[row].tolist())}",
                )
                refused.add(row)
                break
            if not masked[row] and _fit(other, sizes[[row]])[0]:
                findings.repairable(
                    f"Every box must be written as {form}",
                    f"boxes that lie far outside their image, and inside it when read as {name}",
                    told,
                )
                break
    return refused


def _are_fractions(boxes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return bool [N]: which boxes lie in the first pixel, whose numbers are no whole ones."""
    inside = (boxes >= 0).all(1) & (boxes <= 1).all(1) & (boxes != boxes.round()).any(1)
    found: np.ndarray = inside & (sizes >= _LEAST_SIDE).all(1)
    return found


def _is_far_out(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return bool [N]: which boxes with an area leave their image by much of it."""
    sides = corners[:, 2:] - corners[:, :2]
    out = np.maximum(-corners[:, :2], corners[:, 2:] - sizes[:, ::-1])
    found: np.ndarray = (out > np.maximum(_FAR_OUT * sides, _SLACK)).any(1) & (sides > 0).all(1)
    return found


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return float64 [N], intersection over union of boxes [N, 4] with others [N, 4], row by row."""
    low, high = np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low).clip(min=0).prod(1)
    union = sum((one[:, 2:] - one[:, :2]).clip(min=0).prod(1) for one in (boxes, others)) - common
    found: np.ndarray = common / np.maximum(union, 1e-12)
    return found


def _scaled(corners: np.ndarray, extents: np.ndarray) -> tuple[float, float] | None:
    """Return the factors of x and y by which boxes become the extents of their masks, where they are not so as written.

    They come of images, or masks, that were resized without the boxes, and of boxes in percent.
    """
    rows = ~np.isnan(extents).any(1) & (corners > 0).all(1)
    boxes, masks = corners[rows], extents[rows]
    if len(boxes) < _LEAST_SCALED or np.median(overlap(boxes, masks)) >= _MASK_DIFFERS:
        return None
    across, down = (float(np.median(masks[:, axis::2] / boxes[:, axis::2])) for axis in (0, 1))
    fits = np.median(overlap(boxes * [across, down, across, down], masks)) >= _MASK_FITS
    return (across, down) if fits else None


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
