"""Pascal VOC format: boxes in XML (Everingham et al. 2010): one file an image, lists of names for the sources.

Coordinates count pixels from 1 and include the last one, so that a box is `xmin - 1, ymin - 1, xmax, ymax` here. A box
that is written with equal or crossed borders has no area. `difficult` objects neither teach nor count as missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal
from xml.etree import ElementTree

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError, choices, listing, nearest
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
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES

_LISTS = "ImageSets/Main"


class Voc(DetectionFileSettings):
    """Pascal VOC detection: images with boxes in Pascal VOC's folders."""

    kind: Literal["voc"] = "voc"
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
        "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
    )  # fmt: skip
    """Names of the classes; VOC's folders do not list them."""
    train_list: str = "train"
    """Which list of ImageSets/Main to train on."""
    val_list: str = "val"
    """Which to score on."""

    def class_count(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    def has_masks(self) -> bool:
        """Tell that there are boxes alone."""
        return False

    def home(self) -> str | None:
        """Return the folder's name among the data sets; None: it has none."""
        return None

    def lists(self) -> tuple[str, str]:
        """Return the files that list the images to train and to score on, below the root."""
        return f"{_LISTS}/{self.train_list}.txt", f"{_LISTS}/{self.val_list}.txt"

    def locate(self, cache: Path) -> Path:
        """Return the folder of the set.

        Raises:
            DataError: there is none.
        """
        lists = self.lists()
        return find_root(
            self.root,
            default=self.home(),
            fits=lambda folder: all((folder / path).is_file() for path in lists) and (folder / "Annotations").is_dir(),
            layout=f"{lists[0]}, {lists[1]}, Annotations/NAME.xml and JPEGImages/NAME.jpg",
            cache=cache,
        )

    def build(self, cache: Path) -> DetectionDataset:
        """Read and check the annotations.

        Raises:
            DataError: files are missing, are not VOC's, or have faults that are refused.
        """
        return _read(self, cache)


class BloodCells(Voc):
    """364 images of blood with boxes around cells of three kinds, most of them red."""

    kind: Literal["blood_cells"] = "blood_cells"  # type: ignore[assignment]
    classes: Annotated[tuple[str, ...], Field(min_length=1)] = ("Platelets", "RBC", "WBC")
    """Names of the classes; VOC's folders do not list them."""

    def image_size(self) -> tuple[int, int]:
        """Return the height and width that complexity is counted for: all images are 640 x 480."""
        return (480, 640) if self.augment.min_size is None else super().image_size()

    def home(self) -> str | None:
        """Return the folder's name among the data sets."""
        return "blood_cells"


def _read(settings: Voc, cache: Path) -> DetectionDataset:
    lists, root = settings.lists(), settings.locate(cache)
    findings = Findings(settings.on_invalid)
    names = [[line.split()[0] for line in (root / path).read_text().splitlines() if line.split()] for path in lists]
    both = sorted(set(names[0]) & set(names[1]))
    if both:
        findings.refuse("Images to score on must not be trained on", f"{listing(both[:4])} in both lists")
    first = 0
    sources, files = [], [root / path for path in lists]
    for listed in names:
        source = _source(root, listed, settings.classes, first, findings)
        first += sum(len(entry.objects) for entry in source.entries)
        sources.append(source)
        files += [*source.files, *(root / "Annotations" / f"{name}.xml" for name in listed)]
    notices = findings.notices()
    return DetectionDataset(
        classes=settings.classes,
        sources=dict(zip(SOURCES, sources, strict=True)),
        fingerprint=files_digest(root, files, cache),
        mean=settings.mean,
        std=settings.std,
        splits=image_splits(len(names[0]), len(names[1]), settings.minival, settings.split_seed),
        augment=settings.augment,
        backend="opencv",
        notices=notices,
    )


def _source(root: Path, names: Sequence[str], classes: Sequence[str], first: int, findings: Findings) -> FileImages:
    notes = [inside(root / "Annotations", f"{name}.xml") for name in names]
    missing = [str(note) for note in notes if not note.is_file()]
    if missing:
        raise DataError("Every listed image must have its annotation", found=f"no file {listing(missing[:4])}")
    trees = [_parsed(note) for note in notes]
    files = [inside(root / "JPEGImages", f"{name}.jpg") for name in names]
    sizes = check_files(files, [_size(tree) for tree in trees], findings)
    entries = []
    for note, tree, size in zip(notes, trees, sizes, strict=True):
        entries.append(_entry(note.name, tree, size, classes, first, findings))
        first += len(entries[-1].objects)
    return FileImages(entries, files)


def _parsed(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise DataError("Annotations must be XML", found=f"{path}: {error}") from None


def _size(tree: ElementTree.Element) -> tuple[int, int] | None:
    height, width = tree.findtext("size/height"), tree.findtext("size/width")
    return (int(height), int(width)) if height and width and int(height) and int(width) else None


def _entry(
    where: str,
    tree: ElementTree.Element,
    size: tuple[int, int],
    classes: Sequence[str],
    first: int,
    findings: Findings,
) -> AnnotatedImage:
    boxes, labels, hard = [], [], []
    for one in tree.iter("object"):
        name = one.findtext("name", "")
        if name not in classes:
            close = nearest(name, classes)
            meant = f", nearest {close}" if close else ""
            findings.refuse(f"Classes must be listed ({choices(classes, name)})", f"{where}: {name}{meant}")
            continue
        left, top, right, bottom = (float(one.findtext(f"bndbox/{key}", "nan")) for key in _BORDERS)
        empty = not (right > left and bottom > top)
        boxes.append((left, top, right, bottom) if empty else (left - 1, top - 1, right, bottom))
        labels.append(classes.index(name))
        hard.append(one.findtext("difficult", "0").strip() == "1")
    ids = list(range(first, first + len(boxes)))
    objects = checked_objects(where, size, np.array(boxes), labels, None, ids, hard, findings)
    return AnnotatedImage(where, size, objects)


_BORDERS = ("xmin", "ymin", "xmax", "ymax")
