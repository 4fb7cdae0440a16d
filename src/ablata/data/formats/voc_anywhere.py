"""Pascal VOC's XML wherever it lies: without ImageSets, beside its images, images of any ending.

Folders with ImageSets/Main are read by `data=voc`; what a box means is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ablata.base.errors import DataError
from ablata.data.detection.box_forms import CORNERS
from ablata.data.detection.voc_xml import VocFile, read_annotation, remark_other_images
from ablata.data.formats.description import Described, DescribedImage, Reading, Shape
from ablata.data.formats.places import find_image, head_of, relative, split_of_path
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under
from ablata.data.labels.split_lists import splits_by_lists


def fits(folder: Path) -> bool:
    """Tell whether a folder holds VOC's files."""
    return next(_files(folder), None) is not None


def _files(folder: Path) -> Iterator[Path]:
    for file in files_under(folder):
        if file.suffix.lower() == ".xml" and "<annotation" in (head := head_of(file)) and "<annotations" not in head:
            yield file


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the names that occur."""
    found: set[str] = set()
    for file in _files(folder):
        try:
            found |= set(_names(read_annotation(file)))
        except DataError:
            continue  # refused with its reason where the set is read
    return tuple(sorted(found))


def _names(tree: VocFile) -> Iterator[str]:
    names = ((one.findtext("name") or "").strip() for one in tree.tree.iter("object"))
    yield from (name for name in names if name)


def describe(folder: Path, reading: Reading) -> Described:
    """Read a folder."""
    images, found, files = [], list[tuple[VocFile, Path]](), list(_files(folder))
    listed = splits_by_lists(folder, files, reading.findings.remark)
    for file in files:
        split = split_of_path(file, folder) or listed.get(file, "")
        findings = reading.of(split)
        try:
            tree = read_annotation(file)
        except DataError as error:
            findings.refuse(error.must, error.found or relative(file, folder))
            continue
        image = _image(folder, file, tree)
        if image is None:
            findings.refuse(
                "Every annotated image must exist", f"{relative(file, folder)}: {tree.file_name or file.stem}"
            )
            continue
        names = sorted(set(_names(tree)))
        objects = tree.objects(names, findings)
        shapes = [Shape(one.where, names[one.label], one.half_open, crowd=one.difficult) for one in objects]
        found.append((tree, image))
        images.append(DescribedImage(image, tree.where, shapes, split, tree.size(findings), file.stem))
    remark_other_images(found, reading.findings)
    return Described(images, annotations=files, form=CORNERS)


def _image(folder: Path, file: Path, tree: VocFile) -> Path | None:
    """Return the image of an annotation: by the name of the file, else by the one that is written in it."""
    beside = (file.parent, *(file.parent.parent / name for name in ("JPEGImages", "images", "image", "imgs")))
    for place in beside:
        for suffix in sorted(IMAGE_SUFFIXES):
            for candidate in (place / f"{file.stem}{suffix}", place / f"{file.stem}{suffix.upper()}"):
                if candidate.is_file():
                    return candidate
    return find_image(folder, tree.file_name, *beside) if tree.file_name else None
