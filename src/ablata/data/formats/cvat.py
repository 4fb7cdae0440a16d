"""CVAT's XML: one file for all images ("CVAT for images 1.1"), with boxes, polygons, ellipses and masks by name, or of
a video ("CVAT for video 1.1"), with tracks that list their shape on each frame.

Objects are in the order of their `z_order`. Polylines, points and cuboids have no area in the image and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ablata.base.errors import DataError
from ablata.data.detection.box_forms import CORNERS
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings
from ablata.data.detection.voc_xml import read_annotation
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Polygon, Reading, Shape
from ablata.data.formats.geometry import ellipse, turned_rectangle
from ablata.data.formats.places import find_image, head_of, images_under, relative, split_of_path
from ablata.data.io.walk import files_under
from ablata.data.labels.split_lists import split_name, splits_by_lists

_WITHOUT_AREA = ("polyline", "points", "cuboid", "skeleton")
_MOST_PIXELS = 1 << 28


def fits(folder: Path) -> bool:
    """Tell whether a folder holds CVAT's files."""
    return next(_files(folder), None) is not None


def _files(folder: Path) -> Iterator[Path]:
    for file in files_under(folder):
        if file.suffix.lower() == ".xml" and "<annotations" in head_of(file)[:2000]:
            yield file


def describe(folder: Path, reading: Reading) -> Described:
    """Read a folder.

    Raises:
        DataError: a file is no XML, of a video without its frames, or whose tracks leave frames out.
    """
    images: list[DescribedImage] = []
    names: dict[str, None] = {}
    files = list(_files(folder))
    for file in files:
        tree = _tree(file)
        names |= dict.fromkeys(_labels(tree))
        if tree.find("track") is not None:
            images += _frames(folder, file, tree, reading)
        for element in tree.iter("image"):
            found = _image(folder, file, element, reading)
            if found is not None:
                images.append(found)
    lists = splits_by_lists(folder, [image.file for image in images], reading.findings.remark)
    with_splits = [
        image if image.split or image.file not in lists else DescribedImage(
            image.file, image.where, image.shapes, lists[image.file], image.size, image.id)
        for image in images
    ]  # fmt: skip
    return Described(with_splits, tuple(names), files, CORNERS)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the labels that the files list, or that occur.

    Raises:
        DataError: a file is no XML.
    """
    names: dict[str, None] = {}
    for file in _files(folder):
        names |= dict.fromkeys(_labels(_tree(file)))
    return tuple(names)


def _tree(file: Path) -> ElementTree.Element:
    tree = read_annotation(file).tree
    if tree.find("track") is not None and tree.find("image") is not None:
        raise DataError("Annotations must be of images or of a video, not of both", found=f"{file}: images and tracks",
                        do='export the task again as "CVAT for images 1.1", with its frames')  # fmt: skip
    return tree


def _labels(tree: ElementTree.Element) -> list[str]:
    """Return the labels in the order in which the file lists them; else those that occur, sorted."""
    listed = [
        (label.findtext("name") or "").strip()
        for label in tree.iterfind("meta//labels/label")
        if (label.findtext("type") or "any") not in (*_WITHOUT_AREA, "tag")
    ]
    if listed:
        return listed
    drawn = [shape.get("label", "") for image in tree.iter("image") for shape in image if shape.tag != "tag"]
    return sorted({*drawn, *(track.get("label", "") for track in tree.iter("track"))})


def _image(folder: Path, file: Path, element: ElementTree.Element, reading: Reading) -> DescribedImage | None:
    where = f"{relative(file, folder)}: {element.get('name') or 'image without a name'}"
    subset = element.get("subset") or ""
    split = split_name(subset)
    findings = reading.of(split)
    fields = Fields(element.attrib, where, findings)
    try:
        name = fields.text("name")
        size = (_whole(fields, "height"), _whole(fields, "width"))
    except FieldError as error:
        findings.refuse(error.must, error.found)
        return None
    found = find_image(folder, name, file.parent / "images", file.parent / "images" / subset, file.parent)
    if found is None:
        findings.refuse("Every annotated image must exist", where)
        return None
    split = split or split_of_path(found, folder) or split_name(file.stem)
    shapes: list[tuple[int, Shape]] = []
    for number, one in enumerate(element, start=1):
        try:
            shape = _shape(one, f"{where}, {one.tag} {number}", findings)
            order = one.get("z_order", "0")
            if shape is not None:
                shapes.append((_order(order), shape))
        except FieldError as error:
            findings.refuse(error.must, error.found)
    shapes.sort(key=lambda pair: pair[0])
    return DescribedImage(found, where, [shape for _, shape in shapes], split, size, element.get("id"))


def _frames(folder: Path, file: Path, tree: ElementTree.Element, reading: Reading) -> list[DescribedImage]:
    """Return the frames of a video, with what its tracks show on each.

    Raises:
        DataError: there are no frames, or a track leaves some out.
    """
    name = relative(file, folder)
    below = file.parent / "images"
    frames = {
        int(digits[1]): image
        for image in images_under(below if below.is_dir() else file.parent)
        if (digits := re.search(r"(\d+)$", image.stem)) is not None
    }
    if not frames:
        raise DataError(
            "The frames of a video must lie beside its tracks", found=f"{file}: no images below {file.parent}",
            do='export the task with "save images", or: ffmpeg -i VIDEO -start_number 0 images/frame_%06d.png',
        )  # fmt: skip
    shown: dict[int, list[tuple[int, Shape]]] = {}
    for track in tree.iter("track"):
        where, last, gone = f"{name}: track {track.get('id')}", -1, True
        for one in track:
            fields = Fields(one.attrib, where, reading.of(""))
            try:
                number = int(_number(fields, "frame"))
            except FieldError as error:
                reading.of("").refuse(error.must, error.found)
                continue
            if not gone and number > last + 1:
                raise DataError("A track must list every frame that it is on", found=f"{where}: {last}, then {number}",
                                do="export from CVAT, which writes the frames between key frames, too")  # fmt: skip
            last, gone = number, one.get("outside") == "1"
            if gone:
                continue
            one.set("label", track.get("label", ""))
            try:
                shape = _shape(one, f"{where}, frame {number}", reading.of(""))
            except FieldError as error:
                reading.of("").refuse(error.must, error.found)
                continue
            if number not in frames:
                reading.of("").refuse("Every annotated frame must exist", f"{where}, frame {number}")
            elif shape is not None:
                order = one.get("z_order", "0")
                shown.setdefault(number, []).append((_order(order), shape))
    made = []
    for number, image in sorted(frames.items()):
        shapes = sorted(shown.get(number, []), key=lambda pair: pair[0])
        split = split_of_path(image, folder) or split_name(file.stem)
        made.append(DescribedImage(image, f"{name}: frame {number}", [one for _, one in shapes], split))
    return made


def _shape(element: ElementTree.Element, where: str, findings: Findings) -> Shape | None:
    """Return an object; None: it has no area, or is a tag of the whole image.

    Raises:
        FieldError: a field has no meaning.
    """
    if element.tag == "tag":
        return None
    fields = Fields(element.attrib, where, findings)
    label = fields.text("label")
    if element.tag in _WITHOUT_AREA:
        findings.repairable(
            "Every object must have an area", "points, lines and cuboids left out", f"{where} ({label})"
        )
        return None
    if element.tag == "box":
        left, top, right, bottom = (_number(fields, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        turn = _number(fields, "rotation") if element.get("rotation") else 0.0
        if turn:
            return Shape(where, label, polygons=(turned_rectangle(left, top, right, bottom, turn),))
        return Shape(where, label, box=(left, top, right, bottom))
    if element.tag == "polygon":
        return Shape(where, label, polygons=(_points(fields),))
    if element.tag == "ellipse":
        x, y, across, down = (_number(fields, name) for name in ("cx", "cy", "rx", "ry"))
        turn = _number(fields, "rotation") if element.get("rotation") else 0.0
        return Shape(where, label, polygons=(ellipse(x, y, across, down, turn),))
    if element.tag == "mask":
        return Shape(where, label, bitmap=_bitmap(fields))
    raise FieldError("Shapes must be boxes, polygons, ellipses or masks", f"{where}: {element.tag}")


def _order(text: str) -> int:
    """Return how far above other shapes one lies."""
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 9 else 0


def _number(fields: Fields, name: str) -> float:
    """Return a number of an attribute, which is text by its nature."""
    return Fields(fields.values, fields.where, Findings("repair")).number(name)


def _whole(fields: Fields, name: str, least: int | None = 1) -> int:
    return Fields(fields.values, fields.where, Findings("repair")).whole(name, least)


def _points(fields: Fields) -> Polygon:
    text = fields.text("points")
    quiet = Fields({}, fields.where, Findings("repair"))
    pairs = [quiet.numbers(pair.split(","), "points", 2) for pair in text.split(";") if pair.strip()]
    return tuple(number for pair in pairs for number in pair)


def _bitmap(fields: Fields) -> Bitmap:
    """Return a mask: lengths of runs along the rows of its rectangle, the first of what is not in it."""
    left, top = (_whole(fields, name, None) for name in ("left", "top"))
    width, height = _whole(fields, "width"), _whole(fields, "height")
    text = fields.text("rle")
    try:
        if "_" in text:
            raise ValueError
        runs = np.array([int(one) for one in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError):
        raise FieldError("rle must be whole numbers separated by commas", fields.shown("rle", short(text))) from None
    if (runs < 0).any() or width * height > _MOST_PIXELS or sum(runs.tolist()) != width * height:
        raise FieldError("The run lengths in rle must be positive, and their sum width times height",
                         f"{fields.where}: sum {sum(runs.tolist())} for {width} x {height}")  # fmt: skip
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return Bitmap(left, top, pixels)
