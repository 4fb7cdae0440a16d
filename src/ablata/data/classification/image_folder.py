"""The folder layout of ImageNet and its subsets: train/CLASS/*.jpg and val/CLASS/*.jpg, listed and built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, nearest
from ablata.base.files import read_text
from ablata.data.classification.file_list import Listing, screen
from ablata.data.classification.image_files import ImageFileDataset, ImageFileSettings, assemble
from ablata.data.classification.inspection import ImageFinding, inspect_images
from ablata.data.io.bit_depth import refuse_dark
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under, refuse_names
from ablata.data.loading.cache import file_digests, folder_digest
from ablata.data.loading.locate import find_root
from ablata.data.loading.shared_images import tell_contrary, tell_shared
from ablata.data.loading.splits import SOURCES, Source

LAYOUT = "folders train/CLASS and val/CLASS (or valid, validation, or test) of image files, and perhaps classes.txt"
_TEST = "test"
_VAL = ("val", "valid", "validation", "test")


def has_layout(folder: Path) -> bool:
    """Tell whether a folder has train and val (or valid, validation, or test), both with class folders in them."""
    train, val = _split_folder(folder, "train"), _split_folder(folder, *_VAL)
    return train is not None and val is not None and bool(_subfolders(train)) and bool(_subfolders(val))


def train_folder(root: Path) -> Path:
    """Return the folder of the classes to train on, whatever letters its name is written in."""
    return _split_folder(root, "train") or root / "train"


def list_folder(root: Path) -> Listing:
    """List the images under a root that has the layout, and what is wrong with its classes.

    Raises:
        DataError: classes.txt has a line without a name.
    """
    train, val = train_folder(root), _split_folder(root, *_VAL) or root / "val"
    ids = [folder.name for folder in _subfolders(train)]
    train_files, train_labels, train_junk = _images(train, ids)
    val_files, val_labels, val_junk = _images(val, ids)
    names_file = root / "classes.txt"
    names = _names(names_file) if names_file.is_file() else {}
    sources: dict[Source, tuple[list[Path], list[int]]] = {
        "train": (train_files, train_labels),
        "val": (val_files, val_labels),
    }
    test = _split_folder(root, _TEST) or root / _TEST
    tested = val != test and _subfolders(test)
    if tested:
        test_files, test_labels, test_junk = _images(test, ids)
        sources["test"], val_junk = (test_files, test_labels), [*val_junk, *test_junk]
    there, trained, scored = {folder.name for folder in _subfolders(val)}, set(train_labels), set(val_labels)
    findings = [
        *(_unknown(f"{val.name}/{name}", name, ids) for name in sorted(there - set(ids))),
        *(_unknown(f"{test.name}/{one.name}", one.name, ids) for one in tested or () if one.name not in ids),
        *(_empty(f"{train.name}/{ids[label]}", True) for label in range(len(ids)) if label not in trained),
        *(_empty(f"{val.name}/{name}", name in there) for label, name in enumerate(ids) if label not in scored),
    ]
    return Listing(
        root=root,
        ids=tuple(ids),
        classes=tuple(names.get(name, name) for name in ids),
        files={source: files for source, (files, _) in sources.items()},
        labels={source: np.array(labels, np.int64) for source, (_, labels) in sources.items()},
        hashed=[*train_files, *val_files, *([names_file] if names else [])],
        ignored=tuple(file.relative_to(root).as_posix() for file in (*train_junk, *val_junk)),
        findings=tuple(findings),
        outside=_outside(root, {train.name, val.name, *([test.name] if tested else [])}),
    )


def _outside(root: Path, taken: set[str]) -> tuple[str, ...]:
    """Return the images that lie in no class folder: beside the folders of the splits, or directly in one of them."""
    places = [entry for entry in sorted(root.iterdir()) if entry.is_dir() and entry.name[0] != "."]
    loose = [
        file for folder in (root, *(place for place in places if place.name in taken)) for file in folder.iterdir()
    ]
    beside = [file for place in places if place.name not in taken for file in files_under(place)]
    return tuple(
        file.relative_to(root).as_posix()
        for file in sorted(loose) + beside
        if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "." and file.is_file()
    )


def _unknown(where: str, name: str, ids: list[str]) -> ImageFinding:
    close = nearest(name, ids)
    return ImageFinding("unknown class", where, "not in train" + (f"; did you mean {close}?" if close else ""))


def _empty(where: str, is_there: bool) -> ImageFinding:
    return ImageFinding("empty class", where, "no image files" if is_there else "no such folder")


def _split_folder(root: Path, *names: str) -> Path | None:
    """Return the first folder of these names, in small letters or others."""
    if not root.is_dir():
        return None
    there = {entry.name.lower(): entry for entry in sorted(root.iterdir()) if entry.is_dir()}
    return next((there[name] for name in names if name in there), None)


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    refuse_names((entry.name for entry in found), folder)
    return found


def _images(folder: Path, ids: list[str]) -> tuple[list[Path], list[int], list[Path]]:
    """Return image files, their labels, and the other files, in the order of classes and names."""
    files: list[Path] = []
    labels: list[int] = []
    junk: list[Path] = []
    for label, name in enumerate(ids):
        found = files_under(folder / name)
        images = [file for file in found if file.suffix.lower() in IMAGE_SUFFIXES]
        files += images
        labels += [label] * len(images)
        junk += sorted(set(found) - set(images))
    return files, labels, junk


def _names(file: Path) -> dict[str, str]:
    """Read classes.txt: one `ID name` a line."""
    names: dict[str, str] = {}
    try:
        lines = read_text(file).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("classes.txt must be a text file", found=f"{file}: {error}", do="save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        key, _, name = line.strip().partition(" ")
        if key and not name:
            raise DataError(
                "Every line of classes.txt must be `ID name`",
                found=f"{file}, line {number}: {line}",
                do="write the folder's name, a blank, and the name of its class",
            )
        if key:
            names[key] = name.strip()
    return names


class ImageFolder(ImageFileSettings):
    """Image folder: one folder of image files a class, under train/ and val/ (or validation/ or test/)."""

    kind: Literal["image_folder"] = "image_folder"

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return has_layout(folder)

    def listed(self, cache: Path) -> Listing:
        """Find the folder and list all that lies there, usable or not.

        Raises:
            DataError: the layout is not there.
        """
        return list_folder(find_root(self.root, default=None, fits=has_layout, layout=LAYOUT, cache=cache))

    def build(self, cache: Path) -> ImageFileDataset:
        """Find and list the files; hash and decode each of them the first time, to see whether it can be used.

        Raises:
            DataError: the layout is not there, or what the settings refuse is.
        """
        found, rules = self.listed(cache), self.image_rules()
        digests = {source: folder_digest(found.root, found.hashed, cache) for source in SOURCES}
        if test := found.files.get("test"):
            digests["test"] = folder_digest(found.root, [file for file in test if isinstance(file, Path)], cache)
        seen = {
            source: inspect_images(files, f"{digests[source][:32]}-{source}", cache, rules)
            for source, files in found.files.items()
        }
        refuse_dark((int(value) for file in seen.values() for value in file.highest), says_depth=rules.says_depth)
        left = screen(found, seen, on_invalid=self.on_invalid, on_small=self.on_small, side=self.size)
        contents = file_digests(left.root, [file for file in left.hashed if file.is_file()], cache)
        train, val = ([file for file in left.files[source] if isinstance(file, Path)] for source in SOURCES)
        both = tell_contrary(train, left.labels["train"].tolist(), contents)
        left = replace(left, shared=(*tell_shared(train, val, contents), *both))
        data = assemble(self, left, folder_digest(left.root, left.hashed, cache), cache)
        data.test_digest = digests.get("test", "")
        return data
