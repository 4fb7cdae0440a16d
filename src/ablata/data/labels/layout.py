"""Finding the images and label files of a folder: which belong together, in which split and source folder.

Understood are IMAGES/SPLIT with LABELS/SPLIT, SPLIT/IMAGES with SPLIT/LABELS, and IMAGES with LABELS alone; what lies
further down is a source folder. IMAGES and LABELS are folders of usual names, or of the names that are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablata.base.errors import DataError, listing
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.loading.locate import find_root

IMAGES = ("images", "image", "imgs", "img", "JPEGImages", "jpg")
LABELS = ("labels", "label", "masks", "mask", "annotations", "annotation", "gt", "stuffthingmaps", "SegmentationClass",
          "SegmentationClassContext")  # fmt: skip
LAYOUT = "images (or images/train and images/val) with labels (or masks) of the same names beside them"
_SPLITS = ("train", "val", "test")
_SPLIT = re.compile(r"(train|val|test)(?:ing|id|idation)?(?:\d{4})?")
_LABEL_SUFFIXES = IMAGE_SUFFIXES | {".gif"}


@dataclass(frozen=True)
class Sample:
    """An image and its label file.

    Attributes:
        split: train, val, test, or nothing where the folder is not split.
        folder: source folder: where the file lies below its split's folder; nothing at the top.
        name: the path below the split's folder without its suffix.
        image: the image, or None.
        label: its label file, or None.
    """

    split: str
    folder: str
    name: str
    image: Path | None
    label: Path | None


@dataclass(frozen=True)
class LabeledFolder:
    """The files of a folder.

    Attributes:
        root: the folder.
        samples: by split, then name.
        strays: files that are no images.
        twins: files of one name and different suffixes, of which the first counts.
    """

    root: Path
    samples: tuple[Sample, ...]
    strays: tuple[Path, ...]
    twins: tuple[Path, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits there are, train first; one empty name where the folder is not split."""
        return tuple(dict.fromkeys(sample.split for sample in self.samples))


@dataclass(frozen=True)
class FolderNames:
    """What the folders of images and of label files are called; None: the usual names."""

    images: str | None = None
    labels: str | None = None


USUAL = FolderNames()


def find_labeled_folder(root: str, names: FolderNames, cache: Path) -> LabeledFolder:
    """List the images and label files of a folder.

    Args:
        root: the folder, a zip of it, or its name under ABLATA_DATA.
        names: what the folders inside are called.
        cache: where zips are unpacked.

    Raises:
        DataError: there is no such folder, it has not the layout, or it is empty.
    """
    layout = LAYOUT
    if names.labels or names.images:
        layout = f"{names.images or 'images'} with {names.labels or 'labels'} of the same names beside it"
    place = find_root(root, default=None, fits=lambda folder: is_labelled(folder, names), layout=layout, cache=cache)
    found = list_labelled(place, names)
    if not any(sample.label for sample in found.samples):
        suffixes = listing(sorted(_LABEL_SUFFIXES))
        raise DataError("A folder of label files must hold some", found=f"{place}: none of {suffixes}")
    return found


def list_labelled(root: Path, names: FolderNames = USUAL) -> LabeledFolder:
    """List the images and label files of a folder that has the layout."""
    samples: list[Sample] = []
    strays: list[Path] = []
    twins: list[Path] = []
    for split, images, labels in _places(root, names):
        found, masks = _Named(images, IMAGE_SUFFIXES), _Named(labels, _LABEL_SUFFIXES)
        for name in sorted(found.files.keys() | masks.files.keys()):
            folder = name.rpartition("/")[0]
            samples.append(Sample(split, folder, name, found.files.get(name), masks.files.get(name)))
        strays += found.strays + masks.strays
        twins += found.twins + masks.twins
    return LabeledFolder(root, tuple(samples), tuple(strays), tuple(twins))


def is_labelled(folder: Path, names: FolderNames = USUAL) -> bool:
    """Tell whether a folder has the layout."""
    return bool(_places(folder, names))


def layout_splits(folder: Path, names: FolderNames = USUAL) -> set[str]:
    """Return the splits of a folder that has the layout, without listing its files."""
    return {split for split, _, _ in _places(folder, names)}


class _Named:
    """The image files under a folder by name without suffix, and the others."""

    def __init__(self, folder: Path, suffixes: Iterable[str]) -> None:
        self.files: dict[str, Path] = {}
        self.strays: list[Path] = []
        self.twins: list[Path] = []
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            if file.name.startswith(".") or not file.is_file():
                continue
            name = file.relative_to(folder).with_suffix("").as_posix()
            if file.suffix.lower() not in suffixes:
                self.strays.append(file)
            elif name in self.files:
                self.twins.append(file)
            else:
                self.files[name] = file


def _places(root: Path, names: FolderNames) -> list[tuple[str, Path, Path]]:
    """Return split, folder of images and folder of label files, train first; nothing where the layout is another."""
    images = (names.images,) if names.images else IMAGES
    labels = (names.labels,) if names.labels else LABELS
    pair = _pair(root, images, labels)
    if pair:
        splits = sorted({*_split_folders(pair[0]), *_split_folders(pair[1])}, key=_rank)
        below = [(split_name(split), pair[0] / split, pair[1] / split) for split in splits]
        return below or [("", *pair)]
    inside = ((split, _pair(root / split, images, labels)) for split in sorted(_split_folders(root), key=_rank))
    return [(split_name(split), *found) for split, found in inside if found]


def _pair(folder: Path, images: Iterable[str], labels: Iterable[str]) -> tuple[Path, Path] | None:
    found = [next((folder / name for name in names if (folder / name).is_dir()), None) for names in (images, labels)]
    return (found[0], found[1]) if found[0] and found[1] else None


def _split_folders(folder: Path) -> list[str]:
    return (
        [entry.name for entry in folder.iterdir() if entry.is_dir() and split_name(entry.name)]
        if folder.is_dir()
        else []
    )


def split_name(folder: str) -> str:
    """Return train, val or test for folder names like `training` or `val2017`; nothing for others."""
    match = _SPLIT.fullmatch(folder.lower())
    return match[1] if match else ""


def _rank(folder: str) -> tuple[int, str]:
    return _SPLITS.index(split_name(folder)), folder
