"""One JSON file of COCO's: its categories, images and objects, each field checked, faults noted and not raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError, choices, listing, reason
from ablata.base.json_text import RepeatedKeyError, parse_json
from ablata.base.quantities import counted
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings
from ablata.data.detection.rle import extents
from ablata.data.detection.segmentation_field import polygons_of, read_segmentation
from ablata.data.detection.written_checks import checked_images
from ablata.data.detection.written_objects import WrittenImage, WrittenObject
from ablata.data.io.walk import is_name

_LISTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class ListedImage:
    """An image as the file lists it.

    Attributes:
        id: its number, or text that stands for one.
        file_name: below the folder of images.
        size: height and width; None: not said.
        values: all fields.
    """

    id: int | str
    file_name: str
    size: tuple[int, int] | None
    values: Mapping[str, Any]


class RepeatedFieldError(DataError):
    """A file of annotations holds a key twice in one object: which value counts is not known."""


def read_tree(path: Path) -> Mapping[str, Any]:
    """Read a file of COCO's, in any of Unicode's encodings, with or without byte order mark.

    Raises:
        RepeatedFieldError: an object holds a key twice.
        DataError: it is no JSON, or not COCO's.
    """
    try:
        tree = parse_json(path.read_bytes())
        if not isinstance(tree, dict):
            raise ValueError(f"no object with the lists {listing(_LISTS)}")
        for key in _LISTS:
            if not isinstance(tree.get(key), list):
                raise ValueError(f"{key} is no list" if key in tree else f"no list {key}")
        return tree
    except RepeatedKeyError as error:
        raise RepeatedFieldError(
            "Annotations must hold each key of an object once", found=f"{path}: {error}", do="leave one of its values"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            "Annotations must be COCO's JSON",
            found=f"{path}: {reason(error)}",
            do="export them again as COCO JSON",
        ) from None


def drop_root_category(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a file without the category that Roboflow puts above all others, where no object has it.

    It is the `supercategory` of every other one, and its own is `none`.
    """
    categories = tree["categories"]
    if len(categories) < 2 or not all(isinstance(one, dict) for one in categories):
        return tree
    root, *others = categories
    is_root = root.get("supercategory") == "none" and all(
        one.get("supercategory") == root.get("name") for one in others
    )
    used = any(isinstance(one, dict) and one.get("category_id") == root.get("id") for one in tree["annotations"])
    return {**tree, "categories": others} if is_root and not used else tree


def read_categories(tree: Mapping[str, Any], path: str, findings: Findings) -> dict[int, str]:
    """Return {category id: name}.

    Raises:
        DataError: an id or a name is missing, is none, or is there twice.
    """
    listed = []
    for place, values in enumerate(tree["categories"]):
        where = f"{path}: category at position {place}"
        try:
            fields = Fields(_as_object(values, where), where, findings)
            listed.append((fields.whole("id"), fields.title("name")))
        except FieldError as error:
            raise DataError(f"Categories must have an id and a name: {error.must}", found=error.found,
                            do="correct the file, or export it again") from None  # fmt: skip
    for what, values in (("ids", [number for number, _ in listed]), ("names", [name for _, name in listed])):
        twice = [str(value) for value, count in Counter(values).items() if count > 1]
        if twice:
            raise DataError(f"Categories must differ in their {what}", found=f"{path}: {listing(twice)} more than once",
                            do=f"give each category {what} of its own")  # fmt: skip
    if not listed:
        raise DataError("COCO's JSON must list at least one category", found=f"{path}: categories=[]",
                        do="export the annotations with their categories")  # fmt: skip
    return dict(listed)


def read_images(tree: Mapping[str, Any], path: str, findings: Findings) -> list[ListedImage]:
    """Return the images that have an id and a file name; others are refused."""
    images = []
    for place, values in enumerate(tree["images"]):
        where = f"{path}: image at position {place}"
        try:
            fields = Fields(_as_object(values, where), where, findings)
            number, name = fields.key("id"), fields.text("file_name")
            if not is_name(name):
                raise FieldError("file_name must be the name of a file", fields.shown("file_name", name))
            fields = Fields(fields.values, f"{path}: image {number} ({name})", findings)
            images.append(ListedImage(number, name, _size(fields), fields.values))
        except FieldError as error:
            findings.refuse(error.must, error.found)
    for what, seen in (("number", [image.id for image in images]), ("file", [image.file_name for image in images])):
        twice = [str(value) for value, count in Counter(seen).items() if count > 1]
        if twice:
            key = "image id" if what == "number" else "file_name"
            findings.refuse(f"Every image must have a {what} of its own", f"{path}: {key} {listing(twice[:4])}")
    return images


def _size(fields: Fields) -> tuple[int, int] | None:
    if fields.values.get("height") and fields.values.get("width"):
        return fields.whole("height", least=1), fields.whole("width", least=1)
    fields.findings.repairable(
        "Images must have height and width", "sizes that are not given taken from the image files", fields.where
    )
    return None


