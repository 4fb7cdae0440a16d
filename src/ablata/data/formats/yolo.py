"""YOLO's labels: a text file an image, a line an object: `class x y width height`, or `class x y x y x y ...`.

Numbers are fractions of the image; a box is written by its centre, a polygon by its points. Where images and labels lie
says data.yaml (Ultralytics, Roboflow), obj.data (Darknet, CVAT), or the folders alone: a label file lies beside its
image, or in `labels` where the image lies in `images`. An image without one, or with an empty one, has no objects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ablata.base.errors import DataError, choices
from ablata.base.files import read_text
from ablata.base.yaml_files import YamlFileError, read_plain_yaml
from ablata.data.detection.fields import FieldError, real, short
from ablata.data.detection.problems import Findings
from ablata.data.formats.description import Described, DescribedImage, Reading, Shape
from ablata.data.formats.places import images_under, relative, split_of_path, tail_below
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under
from ablata.data.labels.split_lists import split_name, splits_by_lists
from ablata.data.loading.shared_images import MUST

CENTER = "[center x, center y, width, height]"
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
"""Keys of data.yaml and obj.data."""
_NAME_LISTS = ("obj.names", "classes.txt", "classes.names", "names.txt", "data.names", "_darknet.labels",
               "predefined_classes.txt")  # fmt: skip
_NO_LABELS = {"classes.txt", "names.txt", "notes.txt", "readme.txt", "readme.roboflow.txt", "readme.dataset.txt",
              "predefined_classes.txt", "license.txt", "labels.txt"}  # fmt: skip
"""Text files that hold no labels."""
_FAR = 1.0
"""So far beyond the image's border, in its sides, a number may lie and still be a fraction."""


@dataclass(frozen=True)
class _Config:
    """What data.yaml or obj.data says.

    Attributes:
        file: where it stands; None: the folder has neither.
        names: the classes.
        sources: the entries of each split.
        base: the folder that paths start from, where the file names one.
        keypoints: numbers behind each box that stand for key points.
    """

    file: Path | None = None
    names: tuple[str, ...] = ()
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    base: str = ""
    keypoints: int = 0


def fits(folder: Path) -> bool:
    """Tell whether a folder holds YOLO's labels."""
    try:
        has_config = _config(folder).file is not None
    except DataError:
        return True  # refused with its reason where it is read
    labels = next(_label_files(folder), None)
    return labels is not None or (has_config and next(images_under(folder), None) is not None)


def describe(folder: Path, reading: Reading) -> Described:
    """Read a folder.

    Raises:
        DataError: data.yaml or a list of classes has no meaning.
    """
    config = _config(folder)
    images = _images(folder, config, reading)
    labels = {image: _label_file(folder, image) for image, _ in images}
    found = [label for label in labels.values() if label is not None]
    names = config.names or _listed_names(folder) or _numbered(folder, found, reading)
    lines = _LineReader(folder, names, config.keypoints, config.file)
    described = []
    for image, split in images:
        label = labels[image]
        shapes = [] if label is None else list(lines.read(label, reading.of(split)))
        described.append(DescribedImage(image, relative(image, folder), shapes, split, id=_id(image, folder)))
    _refuse_lone(folder, set(labels), set(found), reading.findings)
    lists = [] if config.file is None else [config.file]
    return Described(described, names, [*lists, *found], CENTER, fractions=True)


def class_names(folder: Path) -> tuple[str, ...]:
    """Return the classes that data.yaml or a list names; nothing where there is neither.

    Raises:
        DataError: it has no meaning.
    """
    return _config(folder).names or _listed_names(folder)


def _id(image: Path, folder: Path) -> str:
    return PurePosixPath(relative(image, folder)).stem


def _config(folder: Path) -> _Config:
    for file in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")], key=lambda one: (one.stem != "data", one.name)):
        found = _from_yaml(file)
        if found is not None:
            return found
    return next((_from_darknet(file) for file in sorted(folder.glob("*.data"))), _Config())


