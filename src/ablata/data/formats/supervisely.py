"""Supervisely's project: meta.json, and in each data set img/NAME.jpg with ann/NAME.jpg.json."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ablata.base.errors import DataError, reason
from ablata.base.files import read_text
from ablata.base.json_text import parse_json
from ablata.data.detection.box_forms import CORNERS
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Polygon, Reading, Shape
from ablata.data.formats.places import find_image, relative, split_of_path
from ablata.data.labels.split_lists import splits_by_lists

_WITHOUT_AREA = ("point", "line", "graph", "cuboid")
_MOST_BYTES = 1 << 28
"""Of a packed mask, unpacked."""


def fits(folder: Path) -> bool:
    """Tell whether a folder is a project, or one data set of it with its meta.json."""
    return (folder / "meta.json").is_file() and next(_files(folder), None) is not None


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(file for file in folder.rglob("*.json") if file.parent.name == "ann")


def describe(folder: Path, reading: Reading) -> Described:
    """Read a project.

    Raises:
        DataError: meta.json is none.
    """
    names, files = class_names(folder), list(_files(folder))
    images: list[DescribedImage] = []
    for file in files:
        split = split_of_path(file, folder)
        found = _image(folder, file, split, reading.of(split))
        if found is not None:
            images.append(found)
    lists = splits_by_lists(folder, [image.file for image in images], reading.findings.remark)
    images = [
        DescribedImage(one.file, one.where, one.shapes, one.split or lists.get(one.file, ""), one.size, one.id)
        for one in images
    ]
    return Described(images, names, [folder / "meta.json", *files], CORNERS)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the classes that meta.json lists and whose objects have an area.

    Raises:
        DataError: it is none.
    """
    file = folder / "meta.json"
    try:
        classes = parse_json(read_text(file))["classes"]
        names = [one["title"] for one in classes if one.get("shape") not in _WITHOUT_AREA]
        if not all(isinstance(one, str) and one.strip() for one in names) or len(set(names)) < len(names):
            raise ValueError(f"titles {short(names)}")
    except (OSError, ValueError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise DataError("meta.json must list classes, each with a title that no other has",
                        found=f"{file}: {reason(error)}",
                        do="export the project again from Supervisely") from None  # fmt: skip
    return tuple(names)


def _image(folder: Path, file: Path, split: str, findings: Findings) -> DescribedImage | None:
    name = relative(file, folder)
    try:
        tree = parse_json(read_text(file))
        if not isinstance(tree, dict) or not isinstance(tree.get("objects"), list):
            raise ValueError("no list of objects")
        size = Fields(tree.get("size") or {}, name, findings)
        sides = size.whole("height", least=1), size.whole("width", least=1)
    except FieldError as error:
        findings.refuse(error.must, error.found)
        return None
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        findings.refuse("Annotations must be Supervisely's JSON", f"{name}: {error}")
        return None
    image = find_image(folder, file.name.removesuffix(".json"), file.parent.parent / "img")
    if image is None:
        findings.refuse("Every annotated image must exist", f"{name}: no img/{file.name.removesuffix('.json')}")
        return None
    shapes = []
    for number, values in enumerate(tree["objects"], start=1):
        where = f"{name}, object {number}"
        try:
            if not isinstance(values, dict):
                raise FieldError("Objects must be JSON objects", f"{where}: {short(values)}")
            shape = _shape(Fields(values, where, findings))
        except FieldError as error:
            findings.refuse(error.must, error.found)
            continue
        if shape is not None:
            shapes.append(shape)
    return DescribedImage(image, name, shapes, split, sides, image.stem)


def _shape(fields: Fields) -> Shape | None:
    """Return an object; None: it has no area.

    Raises:
        FieldError: a field has no meaning.
    """
    label, kind, where = fields.text("classTitle"), fields.text("geometryType"), fields.where
    if kind in _WITHOUT_AREA:
        done = "points and lines left out"
        fields.findings.repairable("Every object must have an area", done, f"{where} ({label})")
        return None
    if kind == "bitmap":
        return Shape(where, label, bitmap=_bitmap(fields))
    if kind not in ("rectangle", "polygon"):
        raise FieldError("Objects must be rectangles, polygons or bitmaps", fields.shown("geometryType", kind))
    points = fields.values.get("points")
    if not isinstance(points, dict):
        raise FieldError("points must have the key exterior", fields.shown("points", points))
    outer = _points(fields, points.get("exterior"))
    if kind == "polygon":
        inner = points.get("interior") or []
        if not isinstance(inner, list):
            raise FieldError("interior must be a list of lists of points", fields.shown("interior", inner))
        return Shape(where, label, polygons=(outer,), holes=tuple(_points(fields, one) for one in inner))
    if len(outer) != 4:
        raise FieldError("A rectangle must have two points", fields.shown("exterior", points.get("exterior")))
    # The last pixel is included.
    left, right = sorted(outer[::2])
    top, bottom = sorted(outer[1::2])
    return Shape(where, label, box=(left, top, right + 1, bottom + 1))


def _points(fields: Fields, points: Any) -> Polygon:
    if not isinstance(points, list):
        raise FieldError("points must be a list of pairs", fields.shown("points", points))
    return tuple(number for pair in points for number in fields.numbers(pair, "points", 2))


def _bitmap(fields: Fields) -> Bitmap:
    """Return a mask: a PNG, packed by zlib, in base64."""
    value = fields.values.get("bitmap")
    if not isinstance(value, dict):
        raise FieldError("bitmap must have the keys data and origin", fields.shown("bitmap", value))
    left, top = fields.numbers(origin := value.get("origin"), "origin", 2)
    if left != round(left) or top != round(top):
        raise FieldError("origin must be 2 whole numbers", fields.shown("origin", origin))
    data = value.get("data")
    if not isinstance(data, str):
        raise FieldError("data must be text in base64", fields.shown("data", data))
    try:
        content = zlib.decompressobj().decompress(base64.b64decode(data, validate=True), _MOST_BYTES)
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(image.convert("RGBA"))[..., 3] if "A" in image.mode else np.asarray(image.convert("L"))
    except (binascii.Error, zlib.error, UnidentifiedImageError, OSError, ValueError,
            Image.DecompressionBombError) as error:  # fmt: skip
        raise FieldError("data must be a PNG packed by zlib, in base64", f"{fields.where}: {error}") from None
    return Bitmap(round(left), round(top), pixels > 0)
