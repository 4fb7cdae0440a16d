"""Label Studio's JSON: a list of tasks, each an image with rectangles, polygons, ellipses or brushed masks by name.

Numbers are percent of the image. Of a task that several people annotated the latest annotation counts; one that nobody
did is left out. Both exports are read, JSON and JSON-MIN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.files import read_text
from ablata.base.json_text import parse_json
from ablata.data.detection.box_forms import CORNERS
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Reading, Shape
from ablata.data.formats.geometry import ellipse, rectangle
from ablata.data.formats.places import find_image, head_of, json_files, relative, split_of_path
from ablata.data.labels.split_lists import splits_by_lists

_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")
_OTHERS = ("keypointlabels", "choices", "textarea", "rating", "taxonomy", "relation", "number")
_MOST_PIXELS = 1 << 28
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")
"""What Label Studio puts before the names of uploaded files."""


def fits(folder: Path) -> bool:
    """Tell whether a folder holds Label Studio's files."""
    return any(_is_own(file) for file in json_files(folder))


def _is_own(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip().startswith("[") and any(kind in head for kind in _KINDS)


def describe(folder: Path, reading: Reading) -> Described:
    """Read a folder."""
    images: list[DescribedImage] = []
    files = [file for file in json_files(folder) if _is_own(file)]
    for file in files:
        for task in _tasks(folder, file, reading.findings):
            found = task.image(folder, reading)
            if found is not None:
                images.append(found)
    lists = splits_by_lists(folder, [image.file for image in images], reading.findings.remark)
    images = [
        DescribedImage(one.file, one.where, one.shapes, one.split or lists.get(one.file, ""), one.size, one.id)
        for one in images
    ]
    return Described(images, annotations=files, form=CORNERS)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the labels that occur."""
    quiet, found = Findings("repair"), set[str]()
    for file in json_files(folder):
        if _is_own(file):
            for task in _tasks(folder, file, quiet):
                for result in task.results:
                    labels: list[Any] = next(
                        (result[kind] for kind in _KINDS if isinstance(result.get(kind), list)), []
                    )
                    found |= {one.strip() for one in labels if isinstance(one, str)}
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Task:
    """A task with what was drawn, each result one flat set of fields."""

    file: Path
    where: str
    id: int | str | None
    source: Any
    results: Sequence[Mapping[str, Any]]

    def image(self, folder: Path, reading: Reading) -> DescribedImage | None:
        """Return the task's image with its shapes; None where its file is missing or nothing can be read."""
        name = self.source if isinstance(self.source, str) else ""
        name = name.rpartition("?d=")[2]
        found = find_image(folder, name, self.file.parent) if name else None
        if found is None and name:
            bare = _UPLOAD.sub("", name.replace("\\", "/").rpartition("/")[2])
            found = find_image(folder, bare, self.file.parent) if bare else None
        if found is None:
            reading.findings.refuse("Every annotated image must exist", f"{self.where} image={short(self.source)}")
            return None
        split = split_of_path(found, folder)
        findings = reading.of(split)
        shapes: list[Shape] = []
        size = None
        for number, values in enumerate(self.results, start=1):
            fields = Fields(values, f"{self.where}, result {number}", findings)
            try:
                if fields.has("original_width"):
                    size = fields.whole("original_height", least=1), fields.whole("original_width", least=1)
                shapes += _shapes(fields, size)
            except FieldError as error:
                findings.refuse(error.must, error.found)
        return DescribedImage(found, self.where, shapes, split, size, self.id)


def _tasks(folder: Path, file: Path, findings: Findings) -> Iterator[_Task]:
    name = relative(file, folder)
    try:
        tree = parse_json(read_text(file))
    except (OSError, ValueError, RecursionError) as error:
        findings.refuse("Annotations must be Label Studio's JSON", f"{name}: {error}")
        return
    for place, task in enumerate(tree, start=1):
        where = f"{name}: task {short(task['id']) if isinstance(task, dict) and 'id' in task else place}"
        if not isinstance(task, dict):
            findings.refuse("Label Studio's tasks must be JSON objects", f"{where}: {short(task)}")
            continue
        number = task["id"] if isinstance(task.get("id"), int | str) else None
        if isinstance(task.get("data"), dict):
            source = task["data"].get("image") or next(iter(task["data"].values()), None)
            results = _results(task, where, findings)
        else:
            source, results = task.get("image"), _flat_results(task)
        if results is None:
            findings.remark(f"a task without annotation is left out: {where}")
            continue
        yield _Task(file, where, number, source, results)


def _results(task: Mapping[str, Any], where: str, findings: Findings) -> list[Mapping[str, Any]] | None:
    """Return the results of the latest annotation; None: there is none."""
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        findings.refuse("annotations must be a list of JSON objects", f"{where} annotations={short(annotations)}")
        return []
    valid = [one for one in annotations if not one.get("was_cancelled")]
    if not valid:
        return None
    if len(valid) > 1:
        done = "of tasks annotated more than once the latest taken"
        findings.repairable("Every task must have one annotation", done, f"{where}: {len(valid)} annotations")
    latest = max(valid, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    results = latest.get("result")
    if not isinstance(results, list):
        findings.refuse("result must be a list", f"{where} result={short(results)}")
        return []
    found: list[Mapping[str, Any]] = []
    for one in results:
        if not isinstance(one, dict) or not isinstance(one.get("value"), dict):
            if not isinstance(one, dict) or one.get("type") != "relation":
                findings.refuse("Every result must have a value", f"{where}: {short(one)}")
            continue
        found.append({**one["value"], **{k: v for k, v in one.items() if k != "value"}})
    return found


def _flat_results(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the results of JSON-MIN: lists of values under the names of the labelling's tags."""
    lists = [value for value in task.values() if isinstance(value, list)]
    return [one for value in lists for one in value if isinstance(one, dict) and any(kind in one for kind in _KINDS)]


def _shapes(fields: Fields, size: tuple[int, int] | None) -> Iterator[Shape]:
    """Yield the object of a result, where it is one.

    Raises:
        FieldError: a field has no meaning.
    """
    kind = next((one for one in _KINDS if one in fields.values), None)
    if kind is None:
        if not any(one in fields.values for one in _OTHERS):
            done = "objects without a label left out"
            fields.findings.repairable("Every object must have a label", done, fields.where)
        return
    labels = fields.values[kind]
    if not isinstance(labels, list) or len(labels) != 1 or not isinstance(labels[0], str):
        raise FieldError("Every object must have one label", fields.shown(kind, labels))
    if size is None:
        raise FieldError("original_width and original_height must be given", fields.where)
    if fields.has("image_rotation") and fields.number("image_rotation"):
        raise FieldError("Images must not be turned in Label Studio (turn the file itself, and annotate that)",
                         fields.shown("image_rotation", fields.values["image_rotation"]))  # fmt: skip
    high, wide = size[0] / 100, size[1] / 100
    turn = fields.number("rotation") if fields.has("rotation") else 0.0
    where, label = fields.where, labels[0]
    if kind == "brushlabels":
        yield Shape(where, label, bitmap=Bitmap(0, 0, _brushed(fields, size)))
    elif kind == "polygonlabels":
        points = fields.values.get("points")
        if not isinstance(points, list):
            raise FieldError("points must be a list of pairs", fields.shown("points", points))
        pairs = [fields.numbers(pair, "points", 2) for pair in points]
        yield Shape(where, label, polygons=(tuple(number for x, y in pairs for number in (x * wide, y * high)),))
    elif kind == "ellipselabels":
        x, y, across, down = (fields.number(name) for name in ("x", "y", "radiusX", "radiusY"))
        yield Shape(where, label, polygons=(ellipse(x * wide, y * high, across * wide, down * high, turn),))
    else:
        x, y, width, height = (fields.number(name) for name in ("x", "y", "width", "height"))
        corners = (x * wide, y * high, (x + width) * wide, (y + height) * high)
        if turn:
            yield Shape(where, label, polygons=(rectangle(*corners[:2], width * wide, height * high, turn),))
        else:
            yield Shape(where, label, box=corners)


def _brushed(fields: Fields, size: tuple[int, int]) -> np.ndarray:
    """Return bool [H, W] of a brushed mask: the opacity of an RGBA image in Label Studio's packed runs.

    32 bits: how many values; 5: bits of a value, less one; four times 4: bits of a length, less one. Then blocks: one
    bit, whether all values are one; two bits, which length; the length, less one; the value, or the values.
    """
    packed = fields.values.get("rle")
    if not isinstance(packed, list) or not all(type(one) is int and 0 <= one < 256 for one in packed):
        raise FieldError("rle must be a list of bytes", fields.shown("rle", packed))
    bits = np.unpackbits(np.array(packed, dtype=np.uint8))
    place = 0

    def take(count: int) -> int:
        """Return the number that the next bits hold."""
        nonlocal place
        if place + count > len(bits):
            raise FieldError("rle must be complete", f"{fields.where}: it ends after {len(packed)} bytes")
        value = int("".join(map(str, bits[place : place + count].tolist())) or "0", 2)
        place += count
        return value

    total, word = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    if total != size[0] * size[1] * 4 or total > 4 * _MOST_PIXELS:
        raise FieldError("rle must have four values a pixel", f"{fields.where}: {total} for {size[1]} x {size[0]}")
    values = np.zeros(total, dtype=np.uint8)
    at = 0
    while at < total:
        same, end = take(1), at + 1 + take(lengths[take(2)])
        if same:
            values[at:end] = min(take(word), 255)
        else:
            values[at:end] = [min(take(word), 255) for _ in range(at, min(end, total))]
        at = end
    return values.reshape(*size, 4)[..., 3] > 0