def _from_yaml(file: Path) -> _Config | None:
    """Return what a file says; None: it is another tool's.

    Raises:
        DataError: it is no YAML, or its names are none.
    """
    try:
        tree = read_plain_yaml(file)
    except (OSError, UnicodeDecodeError, YamlFileError) as error:
        if file.stem not in ("data", "dataset"):
            return None
        raise DataError("data.yaml must be YAML", found=f"{file}: {error}", do="correct the file") from None
    if not isinstance(tree, dict) or not any(key in tree for key in ("names", "nc")):
        return None
    sources: dict[str, list[str]] = {}
    for key, split in _SPLITS.items():
        value = tree.get(key)
        entries = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        sources.setdefault(split, []).extend(one for one in entries if isinstance(one, str) and one.strip())
    base = tree.get("path", "")
    names = _names(tree, file)
    return _Config(file, names, {k: v for k, v in sources.items() if v}, base if isinstance(base, str) else "",
                   _keypoints(tree, file))  # fmt: skip


def _names(tree: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    value = tree.get("names")
    if isinstance(value, dict):
        keys = list(value)
        if sorted(keys) != sorted(map(str, range(len(keys)))):
            raise DataError(
                "The class names of data.yaml must be numbered 0, 1, 2 ...",
                found=f"{file}: names of {short(keys)}",
                do="number them without a gap, or write names: [cat, dog]",
            )
        value = [value[str(number)] for number in range(len(keys))]
    if isinstance(value, str):
        value = [value]
    if value is None:
        value = [str(number) for number in range(_count(tree, file))]
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value) or not value:
        raise DataError("names must be the list of class names", found=f"{file}: names={short(value)}",
                        do="write names: [cat, dog]")  # fmt: skip
    names = tuple(one.strip() for one in value)
    if len(set(names)) < len(names):
        twice = next(one for one in names if names.count(one) > 1)
        raise DataError("Class names must differ", found=f"{file}: {twice} more than once", do="rename one of them")
    if "nc" in tree and _count(tree, file) != len(names):
        raise DataError("nc must be the number of names", found=f"{file}: nc={short(tree['nc'])}, {len(names)} names",
                        do="correct one of them")  # fmt: skip
    return names


def _count(tree: Mapping[str, Any], file: Path) -> int:
    value = tree.get("nc")
    if not isinstance(value, str) or not value.isdecimal() or len(value) > 5 or not int(value):
        raise DataError("nc must be the number of classes", found=f"{file}: nc={short(value)}",
                        do="write nc: NUMBER, or list the class names under names")  # fmt: skip
    return int(value)


def _keypoints(tree: Mapping[str, Any], file: Path) -> int:
    shape = tree.get("kpt_shape")
    if shape is None:
        return 0
    if not isinstance(shape, list) or not all(
        isinstance(one, str) and one.isdecimal() and len(one) < 6 for one in shape
    ):
        raise DataError("kpt_shape must be two whole numbers", found=f"{file}: kpt_shape={short(shape)}",
                        do="write kpt_shape: [17, 3], keypoints and numbers of each")  # fmt: skip
    return math.prod(map(int, shape))


def _from_darknet(file: Path) -> _Config:
    """Read obj.data: `classes = 2`, `names = data/obj.names`, `train = data/train.txt`."""
    sources: dict[str, list[str]] = {}
    try:
        pairs = (line.partition("=") for line in read_text(file).splitlines())
        tree = {key.strip(): value.strip() for key, _, value in pairs}
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("obj.data must be a text file", found=f"{file}: {error}", do="save it as UTF-8") from None
    for key, split in _SPLITS.items():
        if tree.get(key):
            sources.setdefault(split, []).append(tree[key])
    return _Config(file, (), sources)


