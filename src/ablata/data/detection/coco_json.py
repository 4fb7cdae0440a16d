"""One JSON file of COCO's: its categories, images and objects, each field checked, faults noted and not raised."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import DataError, choices, listing
from ablata.data.detection.box_forms import ELSEWHERE, READINGS, XYWH, note_misread, overlap, refuse_misread
from ablata.data.detection.dataset import AnnotatedImage
from ablata.data.detection.fields import FieldError, Fields, short
from ablata.data.detection.problems import Findings, checked_objects, written
from ablata.data.detection.rle import extents
from ablata.data.detection.segmentation_field import read_segmentation
from ablata.structures.detection import Rle

_LISTS = ("images", "categories", "annotations")
_NO_EXTENT = np.full(4, np.nan)


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


@dataclass(frozen=True)
class CocoObject:
    """An annotation whose fields can be read.

    Attributes:
        box: as written; None: taken from the mask.
        extent: left, top, right, bottom of the mask; nan without one.
    """

    where: str
    id: int
    label: int
    box: tuple[float, ...] | None
    mask: Rle | None
    extent: np.ndarray
    crowd: bool

    @property
    def corners(self) -> np.ndarray:
        """Return left, top, right, bottom, float64 [4]."""
        return self.extent if self.box is None else READINGS[XYWH](np.array([self.box]))[0]


def read_tree(path: Path) -> Mapping[str, Any]:
    """Read a file of COCO's, in any of Unicode's encodings, with or without byte order mark.

    Raises:
        DataError: it is no JSON, or not COCO's.
    """
    try:
        tree = json.loads(path.read_bytes())
        if not isinstance(tree, dict):
            raise ValueError(f"a {type(tree).__name__} at the top, not an object with {listing(_LISTS)}")
        for key in _LISTS:
            if not isinstance(tree.get(key), list):
                raise ValueError(f"{key} is no list" if key in tree else f"no {key}")
        return tree
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("Annotations must be COCO's JSON", found=f"{path}: {type(error).__name__} {error}") from None


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
            listed.append((fields.whole("id"), fields.text("name")))
        except FieldError as error:
            raise DataError(f"Categories must have an id and a name: {error.must}", found=error.found) from None
    for what, values in (("ids", [number for number, _ in listed]), ("names", [name for _, name in listed])):
        twice = [str(value) for value, count in Counter(values).items() if count > 1]
        if twice:
            raise DataError(f"The {what} of categories must differ", found=f"{path}: {listing(twice)} more than once")
    if not listed:
        raise DataError("There must be a category", found=f"{path}: categories=[]")
    return dict(listed)


def read_images(tree: Mapping[str, Any], path: str, findings: Findings) -> list[ListedImage]:
    """Return the images that have an id and a file name; others are refused."""
    images = []
    for place, values in enumerate(tree["images"]):
        where = f"{path}: image at position {place}"
        try:
            fields = Fields(_as_object(values, where), where, findings)
            number, name = fields.key("id"), fields.text("file_name")
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
    ) -> None:
        self.path, self.findings, self.labels = path, findings, labels
        self.images, self.sizes = images, sizes
        self.rows = {image.id: row for row, image in enumerate(images)}
        self.maskless: list[str] = []
        self._seen: set[tuple[Any, ...]] = set()

    def read(self, annotations: Sequence[Any]) -> list[AnnotatedImage]:
        """Return the images with those of their objects that stand."""
        objects: list[list[CocoObject]] = [[] for _ in self.images]
        for number, values in zip(self._numbers(annotations), annotations, strict=True):
            try:
                row, one = self._object(number, values)
            except FieldError as error:
                self.findings.refuse(error.must, error.found)
                continue
            if self.sizes[row] != (0, 0) and not self._is_twin(row, one):
                objects[row].append(one)
        misread = self._misread(objects)
        return [self._entry(row, mine, misread) for row, mine in enumerate(objects)]

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
                        "Whole numbers must be written as such", "whole numbers that are written otherwise read",
                        f"{self.path}: annotation id={short(values['id'])} as {number}",
                    )  # fmt: skip
            return [number for number in ids if number is not None]
        twice = [str(number) for number, count in counts.items() if count > 1 and number is not None]
        odd = [
            f"annotation at position {place} id={short(values['id'])}" if isinstance(values, dict) and "id" in values
            else f"annotation at position {place} has none"
            for place, (number, values) in enumerate(zip(ids, annotations, strict=True)) if number is None
        ]  # fmt: skip
        self.findings.repairable(
            "Every object must have a number of its own",
            "objects numbered anew, for ids are missing, no numbers or there twice",
            f"{self.path}: {listing([*odd[:2], *(f'annotation id {one}' for one in twice[:3])])}",
        )
        return list(range(len(ids)))

    def _object(self, number: int, values: Any) -> tuple[int, CocoObject]:
        """Return an object and the row of its image.

        Raises:
            FieldError: a field has no meaning.
        """
        place = f"{self.path}: annotation {number}"
        fields = Fields(_as_object(values, place), place, self.findings)
        image_id = fields.key("image_id")
        if image_id not in self.rows:
            raise FieldError("Every object must be on a listed image", fields.shown("image_id", image_id))
        row = self.rows[image_id]
        fields.where = f"{self.path}: {self.images[row].file_name} annotation {number}"
        category = fields.whole("category_id")
        if category not in self.labels:
            known = choices(map(str, sorted(self.labels)), category)
            raise FieldError(f"Categories must be listed ({known})", fields.shown("category_id", category))
        mask = read_segmentation(fields, self.sizes[row])
        extent = _NO_EXTENT
        if mask is not None:
            around = extents([mask])[0]
            extent = around if (around[2:] > around[:2]).all() else extent
        box = self._box(fields, has_extent=not np.isnan(extent).any())
        crowd = fields.flag("iscrowd")
        return row, CocoObject(fields.where, number, self.labels[category], box, mask, extent, crowd)

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

    def _is_twin(self, row: int, one: CocoObject) -> bool:
        key = (row, one.label, one.box, one.mask, one.crowd)
        if key in self._seen:
            self.findings.repairable("Every object must be annotated once", "objects that are annotated twice left out",
                                     f"{one.where} {written(one.corners.tolist())}")  # fmt: skip
            return True
        self._seen.add(key)
        return False

    def _misread(self, objects: Sequence[Sequence[CocoObject]]) -> set[int]:
        """Refuse boxes that are written in another form; return the numbers of their objects.

        See `refuse_misread` and `note_misread`.
        """
        known = [(one, self.sizes[row]) for row, mine in enumerate(objects) for one in mine if one.box is not None]
        boxes = np.array([one.box for one, _ in known], dtype=np.float64).reshape(-1, 4)
        sizes = np.array([size for _, size in known], dtype=np.float64).reshape(-1, 2)
        around = np.array([one.extent for one, _ in known]).reshape(-1, 4)
        if refuse_misread(boxes, XYWH, sizes, around, self.path, self.findings):
            return {one.id for mine in objects for one in mine}
        names = [one.where for one, _ in known]
        return {known[row][0].id for row in note_misread(boxes, XYWH, sizes, around, names, self.findings)}

    def _entry(self, row: int, objects: Sequence[CocoObject], misread: set[int]) -> AnnotatedImage:
        image, size = self.images[row], self.sizes[row]
        where = f"{self.path}: {image.file_name}"
        kept = [one for one in objects if one.id not in misread and not self._elsewhere(one, size)]
        boxes = np.array([one.corners for one in kept], dtype=np.float64)
        self.maskless += [one.where for one in kept if one.mask is None]
        masks = [one.mask for one in kept if one.mask is not None]
        standing = checked_objects(
            where, size, boxes, [one.label for one in kept], masks if len(masks) == len(kept) else None,
            [one.id for one in kept], [one.crowd for one in kept], self.findings, [one.where for one in kept],
        )  # fmt: skip
        return AnnotatedImage(where, size, standing, image.id)

    def _elsewhere(self, one: CocoObject, size: tuple[int, int]) -> bool:
        """Refuse a box that is at another place than its mask; one without area or outside the image is left out."""
        corners = one.corners
        shown = corners.clip(0, [size[1], size[0], size[1], size[0]])
        if one.box is None or np.isnan(one.extent).any() or not (shown[2:] > shown[:2]).all():
            return False
        if overlap(shown[None], one.extent[None])[0] >= ELSEWHERE:
            return False
        self.findings.refuse(
            "A box must be where its mask is",
            f"{one.where} box {written(corners.tolist())}, mask {written(one.extent.tolist())}",
        )
        return True


def _as_object(values: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(values, dict):
        raise FieldError("Images, annotations and categories must be JSON objects", f"{where}: {short(values)}")
    return values
