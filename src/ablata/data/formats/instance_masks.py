"""Masks of single objects: one file an object (DSB2018, `ID/images` with `ID/masks`), or one number an object."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError
from ablata.data.detection.number_masks import NumberMasks
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Bitmap, Described, DescribedImage, Reading, Shape
from ablata.data.formats.places import images_under, relative, split_of_path
from ablata.data.io.decode import IMAGE_SUFFIXES, RULES, ImageRules
from ablata.data.io.masks import MaskError, load_mask, open_mask
from ablata.data.io.object_codes import told_classes
from ablata.data.labels.layout import FolderNames, LabeledFolder, list_labelled, propose_suffixes
from ablata.data.labels.split_lists import split_name, splits_by_lists

OBJECT = "object"
"""The one class of masks that name none."""
_DEEP = ("I;16", "I;16B", "I", "I;16L")
"""PIL's modes of numbers beyond 255."""
_FEW = 8


def fits_files(folder: Path) -> bool:
    """Tell whether a folder has a folder an image, with its masks beside it."""
    return next(_cases(folder), None) is not None


def _cases(folder: Path) -> Iterator[Path]:
    """Yield the folders of images: those with `images` and `masks`, at the top or below a folder of a split."""
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not entry.is_dir() or entry.name.startswith("."):
            continue
        below = [entry] if (entry / "masks").is_dir() else sorted(one for one in entry.iterdir() if one.is_dir())
        for case in below:
            both = (case / "images").is_dir() and (case / "masks").is_dir() and not split_name(case.name)
            if both and len(list(images_under(case / "images"))) == 1:
                yield case


def describe_files(folder: Path, reading: Reading) -> Described:
    """Read a set with one mask an object."""
    images, notes = [], []
    for case in _cases(folder):
        image = next(images_under(case / "images"))
        split = split_of_path(image, folder)
        masks = list(images_under(case / "masks"))
        shapes = [one for mask in masks for one in _of_file(mask, folder, reading.rules, reading.of(split))]
        images.append(DescribedImage(image, relative(case, folder), shapes, split, id=case.name))
        notes += masks
    return Described(images, (OBJECT,), notes)


def fits_numbers(folder: Path) -> bool:
    """Tell whether a folder has masks with numbers of 16 bits, one an object."""
    return any(True for _ in _deep_masks(folder))


def tells_classes(folder: Path) -> bool:
    """Tell whether such numbers tell classes, too: class * 1000 + object, and the like."""
    numbers: set[int] = set()
    for mask in _deep_masks(folder):
        numbers |= set(np.unique(np.asarray(load_mask(open_mask(mask), mask, RULES))).tolist())
    return told_classes(numbers) is not None


def _deep_masks(folder: Path) -> Iterator[Path]:
    """Yield some masks of 16 bits or more."""
    try:
        labelled = _labelled(folder)
    except DataError:
        return
    masks = [sample.label for sample in labelled.samples if sample.label and sample.image]
    for mask in masks[:: max(len(masks) // _FEW, 1)]:
        try:
            if mask.suffix.lower() in IMAGE_SUFFIXES and open_mask(mask).mode in _DEEP:
                yield mask
        except MaskError:
            continue


def _labelled(folder: Path) -> LabeledFolder:
    """List a folder of images and masks, whatever stands behind their names: NAME_img.png and NAME_masks.png, too."""
    listed = list_labelled(folder)
    if any(sample.image and sample.label for sample in listed.samples):
        return listed
    found = propose_suffixes(listed)
    return list_labelled(folder, FolderNames(mask_suffix=found.mask, image_suffix=found.image))


def describe_numbers(folder: Path, reading: Reading) -> Described:
    """Read a set whose masks have a number an object, 0 where nothing is."""
    images, notes, seen = [], [], NumberMasks(folder)
    labelled = _labelled(folder)
    lists = splits_by_lists(
        folder, [sample.image for sample in labelled.samples if sample.image], reading.findings.remark
    )
    for sample in labelled.samples:
        if sample.image is None:
            assert sample.label is not None
            reading.findings.refuse("Every mask must have its image", relative(sample.label, folder))
            continue
        split = sample.split or lists.get(sample.image, "")
        findings = reading.of(split)
        if sample.label is None:
            findings.refuse("Every image must have its mask", relative(sample.image, folder))
            continue
        shapes = list(_of_file(sample.label, folder, reading.rules, findings, seen))
        images.append(DescribedImage(sample.image, sample.name, shapes, split, id=sample.name))
        notes.append(sample.label)
    seen.note(reading.findings)
    return Described(images, (OBJECT,), notes)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the one class."""
    return (OBJECT,)


def _of_file(
    mask: Path, folder: Path, rules: ImageRules, findings: Findings, seen: NumberMasks | None = None
) -> list[Shape]:
    """Return the objects of a mask: all that is not 0 as one, or each number as one, which `seen` collects."""
    name = relative(mask, folder)
    try:
        opened = load_mask(open_mask(mask, max_pixels=rules.max_pixels), mask, rules)
    except MaskError as error:
        findings.refuse(error.must, error.found or name)
        return []
    numbers = np.asarray(opened)
    if numbers.ndim == 3 and seen is None:
        numbers = numbers[..., :3].max(2)
    if numbers.ndim != 2 or numbers.dtype.kind not in "bui":
        findings.refuse(
            "Every mask must be an image with one whole number for each pixel",
            f"{name}: {numbers.dtype} {numbers.shape}",
        )
        return []
    values = (numbers != 0).astype(np.uint8) if seen is None else numbers.astype(np.int64)
    present = [int(number) for number in np.unique(values) if number]
    if seen is None and not present:
        findings.repairable("Every mask must have a pixel", "empty masks left out", name)
    shapes, fills = [], []
    for number in present:
        pixels = values == number
        rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        where = name if seen is None else f"{name}: object {number}"
        part = pixels[top:bottom, left:right]
        fills.append(float(part.mean()))
        shapes.append(Shape(where, OBJECT, bitmap=Bitmap(int(left), int(top), part)))
    if seen is not None:
        seen.add(name, numbers, fills, findings)
    return shapes