def _listed_names(folder: Path) -> tuple[str, ...]:
    """Return the names in a list of classes, one a line.

    Raises:
        DataError: it is no text, or names a class twice.
    """
    places = (folder / below / name for name in _NAME_LISTS for below in (".", "labels", "train", "labels/train"))
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        return ()
    try:
        names = tuple(line.strip() for line in read_text(file).splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("A class list must be a text file", found=f"{file}: {error}", do="save it as UTF-8") from None
    if len(set(names)) < len(names):
        raise DataError("Class names must differ", found=f"{file}: {short(sorted(names))}", do="rename one of them")
    return names


def _numbered(folder: Path, labels: Sequence[Path], reading: Reading) -> tuple[str, ...]:
    """Return numbers as names where no list has them."""
    highest = -1
    for label in labels:
        try:
            firsts = [line.split()[0] for line in read_text(label).splitlines() if line.split()]
        except (OSError, UnicodeDecodeError):
            continue  # noted where its lines are read
        highest = max([highest, *(int(one) for one in firsts if one.isdecimal() and len(one) < 6)])
    reading.findings.remark(
        f"no list of classes (data.yaml, classes.txt) in {folder}: classes are called by their numbers"
    )
    return tuple(map(str, range(highest + 1)))


def _images(folder: Path, config: _Config, reading: Reading) -> list[tuple[Path, str]]:
    """Return the images with their splits, each once."""
    found: dict[Path, str] = {}
    trained = config.sources.get("train")
    for split, entries in config.sources.items():
        if split != "train" and entries == trained and config.file is not None:
            # As in the samples that come with Ultralytics: what is scored on would have been trained on.
            reading.findings.remark(
                f"{config.file.name} names the same images for train and {split}: its line {split} is not followed"
            )
            continue
        for entry in entries:
            for image in _of_entry(folder, config, split, entry, reading):
                if found.setdefault(image, split) != split:
                    reading.findings.refuse(MUST, f"{relative(image, folder)} is in {found[image]} and in {split}")
    if found:
        return list(found.items())
    images = list(images_under(folder))
    listed = splits_by_lists(folder, images, reading.findings.remark)
    return [(image, split_of_path(image, folder) or listed.get(image, "")) for image in images]


def _of_entry(folder: Path, config: _Config, split: str, entry: str, reading: Reading) -> Iterator[Path]:
    """Yield the images that an entry of data.yaml leads to: a folder, or a text file that lists images."""
    assert config.file is not None
    place = None
    for base in (folder / config.base, config.file.parent):
        candidate = base / entry
        if candidate.exists() and candidate.resolve().is_relative_to(folder.resolve()):
            place = candidate
            break
    where = f"{config.file.name}: {split}: {entry}"
    if place is None:
        place = tail_below(folder, entry, folders=2)
        if place is None:
            reading.of(split).refuse("Paths in data.yaml must lead to images below the folder of data.yaml", where)
            return
        reading.of(split).repairable("Paths in data.yaml must lead to images below the folder of data.yaml",
                                     "paths that lead elsewhere taken as paths below the folder",
                                     f"{where} as {relative(place, folder)}")  # fmt: skip
    if place.is_dir():
        yield from images_under(place)
    elif place.suffix.lower() in IMAGE_SUFFIXES:
        yield place
    else:
        yield from _listed(folder, place, reading.of(split))


def _listed(folder: Path, file: Path, findings: Findings) -> Iterator[Path]:
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        findings.refuse("A list of images must be a text file", f"{file}: {error}")
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            image = tail_below(folder, line.strip())
            if image is None:
                findings.refuse(
                    "Every listed image must exist", f"{relative(file, folder)}, line {number}: {line.strip()}"
                )
            else:
                yield image


def _label_file(folder: Path, image: Path) -> Path | None:
    """Return an image's label file; None: it has none."""
    return next((file for suffix in (".txt", ".TXT") if (file := _label_called(folder, image, suffix))), None)


def _label_called(folder: Path, image: Path, suffix: str) -> Path | None:
    name = f"{image.stem}{suffix}"
    candidates = [image.with_suffix(suffix)]
    parts = image.relative_to(folder).parts if image.is_relative_to(folder) else ()
    for at in reversed(range(len(parts) - 1)):
        if parts[at].lower() in ("images", "imgs", "image"):
            candidates.insert(0, folder.joinpath(*parts[:at], "labels", *parts[at + 1 : -1], name))
            break
    candidates.append(image.parent.parent / "labels" / image.parent.name / name)
    candidates.append(image.parent / "labels" / name)
    return next((file for file in candidates if file.is_file()), None)


def _label_files(folder: Path) -> Iterator[Path]:
    """Yield text files that may hold labels: those whose first line is a class and numbers, or in a folder `labels`."""
    for file in files_under(folder):
        if file.suffix.lower() == ".txt" and file.name.lower() not in _NO_LABELS and not split_name(file.stem):
            try:
                with file.open(encoding="utf-8-sig") as stream:
                    words = stream.readline(4096).split()
            except (OSError, UnicodeDecodeError):
                continue
            if len(words) >= 5 and all(map(_is_number, words)):
                yield file


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(real(word))
    except ValueError:
        return False


def _refuse_lone(folder: Path, listed: set[Path], used: set[Path], findings: Findings) -> None:
    """Refuse label files that hold objects and have no image, in a split or in none."""
    left = (image for image in images_under(folder) if image not in listed)
    used = used | {label for image in left if (label := _label_file(folder, image))}
    for file in _label_files(folder):
        if file not in used:
            findings.refuse("Every label file must have its image", relative(file, folder))


@dataclass(frozen=True)
class _LineReader:
    """Reads label files.

    Attributes:
        folder: of the set.
        names: the classes by number.
        keypoints: numbers behind each box.
        source: the file that lists the classes.
    """

    folder: Path
    names: Sequence[str]
    keypoints: int
    source: Path | None

    def read(self, file: Path, findings: Findings) -> Iterator[Shape]:
        """Yield the objects of a label file whose lines can be read; others are refused."""
        name = relative(file, self.folder)
        try:
            lines = read_text(file).splitlines()
        except (OSError, UnicodeDecodeError) as error:
            findings.refuse("Label files must be text in UTF-8", f"{name}: {error}")
            return
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{name}, line {number}"
            try:
                yield self._shape(line.split(), where, findings)
            except FieldError as error:
                findings.refuse(error.must, error.found)

    def _shape(self, words: Sequence[str], where: str, findings: Findings) -> Shape:
        label = self._label(words[0], where, findings)
        numbers = [_fraction(word, where) for word in words[1 : 5 if self.keypoints else None]]
        count = len(words) - 1
        if count == 4 or (self.keypoints and count == 4 + self.keypoints):
            return Shape(where, label, box=tuple(numbers))
        if count == 5:
            raise FieldError(
                "A line must be a class and four numbers, or a class and the points of a polygon",
                f"{where}: five numbers; if the last is a score, these are predictions and no labels",
            )
        if count < 4 or count % 2 or self.keypoints:
            raise FieldError("A line must be a class and four numbers, or a class and the points of a polygon",
                             f"{where}: {count} numbers after the class")  # fmt: skip
        return Shape(where, label, polygons=(tuple(numbers),))

    def _label(self, word: str, where: str, findings: Findings) -> str:
        if not _is_number(word) or float(word) != int(float(word)):
            raise FieldError("The class of a line must be a whole number", f"{where} class={short(word)}")
        number = int(float(word))
        if not word.isdecimal():
            must, done = (
                "Whole numbers must be written without quotation marks or decimals",
                "whole numbers written as text or with decimals taken as whole numbers",
            )
            findings.repairable(must, done, f"{where} class={word} as {number}")
        if not 0 <= number < len(self.names):
            known = choices(map(str, range(len(self.names))), number)
            source = f" by {self.source.name}" if self.source is not None else ""
            raise FieldError(
                f"The class of a line must be one of the listed classes ({known}{source})", f"{where} class={number}"
            )
        return self.names[number]


def _fraction(word: str, where: str) -> float:
    if not _is_number(word):
        raise FieldError("Coordinates must be finite numbers", f"{where}: {short(word)}")
    value = float(word)
    if not -_FAR <= value <= 1 + _FAR:
        raise FieldError("Boxes and polygons must be fractions of the image, 0 to 1, not pixels", f"{where}: {word}")
    return value
