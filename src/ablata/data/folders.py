"""Listing folders of images: which files are images, of which class, and what else lies there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, listing, nearest
from ablata.data.stored import Member

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
LAYOUT = "folders train/CLASS and val/CLASS (or validation, or test) of image files, and perhaps classes.txt"
_VAL = ("val", "validation", "test")


@dataclass(frozen=True)
class Listing:
    """The images of a data set.

    Attributes:
        classes: names by label; folder names in their order, replaced by those of classes.txt where it has them.
        files: train and val; those of folders sorted by class and name.
        labels: int64, one a file.
        hashed: every file of a folder that belongs to the content: images and classes.txt.
        notices: ignored files, counted and named; classes without validation images.
    """

    classes: tuple[str, ...]
    files: Mapping[Literal["train", "val"], Sequence[Path | Member]]
    labels: dict[Literal["train", "val"], np.ndarray]
    hashed: list[Path]
    notices: tuple[str, ...]


def has_layout(folder: Path) -> bool:
    """Tell whether a folder has train and val (or validation, or test), both with class folders in them."""
    val = _val_folder(folder)
    return val is not None and bool(_subfolders(folder / "train")) and bool(_subfolders(val))


def list_folder(root: Path) -> Listing:
    """List the images under a root that has the layout.

    Raises:
        DataError: a class has no training image, a validation class is not a training class, or classes.txt has a line
            without a name.
    """
    val = _val_folder(root) or root / "val"
    ids = [folder.name for folder in _subfolders(root / "train")]
    unknown = [folder.name for folder in _subfolders(val) if folder.name not in ids]
    if unknown:
        close = nearest(unknown[0], ids)
        raise DataError(
            "Every validation class must be a training class",
            found=f"{listing(unknown[:5])} in {val}",
            do=f"did you mean {close}?" if close else f"training has {listing(ids[:10])}",
        )
    train_files, train_labels, train_junk = _images(root / "train", ids)
    val_files, val_labels, val_junk = _images(val, ids)
    empty = sorted(set(range(len(ids))) - set(train_labels))
    if empty:
        raise DataError(
            "Every class folder must hold training images",
            found=f"none in {root / 'train' / ids[empty[0]]} ({len(empty)} such folders)",
            do=f"add images ({listing(sorted(SUFFIXES))}) or remove the folder",
        )
    names_file = root / "classes.txt"
    names = _names(names_file) if names_file.is_file() else {}
    unseen = [ids[label] for label in sorted(set(range(len(ids))) - set(val_labels))]
    notices = _notices(root, [*train_junk, *val_junk])
    if unseen:
        notices.append(f"{len(unseen)} classes have no validation images: {listing(unseen[:10])}")
    return Listing(
        classes=tuple(names.get(name, name) for name in ids),
        files={"train": train_files, "val": val_files},
        labels={"train": np.array(train_labels, np.int64), "val": np.array(val_labels, np.int64)},
        hashed=[*train_files, *val_files, *([names_file] if names else [])],
        notices=tuple(notices),
    )


def _val_folder(root: Path) -> Path | None:
    return next((root / name for name in _VAL if (root / name).is_dir()), None)


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path, ids: list[str]) -> tuple[list[Path], list[int], list[Path]]:
    """Return image files, their labels, and the other files, in the order of classes and names."""
    files: list[Path] = []
    labels: list[int] = []
    junk: list[Path] = []
    for label, name in enumerate(ids):
        found = sorted(Path(where) / file for where, _, inside in os.walk(folder / name) for file in inside)
        images = [file for file in found if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")]
        files += images
        labels += [label] * len(images)
        junk += sorted(set(found) - set(images))
    return files, labels, junk


def _names(file: Path) -> dict[str, str]:
    """Read classes.txt: one `ID name` a line."""
    names: dict[str, str] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        key, _, name = line.strip().partition(" ")
        if key and not name:
            raise DataError("Every line of classes.txt must be `ID name`", found=f"{file}, line {number}: {line}")
        if key:
            names[key] = name.strip()
    return names


def _notices(root: Path, junk: list[Path]) -> list[str]:
    if not junk:
        return []
    shown = listing(file.relative_to(root).as_posix() for file in junk[:5])
    return [f"{len(junk)} files are no images and are ignored: {shown}{', ...' if len(junk) > 5 else ''}"]
