"""Writing YOLO's labels: images/SPLIT, labels/SPLIT and data.yaml, as Ultralytics reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ablata.base.files import write_text
from ablata.data.detection.rle import extents, from_polygons
from ablata.data.formats.outlines import outlines
from ablata.data.formats.writing import KeptImage, KeptObject, KeptSet, Written, as_fraction, copy_image
from ablata.structures.detection import Rle


def write_yolo(kept: KeptSet, folder: Path, done: Written) -> None:
    """Write a set; see `WriteSet`.

    An object with a mask becomes a polygon. Several polygons, and the outlines of a mask of pixels, are joined to one
    by lines without area, as Ultralytics joins them. Ignored objects are left out, and told.
    """
    lines = _LineWriter(done)
    for split, images in kept.splits.items():
        (folder / "labels" / split).mkdir(parents=True)
        for image in images:
            copy_image(image, folder / "images" / split)
            text = "".join(f"{line}\n" for line in lines.of(image))
            label = (folder / "labels" / split / image.name).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            write_text(label, text)
            done.objects[split] += text.count("\n")
    lines.tell()
    places = "".join(f"{split}: images/{split}\n" for split in kept.splits)
    names = "".join(f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(kept.classes))
    write_text(folder / "data.yaml", f"{places}nc: {len(kept.classes)}\nnames:\n{names}")


class _LineWriter:
    """Writes objects as lines, and counts what the format cannot hold."""

    def __init__(self, done: Written) -> None:
        self._done, self._ignored, self._joined, self._traced, self._loose = done, 0, 0, 0, 0

    def of(self, image: KeptImage) -> list[str]:
        """Return an image's lines."""
        found = []
        for one in image.objects():
            if one.crowd:
                self._ignored += 1
                continue
            numbers = self._numbers(one, image.entry.size)
            if numbers:
                found.append(" ".join([str(one.label), *map(_text, numbers)]))
        return found

    def tell(self) -> None:
        """Add what was counted to what the reader should know."""
        for count, what in (
            (self._ignored, "crowd regions or difficult objects are left out: YOLO's labels have none"),
            (self._joined, "objects of several polygons are written as one, joined by lines without area"),
            (self._traced, "masks of pixels are written as their outlines"),
            (
                self._loose,
                "boxes differ from their masks' extents by a pixel or more, and are not written: of an object "
                "with a polygon YOLO's labels hold no box",
            ),
        ):
            if count:
                self._done.notices.append(f"{count} {what}")

    def _numbers(self, one: KeptObject, size: tuple[int, int]) -> list[float]:
        height, width = size
        polygons = one.polygons
        if one.mask is not None and not polygons:
            self._traced += 1
            polygons = outlines(one.mask)
        if not polygons:
            left, top, wide, high = one.box
            return [
                as_fraction(left + wide / 2, width),
                as_fraction(top + high / 2, height),
                as_fraction(wide, width),
                as_fraction(high, height),
            ]
        self._loose += one.mask is not None and one.has_box and _differ(one.box, one.mask)
        together = joined(polygons)
        if len(polygons) > 1 and one.mask is not None:
            self._joined += bool(one.polygons)
            # Where polygons lie over one another, the rule of even and odd would cut out what both cover.
            alike = from_polygons([together], size) == one.mask
            together = together if alike else joined(outlines(one.mask))
        sides = (width, height)
        return [as_fraction(value, sides[place % 2]) for place, value in enumerate(together)]


def _differ(box: Sequence[float], mask: Rle) -> bool:
    left, top, right, bottom = extents([mask])[0].tolist()
    around = (left, top, right - left, bottom - top)
    return any(abs(one - other) >= 1 for one, other in zip(box, around, strict=True))


def _text(value: float) -> str:
    """Return a number as it reads back, without an exponent."""
    text = repr(value)
    return text.removesuffix(".0") if "e" not in text else np.format_float_positional(value, trim="-")


def joined(polygons: Sequence[Sequence[float]]) -> list[float]:
    """Join polygons, x, y, x, y, ..., to one: from each to the next and back again the same way, so that the lines
    between have no area."""
    points = [np.asarray(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
    if len(points) == 1:
        return list(map(float, polygons[0]))
    closed = [np.concatenate([one, one[:1]]) for one in points]
    back = [one[:1] for one in points[1:-1]][::-1]
    numbers: list[float] = np.concatenate([*closed, *back]).ravel().tolist()
    return numbers
