"""Image classification from sharded tars: train*.tar and val*.tar of pictures and labels, as webdataset has them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.folders import Listing
from ablata.data.image_folder import FolderImages, ImageFiles
from ablata.data.roots import find_root
from ablata.data.shard_index import Members, TarIndex, index_tar

LAYOUT = "tars *train*.tar and *val*.tar (or *test*.tar), and perhaps classes.txt with one name a line"
_VAL = ("*val*.tar", "*test*.tar")
_THREADS = 4


class Shards(ImageFiles):
    """Encoded pictures in tars, for sets of too many files: NAME.jpg with NAME.cls or NAME.json (`label`).

    Every sample has a number, so that any step and any process's share are read directly. Numbers follow the tars by
    name and the pictures in each. The fingerprint covers every picture's name, length and label and the class names,
    not the pixels: a picture exchanged for another of exactly its length goes unseen.
    """

    kind: Literal["shards"] = "shards"

    def build(self, cache: Path) -> FolderImages:
        """Find the tars and read their headers the first time.

        Raises:
            DataError: the tars are not there, one is wrong or cut short, or labels and class names do not fit.
        """
        root = find_root(self.root, default=None, fits=has_shards, layout=LAYOUT, cache=cache)
        with ThreadPoolExecutor(_THREADS) as pool:
            read = partial(index_tar, cache=cache)
            train, val = (list(pool.map(read, tars)) for tars in (sorted(root.glob("*train*.tar")), _val_tars(root)))
        classes = _classes(root, train, val)
        found = Listing(
            classes=classes,
            files={"train": Members(train), "val": Members(val)},
            labels={"train": _labels(train), "val": _labels(val)},
            hashed=[],
            notices=(),
        )
        return self.assemble(found, _fingerprint(classes, train, val), cache)


def has_shards(folder: Path) -> bool:
    """Tell whether a folder holds tars to train on and to evaluate on."""
    return bool(list(folder.glob("*train*.tar")) and _val_tars(folder))


def _val_tars(root: Path) -> list[Path]:
    found = (sorted(path for path in root.glob(pattern) if "train" not in path.name) for pattern in _VAL)
    return next((tars for tars in found if tars), [])


def _labels(tars: Sequence[TarIndex]) -> np.ndarray:
    return np.concatenate([tar.labels for tar in tars])


def _classes(root: Path, train: Sequence[TarIndex], val: Sequence[TarIndex]) -> tuple[str, ...]:
    """Return the class names by label: the lines of classes.txt, or the numbers."""
    file, labels = root / "classes.txt", _labels(train)
    count = int(labels.max()) + 1
    names = tuple(str(number) for number in range(count))
    if file.is_file():
        names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    for tar in (*train, *val):
        wrong = np.flatnonzero(tar.labels >= len(names))
        if len(wrong):
            raise DataError(
                f"Labels must be in 0..{len(names) - 1}",
                found=f"{tar.labels[wrong[0]]} of {tar.names[wrong[0]].decode()} in {tar.tar}",
                do="classes.txt must name every class, and validation can have none that training lacks",
            )
    unseen = np.setdiff1d(np.arange(len(names)), labels)
    if len(unseen):
        raise DataError(
            "Every class must have training pictures",
            found=f"none of {listing(names[number] for number in unseen[:5])} ({len(unseen)} such classes) in {root}",
            do="add pictures, or correct the labels or classes.txt",
        )
    return names


def _fingerprint(classes: Sequence[str], train: Sequence[TarIndex], val: Sequence[TarIndex]) -> str:
    """Return 64 hexadecimal digits over class names and every picture's name, length and label, in their order."""
    content = hashlib.sha256("\n".join(("shards", *classes)).encode())
    for source, tars in (("train", train), ("val", val)):
        content.update(f"\n{source}\n".encode())
        for tar in tars:
            for name, size, label in zip(tar.names.tolist(), tar.sizes.tolist(), tar.labels.tolist(), strict=True):
                content.update(b"%s\0%d\0%d\n" % (name, size, label))
    return content.hexdigest()
