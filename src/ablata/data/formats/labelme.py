"""labelme's JSON: a file an image, beside it, with polygons, rectangles, circles and masks by name.

Shapes of one label and one `group_id` are one object. An image without a file was not annotated, and is left out.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ablata.base.files import read_text
from ablata.base.json_text import parse_json
from ablata.data.detection.box_forms import CORNERS
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Reading, Shape
from ablata.data.formats.geometry import ellipse
from ablata.data.formats.places import find_image, head_of, json_files, relative, split_of_path
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.labels.split_lists import splits_by_lists

_WITHOUT_AREA = ("point", "points", "line", "linestrip")
_FEW = 3


def fits(folder: Path) -> bool:
    """Tell whether a folder holds labelme's files."""
    return any(_is_own(file) for file in json_files(folder))


def _is_own(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip().startswith("{") and '"shapes"' in head and ('"flags"' in head or '"imagePath"' in head)


def describe(folder: Path, reading: Reading) -> Described:
    """Read a folder."""
    files = [file for file in json_files(folder) if _is_own(file)]
    listed = splits_by_lists(folder, files, reading.findings.remark)
    images: list[DescribedImage] = []
    for file in files:
        split = split_of_path(file, folder) or listed.get(file, "")
        found = _image(folder, file, split, reading.of(split))
        if found is not None:
            images.append(found)
    return Described(images, annotations=files, form=CORNERS)


def _image(folder: Path, file: Path, split: str, findings: Findings) -> DescribedImage | None:
    name = relative(file, folder)
    try:
        tree = parse_json(read_text(file))
        if not isinstance(tree, dict) or not isinstance(tree.get("shapes"), list):
            raise ValueError("no list of shapes")
    except (OSError, ValueError, RecursionError) as error:
        findings.refuse("Annotations must be labelme's JSON", f"{name}: {error}")
        return None
    written = tree.get("imagePath")
    image = find_image(folder, written, file.parent) if isinstance(written, str) and written.strip() else None
    beside = sorted(file.parent.glob(f"{_literal(file.stem)}.*"))
    image = image or next((other for other in beside if other.suffix.lower() in IMAGE_SUFFIXES), None)
    if image is None:
        findings.refuse("Every annotated image must exist", f"{name} imagePath={short(written)}")
        return None
    size = _size(Fields(tree, name, findings))
    return DescribedImage(image, name, list(_shapes(tree["shapes"], name, findings)), split, size, image.stem)


def _literal(name: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in name)


def _size(fields: Fields) -> tuple[int, int] | None:
    if not fields.has("imageHeight") or not fields.has("imageWidth"):
        return None
    try:
        return fields.whole("imageHeight", least=1), fields.whole("imageWidth", least=1)
    except FieldError as error:
        fields.findings.refuse(error.must, error.found)
        return None


def _shapes(shapes: Sequence[Any], name: str, findings: Findings) -> list[Shape]:
    """Return the objects; polygons of one label and group are joined."""
    found: list[Shape] = []
    groups: dict[tuple[str, str], int] = {}
    for number, values in enumerate(shapes, start=1):
        where = f"{name}, shape {number}"
        try:
            if not isinstance(values, dict):
                raise FieldError("Shapes must be JSON objects", f"{where}: {short(values)}")
            shape = _shape(values, where, findings)
        except FieldError as error:
            findings.refuse(error.must, error.found)
            continue
        if shape is None:
            continue
        group = values.get("group_id")
        key = (shape.label, str(group))
        if group is not None and shape.polygons and key in groups:
            first = found[groups[key]]
            found[groups[key]] = Shape(first.where, first.label, None, (*first.polygons, *shape.polygons))
            continue
        if group is not None and shape.polygons:
            groups[key] = len(found)
        found.append(shape)
    return found


def _shape(values: Mapping[str, Any], where: str, findings: Findings) -> Shape | None:
    """Return an object; None: what was drawn has no area.

    Raises:
        FieldError: a field has no meaning.
    """
    fields = Fields(values, where, findings)
    label, kind = fields.text("label"), values.get("shape_type") or "polygon"
    if kind in _WITHOUT_AREA:
        findings.repairable("Every object must have an area", "points and lines left out", f"{where} ({label})")
        return None
    points = values.get("points")
    if not isinstance(points, list):
        raise FieldError("points must be a list of pairs", fields.shown("points", points))
    pairs = [fields.numbers(one, "points", 2) for one in points]
    if kind == "polygon":
        return Shape(where, label, polygons=(tuple(number for pair in pairs for number in pair),))
    if kind in ("rectangle", "mask") and len(pairs) in (2, 4):
        columns, rows = [x for x, _ in pairs], [y for _, y in pairs]
        if kind == "rectangle":
            return Shape(where, label, box=(min(columns), min(rows), max(columns), max(rows)))
        return Shape(where, label, bitmap=_bitmap(fields, min(columns), min(rows)))
    if kind == "circle" and len(pairs) == 2:
        (x, y), (other, below) = pairs
        radius = math.hypot(other - x, below - y)
        return Shape(where, label, polygons=(ellipse(x, y, radius, radius),))
    raise FieldError("Shapes must be polygons, rectangles, circles, masks, lines or points",
                     f"{where} shape_type={short(kind)} of {len(pairs)} points")  # fmt: skip


def _bitmap(fields: Fields, left: float, top: float) -> Bitmap:
    """Return a mask that is written as a PNG in base64."""
    text = fields.text("mask")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            pixels = np.asarray(image.convert("L")) > 0
    except (binascii.Error, UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise FieldError("mask must be a PNG in base64", f"{fields.where}: {error}") from None
    return Bitmap(round(left), round(top), pixels)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the labels that occur."""
    found: set[str] = set()
    for file in json_files(folder):
        if _is_own(file):
            try:
                shapes = parse_json(read_text(file)).get("shapes", [])
                found |= {one["label"] for one in shapes if one.get("shape_type") not in _WITHOUT_AREA}
            except (OSError, ValueError, RecursionError, AttributeError, TypeError, KeyError):
                continue  # refused with its reason where the set is read
    return tuple(sorted({one.strip() for one in found if isinstance(one, str)}))
