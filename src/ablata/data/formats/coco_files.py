"""COCO's JSON in any number of files: one a split, several a split, or one for all, which a rule divides.

Which split a file is of says its name or its folder. Categories are joined by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ablata.base.errors import DataError, choices, listing
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Reading
from ablata.data.formats.places import find_image, head_of, json_files, relative, split_of_path
from ablata.data.io.walk import is_name
from ablata.data.labels.split_lists import split_name, splits_by_lists

if TYPE_CHECKING:
    from ablata.data.detection.coco_json import ListedImage
    from ablata.data.formats.reading import ReadImage, ReadSet

_PART = re.compile(r"[^a-zA-Z]+")
_KEYS = ('"images"', '"annotations"', '"categories"')


def fits(folder: Path) -> bool:
    """Tell whether a folder holds COCO's files."""
    return next(iter(_trees(folder)), None) is not None


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the categories of all files, by the numbers of the first that lists them.

    Raises:
        DataError: a file's categories have no meaning.
    """
    from ablata.data.detection.coco_json import read_categories

    quiet = Findings("repair")
    return _classes([read_categories(tree, str(path), quiet) for path, tree in _trees(folder).items()])


def _classes(listed: Sequence[Mapping[int, str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one[number] for one in listed for number in sorted(one)))


def _trees(folder: Path) -> dict[Path, Mapping[str, Any]]:
    """Return the files that are COCO's, with their content."""
    found: dict[Path, Mapping[str, Any]] = {}
    for file in json_files(folder):
        head = head_of(file)
        if head.lstrip().startswith("{") and any(key in head for key in (*_KEYS, '"info"', '"licenses"')):
            from ablata.data.detection.coco_json import RepeatedFieldError, drop_root_category, read_tree

            try:
                found[file] = drop_root_category(read_tree(file))
            except RepeatedFieldError:
                raise
            except DataError:
                continue  # another tool's, or damaged: then another file or none tells what the folder is
    return found


def split_of_file(file: Path, folder: Path) -> str:
    """Return the split that a file is of: `train.json`, `instances_val2017.json`, `valid/_annotations.coco.json`."""
    for word in reversed(_PART.split(re.sub(r"\d{4}", "", file.stem))):
        if split := split_name(word):
            return split
    return split_of_path(file, folder)


def read(folder: Path, reading: Reading) -> ReadSet:
    """Read a folder; see `read_described`, which reads other formats.

    Raises:
        DataError: a file's categories have no meaning, or are others than those that are wanted.
    """
    from ablata.data.detection.coco_json import read_categories
    from ablata.data.formats.reading import ReadSet

    trees = _trees(folder)
    categories = {
        path: read_categories(tree, relative(path, folder), reading.of(split_of_file(path, folder)))
        for path, tree in trees.items()
    }
    classes = reading.classes or _classes(list(categories.values()))
    images: list[ReadImage] = []
    maskless: list[str] = []
    for path, tree in trees.items():
        made, bare = _file(folder, path, tree, categories[path], classes, reading)
        images += made
        maskless += bare
    both = _in_both(images)
    if both:
        reading.findings.refuse(
            "Every image must be listed in one annotation file only", f"{listing(both[:3])} in several"
        )
    lists = splits_by_lists(folder, [image.file for image in images], reading.findings.remark)
    images = [type(one)(one.file, one.entry, one.split or lists.get(one.file, "")) for one in images]
    numbers = [{name: number for number, name in one.items()} for one in categories.values()]
    same = all(one == numbers[0] for one in numbers) and set(numbers[0]) == set(classes)
    ids = [numbers[0][name] for name in classes] if same else None
    return ReadSet(images, classes, list(trees), maskless, ids)


def _in_both(images: Sequence[ReadImage]) -> list[str]:
    seen: dict[Path, None] = {}
    twice = []
    for image in images:
        if image.file in seen:
            twice.append(str(image.file))
        seen[image.file] = None
    return twice


def _file(
    folder: Path, path: Path, tree: Mapping[str, Any], categories: Mapping[int, str], classes: Sequence[str],
    reading: Reading,
) -> tuple[list[ReadImage], list[str]]:  # fmt: skip
    from ablata.data.detection.coco_json import ObjectReader, read_images
    from ablata.data.detection.files import check_files
    from ablata.data.formats.reading import ReadImage

    name, split = relative(path, folder), split_of_file(path, folder)
    findings = reading.of(split)
    if unknown := sorted(set(categories.values()) - set(classes)):
        raise DataError("Categories must be the classes of the training set, matched by name",
                        found=f"{name}: {listing(unknown[:4])}",
                        do=f"the classes are {choices(classes, unknown[0])}")  # fmt: skip
    listed = read_images(tree, name, findings)
    beside = (path.parent, path.parent / "images", folder / split if split else folder, folder / "images",
              folder / "images" / split, *(folder / f"{split}{year}" for year in (2014, 2017)))  # fmt: skip
    files = [_image(folder, image, beside, name, findings) for image in listed]
    sizes = check_files(files, [image.size for image in listed], findings, reading.rules)
    labels = {number: list(classes).index(own) for number, own in categories.items()}
    reader = ObjectReader(name, labels, listed, sizes, findings, reading.keep_written)
    entries = reader.read(tree["annotations"])
    return [ReadImage(file, entry, split) for file, entry in zip(files, entries, strict=True)], reader.maskless


def _image(folder: Path, image: ListedImage, beside: Sequence[Path], name: str, findings: Findings) -> Path:
    """Return the file of an image; one that is missing as it is named, for `check_files` to refuse."""
    written = image.file_name
    path = PurePosixPath(written.replace("\\", "/"))
    if ".." in path.parts or not is_name(written):
        findings.refuse(
            "Image names must be paths below the image folder, without ..", f"{name}: image {image.id}: {written!r}"
        )
        return folder / "outside"
    found = find_image(folder, written, *beside)
    if found is None and path.is_absolute():
        findings.refuse("Every annotated image must exist", f"{name}: image {image.id}: {written!r}")
    if found is None:
        return folder / path.relative_to(path.anchor)
    if not found.as_posix().endswith(written):
        done = "names with backslashes, %20 or other folders read as those of files"
        where = f"{name}: image {image.id}: {written!r} as {relative(found, folder)}"
        findings.repairable("Image names must be paths with / between folders", done, where)
    return found
