"""COCO format (cocodataset.org, "Data format"): JSON of boxes with masks as polygons or run lengths.

A set is a folder with one JSON file a source and a folder of images a source (perhaps the same one). The class list
is that of the training file, ordered by category id; the list of the other file must be the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, listing
from ablata.base.files import inside
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset
from ablata.data.detection.files import (
    DetectionFileSettings,
    FileImages,
    check_files,
    files_digest,
    image_splits,
)
from ablata.data.detection.problems import Findings, checked_objects
from ablata.data.detection.rle import from_polygons, from_runs
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES
from ablata.structures.detection import Rle


class Coco(DetectionFileSettings):
    """COCO detection: images with boxes and masks in COCO's JSON; the names fit COCO 2017."""

    kind: Literal["coco"] = "coco"
    train_json: str = "annotations/instances_train2017.json"
    """Annotations to train on, below the root."""
    val_json: str = "annotations/instances_val2017.json"
    """Annotations to score on."""
    train_images: str = "train2017"
    """Folder of images to train on, below the root."""
    val_images: str = "val2017"
    """Folder of images to score on."""
    classes: Annotated[int, Field(ge=1)] = 80
    """How many classes the files list; complexity is counted for it, and other files are refused."""
    group: str | None = None
    """A key of the images, such as patient_id, whose groups `minival` keeps together; null: none."""

    def class_count(self) -> int:
        """Return the number of classes."""
        return self.classes

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "coco"

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        paths = (self.train_json, self.val_json)
        return find_root(
            self.root,
            default=self.home(),
            fits=lambda folder: all((folder / path).is_file() for path in paths),
            layout=f"{paths[0]}, {paths[1]} and the folders {self.train_images} and {self.val_images}",
            cache=cache,
        )

    def build(self, cache: Path) -> DetectionDataset:
        """Read and check the annotations.

        Raises:
            DataError: files are missing, are not COCO's, or have faults that are refused.
        """
        return _read(self, cache)


class ChestXray(Coco):
    """63 chest X-rays of 48 patients with 365 objects of 13 overlapping classes, left and right lung among them."""

    kind: Literal["chest_xray"] = "chest_xray"  # type: ignore[assignment]
    train_json: str = "instances_train.json"
    """Annotations to train on, below the root."""
    val_json: str = "instances_val.json"
    """Annotations to score on."""
    train_images: str = "images"
    """Folder of images to train on, below the root."""
    val_images: str = "images"
    """Folder of images to score on."""
    classes: Annotated[int, Field(ge=1)] = 13
    """How many classes the files list; complexity is counted for it, and other files are refused."""
    group: str | None = "patient_id"
    """A key of the images whose groups `minival` keeps together; null: none."""

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "chest_xray"


def _read(settings: Coco, cache: Path) -> DetectionDataset:
    paths, root = (settings.train_json, settings.val_json), settings.locate(cache)
    folders = (settings.train_images, settings.val_images)
    findings = Findings(settings.on_invalid)
    trees = [_tree(root / path) for path in paths]
    categories = _categories(trees[0], paths[0])
    if (other := _categories(trees[1], paths[1])) != categories:
        differing = sorted(set(categories.items()) ^ set(other.items()))
        raise DataError(
            "Both files must list the same categories",
            found=f"{root}: {paths[0]} and {paths[1]} differ in {listing(str(one) for one in differing[:4])}",
        )
    if len(categories) != settings.classes:
        raise DataError(
            "data.classes must be the number of categories",
            found=f"data.classes={settings.classes}, {paths[0]} lists {len(categories)}",
            do=f"data.classes={len(categories)}",
        )
    numbers = sorted(categories)
    sources = [
        _source(tree, root, path, folder, numbers, findings)
        for tree, path, folder in zip(trees, paths, folders, strict=True)
    ]
    notices = findings.notices()
    groups = None
    if settings.group is not None:
        groups = [str(image.get(settings.group, image["id"])) for image in trees[0]["images"]]
    files = [root / path for path in paths] + [file for source in sources for file in source.files]
    return DetectionDataset(
        classes=[categories[number] for number in numbers],
        sources=dict(zip(SOURCES, sources, strict=True)),
        fingerprint=files_digest(root, files, cache),
        mean=settings.mean,
        std=settings.std,
        splits=image_splits(
            len(sources[0].entries), len(sources[1].entries), settings.minival, settings.split_seed, groups
        ),
        augment=settings.augment,
        backend="opencv",
        notices=notices,
        category_ids=numbers,
    )


