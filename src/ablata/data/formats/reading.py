"""Reading a set of any format into annotated images: each shape measured on its image and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.errors import choices, nearest
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.fields import SPACES, short
from ablata.data.detection.files import check_files
from ablata.data.detection.problems import Findings
from ablata.data.detection.rle import decode, encode, from_polygons
from ablata.data.detection.segmentation_field import MUST_BE_NEAR, is_far
from ablata.data.detection.written_checks import checked_images
from ablata.data.detection.written_objects import WrittenImage, WrittenObject
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Polygon, Reading
from ablata.data.io.walk import is_name
from ablata.structures.detection import Rle

_POINTS = 3
"""Fewest points of a polygon."""


@dataclass(frozen=True)
class ReadImage:
    """An image that was read: its file, what is on it, and its split, or nothing where the set does not say."""

    file: Path
    entry: AnnotatedImage
    split: str


@dataclass(frozen=True)
class ReadSet:
    """A set that was read.

    Attributes:
        images: all of them.
        classes: their names; a label is a position in them.
        annotations: files that hold the annotations.
        maskless: the objects without a mask.
        category_ids: the set's own numbers of the classes; None: from 1 on.
    """

    images: Sequence[ReadImage]
    classes: tuple[str, ...]
    annotations: Sequence[Path]
    maskless: Sequence[str] = ()
    category_ids: Sequence[int] | None = None


def read_described(root: Path, found: Described, reading: Reading) -> ReadSet:
    """Measure and check a described set."""
    images = list(found.images)
    sizes: dict[int, tuple[int, int]] = {}
    for test in (False, True):
        rows = [row for row, image in enumerate(images) if (image.split == "test") is test]
        files, said = [images[row].file for row in rows], [images[row].size for row in rows]
        sizes |= dict(
            zip(rows, check_files(files, said, reading.of("test" if test else ""), reading.rules), strict=True)
        )
    classes = (
        reading.classes
        or tuple(dict.fromkeys(name.strip() for name in found.classes))
        or tuple(sorted({one.label.strip() for image in images for one in image.shapes}))
    )
    for name in classes:
        if not is_name(name):
            reading.findings.refuse("Names of classes must be text on one line", f"{root.name}: {short(name)}")
    entries: dict[int, AnnotatedImage] = {}
    maskless: list[str] = []
    first = 1
    for test in (False, True):
        findings, written = reading.of("test" if test else ""), {}
        for row, image in enumerate(images):
            if (image.split == "test") is test:
                objects = _objects(image, sizes[row], found, classes, first, findings)
                first += len(objects)
                written[row] = WrittenImage(image.where, sizes[row], image.id, objects)
        checked, bare = checked_images(root.name, list(written.values()), findings, reading.keep_written)
        entries |= dict(zip(written, checked, strict=True))
        maskless += bare
    read = [ReadImage(image.file, entries[row], image.split) for row, image in enumerate(images)]
    return ReadSet(read, classes, list(dict.fromkeys(found.annotations)), maskless)


def _objects(
    image: DescribedImage, size: tuple[int, int], found: Described, classes: Sequence[str], first: int,
    findings: Findings,
) -> list[WrittenObject]:  # fmt: skip
    """Return an image's objects in pixels; nothing of one that cannot be read."""
    objects: list[WrittenObject] = []
    for shape in image.shapes if size != (0, 0) else ():
        label = shape.label.strip()
        if label != shape.label:
            findings.repairable(
                "Names of classes must have no spaces around them", SPACES, f"{shape.where}: {shape.label!r}"
            )
        if label not in classes:
            close = nearest(label, classes)
            meant = f" (nearest {close})" if close else ""
            findings.refuse(
                f"The class of an object must be one of the listed classes ({choices(classes, label)})",
                f"{shape.where}: {label!r}{meant}",
            )
            continue
        scale = (size[1], size[0]) if found.fractions else (1, 1)
        polygons = [_scaled(one, scale) for one in shape.polygons]
        standing = tuple(one for one in polygons if len(one) >= 2 * _POINTS)
        if len(standing) < len(polygons):
            findings.repairable(
                "Every polygon must have three points", "polygons of one or two points left out", shape.where
            )
            if not standing and shape.box is None:
                continue
        holes = [_scaled(one, scale) for one in shape.holes if len(one) >= 2 * _POINTS]
        if far := next((one for one in (*standing, *holes) if is_far(one, size)), None):
            findings.refuse(MUST_BE_NEAR, f"{shape.where}: {short(list(far))} in {size[1]}x{size[0]}")
            continue
        mask = None
        if shape.bitmap is not None:
            mask = _placed(shape.bitmap, size, shape.where, findings)
            if mask is None:
                continue
        elif standing:
            mask = _filled(standing, holes, size)
        box = None if shape.box is None else _scaled(shape.box, scale)
        objects.append(
            WrittenObject(shape.where, first + len(objects), classes.index(label), box, mask, shape.crowd,
                          found.form, () if holes else standing)
        )  # fmt: skip
    return objects


def _scaled(numbers: Sequence[float], scale: tuple[float, float]) -> tuple[float, ...]:
    return tuple(number * scale[place % 2] for place, number in enumerate(numbers))


def _filled(polygons: Sequence[Polygon], holes: Sequence[Polygon], size: tuple[int, int]) -> Rle:
    filled = from_polygons([list(one) for one in polygons], size)
    if not holes:
        return filled
    cut = from_polygons([list(one) for one in holes], size)
    pixels = decode([filled, cut], *size).numpy()
    return encode((pixels[0] & ~pixels[1])[None])[0]


def _placed(bitmap: Bitmap, size: tuple[int, int], where: str, findings: Findings) -> Rle | None:
    """Return a mask of the whole image; what lies beside the image is cut, and None is returned where all does."""
    whole = np.zeros(size, dtype=bool)
    high, wide = bitmap.pixels.shape
    top, left = max(bitmap.top, 0), max(bitmap.left, 0)
    bottom, right = min(bitmap.top + high, size[0]), min(bitmap.left + wide, size[1])
    if bottom <= top or right <= left:
        findings.repairable("Every mask must have a pixel", "empty masks left out", where)
        return None
    if (bottom - top, right - left) != (high, wide):
        findings.repairable("Every mask must lie in its image", "masks cut at the border of their image", where)
    part = bitmap.pixels[top - bitmap.top : bottom - bitmap.top, left - bitmap.left : right - bitmap.left]
    whole[top:bottom, left:right] = part
    return encode(whole[None])[0]
