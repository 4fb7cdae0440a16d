"""Rules for objects as a set's files write them: written twice, in another form, away from their masks.

What a single field must hold is checked where its format is read; the rules here are those of every format.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ablata.base.quantities import counted
from ablata.data.detection.box_forms import ELSEWHERE, note_misread, overlap, refuse_misread
from ablata.data.detection.checked_objects import checked_objects
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.problems import Findings, written
from ablata.data.detection.written_objects import WrittenImage, WrittenObject


def checked_images(
    path: str, images: Sequence[WrittenImage], findings: Findings, keep_written: bool = False
) -> tuple[list[AnnotatedImage], list[str]]:
    """Return images with those of their objects that stand, and the objects without a mask.

    Args:
        path: the annotation file or folder, for messages.
        images: as their files have them.
        findings: where faults are noted.
        keep_written: keep what the objects were written as, for conversion to another format.
    """
    images = [_without_twins(image, findings) for image in images]
    misread = _misread(path, images, findings)
    entries, maskless = [], []
    for image in images:
        kept = [one for one in image.objects if one.id not in misread and not _elsewhere(one, image.size, findings)]
        boxes = np.array([one.corners for one in kept], dtype=np.float64)
        maskless += [one.where for one in kept if one.mask is None]
        masks = [one.mask for one in kept if one.mask is not None]
        standing = checked_objects(
            image.where, image.size, boxes, [one.label for one in kept], masks if len(masks) == len(kept) else None,
            [one.id for one in kept], [one.crowd for one in kept], findings, [one.where for one in kept],
        )  # fmt: skip
        by_id = {one.id: one for one in kept}
        own = tuple(by_id[number] for number in standing.ids.tolist()) if keep_written else ()
        entries.append(AnnotatedImage(image.where, image.size, standing, image.id, own))
    _remark_odd(path, entries, findings)
    return entries, maskless


def _remark_odd(path: str, entries: Sequence[AnnotatedImage], findings: Findings) -> None:
    """Remark on boxes of which most are points, or whole images: they may be, and most often something went wrong."""
    corners = np.concatenate([np.zeros((0, 4)), *(one.objects.boxes for one in entries)])
    sizes = np.concatenate([np.zeros((0, 2)), *(np.tile(one.size, (len(one.objects), 1)) for one in entries)])
    sides = corners[:, [3, 2]] - corners[:, [1, 0]]
    points, whole = int((sides <= 1).any(1).sum()), int((sides >= sizes - 1).all(1).sum())
    for number, what in ((points, "at most a pixel wide or high: are they points?"), (whole, "whole images")):
        if len(corners) >= _MANY and 2 * number > len(corners):
            findings.remark(f"{number} of {counted(len(corners), 'box', 'boxes')} of {path} are {what}")


_MANY = 6
"""Boxes of a file from which on it is worth a word what most of them are."""


def _without_twins(image: WrittenImage, findings: Findings) -> WrittenImage:
    seen: dict[tuple[object, ...], WrittenObject] = {}
    for one in image.objects:
        key = (one.label, one.box, one.mask, one.crowd)
        if key in seen:
            findings.repairable("Every object must be annotated once", "objects that are annotated twice left out",
                                f"{one.where} {written(one.corners.tolist())}")  # fmt: skip
        seen.setdefault(key, one)
    return WrittenImage(image.where, image.size, image.id, list(seen.values()))


def _misread(path: str, images: Sequence[WrittenImage], findings: Findings) -> set[int]:
    """Refuse boxes that are written in another form; return the numbers of their objects.

    See `refuse_misread` and `note_misread`.
    """
    known = [(one, image.size) for image in images for one in image.objects if one.box is not None]
    if not known:
        return set()
    form = known[0][0].form
    boxes = np.array([one.box for one, _ in known], dtype=np.float64).reshape(-1, 4)
    sizes = np.array([size for _, size in known], dtype=np.float64).reshape(-1, 2)
    around = np.array([one.extent for one, _ in known]).reshape(-1, 4)
    if refuse_misread(boxes, form, sizes, around, path, findings):
        return {one.id for image in images for one in image.objects}
    names = [one.where for one, _ in known]
    return {known[row][0].id for row in note_misread(boxes, form, sizes, around, names, findings)}


def _elsewhere(one: WrittenObject, size: tuple[int, int], findings: Findings) -> bool:
    """Refuse a box that is at another place than its mask; one without area or outside the image is left out."""
    corners, extent = one.corners, one.extent
    shown = corners.clip(0, [size[1], size[0], size[1], size[0]])
    if one.box is None or np.isnan(extent).any() or not (shown[2:] > shown[:2]).all():
        return False
    if overlap(shown[None], extent[None])[0] >= ELSEWHERE:
        return False
    findings.refuse(
        "A box must lie where its mask is",
        f"{one.where} box {written(corners.tolist())}, mask {written(extent.tolist())}",
    )
    return True