def _tree(path: Path) -> Mapping[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        for key in ("images", "categories", "annotations"):
            if not isinstance(tree[key], list):
                raise ValueError(f"{key} is no list")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("Annotations must be COCO's JSON", found=f"{path}: {type(error).__name__} {error}") from None
    return cast(Mapping[str, Any], tree)


def _categories(tree: Mapping[str, Any], path: str) -> dict[int, str]:
    """Return {category id: name}."""
    listed = [(int(one["id"]), str(one["name"])) for one in tree["categories"]]
    for what, values in (("ids", [number for number, _ in listed]), ("names", [name for _, name in listed])):
        twice = [str(value) for value, count in Counter(values).items() if count > 1]
        if twice:
            raise DataError(f"The {what} of categories must differ", found=f"{path}: {listing(twice)} more than once")
    return dict(listed)


def _source(
    tree: Mapping[str, Any], root: Path, path: str, folder: str, numbers: Sequence[int], findings: Findings
) -> FileImages:
    images = tree["images"]
    twice = [str(number) for number, count in Counter(image["id"] for image in images).items() if count > 1]
    if twice:
        findings.refuse("Every image must have a number of its own", f"{path}: image id {listing(twice[:4])}")
    files = [inside(root / folder, str(image["file_name"])) for image in images]
    sizes = check_files(files, [(int(image["height"]), int(image["width"])) for image in images], findings)
    known = {image["id"] for image in images}
    lost = [one["id"] for one in tree["annotations"] if one["image_id"] not in known]
    if lost:
        findings.refuse("Every object must be on a listed image", f"{path}: annotation {listing(map(str, lost[:4]))}")
    by_image: dict[Any, list[Mapping[str, Any]]] = {}
    for one in _numbered(tree["annotations"], path, findings):
        by_image.setdefault(one["image_id"], []).append(one)
    entries = [
        _entry(f"{path}: {image['file_name']}", size, by_image.get(image["id"], []), numbers, findings)
        for image, size in zip(images, sizes, strict=True)
    ]
    return FileImages(entries, files)


def _numbered(annotations: Sequence[Mapping[str, Any]], path: str, findings: Findings) -> list[Mapping[str, Any]]:
    """Return the annotations, numbered anew where two have the same id."""
    counts = Counter(one["id"] for one in annotations)
    twice = [number for number, count in counts.items() if count > 1]
    if not twice:
        return list(annotations)
    findings.repairable(
        "Every object must have a number of its own",
        "objects numbered anew, for two had the same id",
        f"{path}: annotation id {listing(map(str, twice[:4]))}",
    )
    return [{**one, "id": number} for number, one in enumerate(annotations)]


def _entry(
    where: str,
    size: tuple[int, int],
    annotations: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    findings: Findings,
) -> AnnotatedImage:
    kept = []
    for one in annotations:
        if int(one["category_id"]) in numbers:
            kept.append(one)
        else:
            findings.refuse(
                f"Categories must be listed ({listing(map(str, numbers[:20]))})",
                f"{where} object {one['id']}: category_id={one['category_id']}",
            )
    boxes = np.array([_corners(one["bbox"]) for one in kept], dtype=np.float64)
    masks = [_mask(one, size) for one in kept]
    has_masks = all(mask is not None for mask in masks)
    labels = [numbers.index(int(one["category_id"])) for one in kept]
    ids = [int(one["id"]) for one in kept]
    crowd = [bool(one.get("iscrowd", 0)) for one in kept]
    found = cast(Sequence[Rle], masks) if has_masks else None
    return AnnotatedImage(where, size, checked_objects(where, size, boxes, labels, found, ids, crowd, findings))


def _corners(box: Sequence[float]) -> list[float]:
    left, top, width, height = map(float, box)
    return [left, top, left + width, top + height]


def _mask(annotation: Mapping[str, Any], size: tuple[int, int]) -> Rle | None:
    segmentation = annotation.get("segmentation")
    if not segmentation:
        return None
    if isinstance(segmentation, list):
        return from_polygons(segmentation, size)
    height, width = segmentation["size"]
    return from_runs((int(height), int(width)), segmentation["counts"])