class ObjectReader:
    """Reads the objects of a file.

    Args:
        path: the file, for messages.
        labels: category id -> position in the class list.
        images: of the same file.
        sizes: height and width of each.
        findings: where faults are noted.
        keep_written: keep what the objects were written as.

    Attributes:
        maskless: the objects without a mask.
    """

    def __init__(
        self,
        path: str,
        labels: Mapping[int, int],
        images: Sequence[ListedImage],
        sizes: Sequence[tuple[int, int]],
        findings: Findings,
        keep_written: bool = False,
    ) -> None:
        self.keep_written = keep_written
        self.path, self.findings, self.labels = path, findings, labels
        self.images, self.sizes = images, sizes
        self.rows = {image.id: row for row, image in enumerate(images)}
        self.maskless: list[str] = []
        self._marked: list[str] = []

    def read(self, annotations: Sequence[Any]) -> list[AnnotatedImage]:
        """Return the images with those of their objects that stand."""
        objects: list[list[WrittenObject]] = [[] for _ in self.images]
        for number, values in zip(self._numbers(annotations), annotations, strict=True):
            try:
                row, one = self._object(number, values)
            except FieldError as error:
                self.findings.refuse(error.must, error.found)
                continue
            if self.sizes[row] != (0, 0):
                objects[row].append(one)
        if self._marked:
            many = counted(len(self._marked), "object has", "objects have")
            self.findings.remark(
                f"{many} a field ignore, which COCO's scores do not read, and count like the others: "
                f"{listing(self._marked[:2])}; where they are to be ignored, write iscrowd=1"
            )
        read = [
            WrittenImage(f"{self.path}: {image.file_name}", size, image.id, mine)
            for image, size, mine in zip(self.images, self.sizes, objects, strict=True)
        ]
        entries, self.maskless = checked_images(self.path, read, self.findings, self.keep_written)
        return entries

    def _numbers(self, annotations: Sequence[Any]) -> list[int]:
        """Return the annotations' ids, all of them numbered anew where one has none of its own."""
        quiet = Findings("repair")
        ids: list[int | None] = []
        for values in annotations:
            try:
                ids.append(Fields(values, "", quiet).whole("id") if isinstance(values, dict) else None)
            except FieldError:
                ids.append(None)
        counts = Counter(ids)
        if None not in counts and len(counts) == len(ids):
            for number, values in zip(ids, annotations, strict=True):
                if type(values["id"]) is not int:
                    self.findings.repairable(
                        "Whole numbers must be written without quotation marks or decimals",
                        "whole numbers written as text or with decimals taken as whole numbers",
                        f"{self.path}: annotation id={short(values['id'])} as {number}",
                    )
            return [number for number in ids if number is not None]
        twice = [str(number) for number, count in counts.items() if count > 1 and number is not None]
        odd = [
            f"annotation at position {place} id={short(values['id'])}" if isinstance(values, dict) and "id" in values
            else f"annotation at position {place} has none"
            for place, (number, values) in enumerate(zip(ids, annotations, strict=True)) if number is None
        ]  # fmt: skip
        self.findings.repairable(
            "Every annotation must have an id of its own",
            "annotations given new ids, because ids are missing, not numbers, or used twice",
            f"{self.path}: {listing([*odd[:2], *(f'annotation id {one}' for one in twice[:3])])}",
        )
        return list(range(len(ids)))

    def _object(self, number: int, values: Any) -> tuple[int, WrittenObject]:
        """Return an object and the row of its image.

        Raises:
            FieldError: a field has no meaning.
        """
        place = f"{self.path}: annotation {number}"
        fields = Fields(_as_object(values, place), place, self.findings)
        image_id = fields.key("image_id")
        if image_id not in self.rows:
            raise FieldError(
                "The image_id of every annotation must be the id of a listed image", fields.shown("image_id", image_id)
            )
        row = self.rows[image_id]
        fields.where = f"{self.path}: {self.images[row].file_name} annotation {number}"
        category = fields.whole("category_id")
        if category not in self.labels:
            known = choices(map(str, sorted(self.labels)), category)
            raise FieldError(
                f"category_id must be one of the listed categories ({known})", fields.shown("category_id", category)
            )
        mask = read_segmentation(fields, self.sizes[row])
        around = np.zeros(4) if mask is None else extents([mask])[0]
        box = self._box(fields, has_extent=bool((around[2:] > around[:2]).all()))
        polygons = polygons_of(fields) if self.keep_written else ()
        crowd = fields.flag("iscrowd")
        if fields.values.get("ignore") and not crowd:
            self._marked.append(fields.where)
        return row, WrittenObject(fields.where, number, self.labels[category], box, mask, crowd, polygons=polygons)

    def _box(self, fields: Fields, has_extent: bool) -> tuple[float, ...] | None:
        if not fields.has("bbox"):
            shown = (
                fields.shown("bbox", fields.values["bbox"]) if "bbox" in fields.values else f"{fields.where} no bbox"
            )
            if not has_extent:
                raise FieldError("Every object must have a box", shown)
            self.findings.repairable("Every object must have a box", "missing boxes taken from the masks", shown)
            return None
        return tuple(fields.numbers(fields.values["bbox"], "bbox", 4))


def _as_object(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise FieldError("Images, annotations and categories must be JSON objects", f"{where}: {short(values)}")
    return values
