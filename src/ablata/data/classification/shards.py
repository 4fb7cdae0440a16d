"""Image classification from sharded tars: train*.tar and val*.tar of images and labels, as webdataset has them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError
from ablata.data.classification.file_list import Listing, screen
from ablata.data.classification.folder_images import LabeledFiles, assemble
from ablata.data.classification.image_files import ImageFiles
from ablata.data.classification.inspection import inspect
from ablata.data.classification.problems import Finding
from ablata.data.classification.shard_index import Members, TarIndex, index_key, index_tar
from ablata.data.loading.cache import combined
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import Source

LAYOUT = "tars *train*.tar and *val*.tar (or *test*.tar), and perhaps classes.txt with one name a line"
_VAL = ("*val*.tar", "*test*.tar")
_THREADS = 4
_NONE = np.zeros(0, np.int64)


class Shards(ImageFiles):
    """Encoded images in tars, for sets of too many files: NAME.jpg with NAME.cls or NAME.json (`label`).

    Every sample has a number, so that any step and any process's share are read directly. Numbers follow the tars by
    name and the images in each. The fingerprint covers every image's name, length and label and the class names,
    not the pixels: an image exchanged for another of exactly its length goes unseen.
    """

    kind: Literal["shards"] = "shards"

    def listed(self, cache: Path) -> Listing:
        """Find the tars and list their samples, usable or not; headers are read the first time.

        Raises:
            DataError: the tars are not there.
        """
        return _list_shards(find_root(self.root, default=None, fits=has_shards, layout=LAYOUT, cache=cache), cache)

    def build(self, cache: Path) -> LabeledFiles:
        """Find the tars, read their headers and decode their images the first time, to see which can be used.

        Raises:
            DataError: the tars are not there, or what the settings refuse is.
        """
        found = self.listed(cache)
        seen = {
            source: inspect(files, _stamp(files.tars), cache)
            for source, files in found.files.items()
            if isinstance(files, Members)
        }
        left = screen(found, seen, on_invalid=self.on_invalid, on_small=self.on_small, side=self.size)
        return assemble(self, left, _fingerprint(found, left), cache)


def has_shards(folder: Path) -> bool:
    """Tell whether a folder holds tars to train on and to evaluate on."""
    return bool(list(folder.glob("*train*.tar")) and _val_tars(folder))


def _val_tars(root: Path) -> list[Path]:
    found = (sorted(path for path in root.glob(pattern) if "train" not in path.name) for pattern in _VAL)
    return next((tars for tars in found if tars), [])


def _list_shards(root: Path, cache: Path) -> Listing:
    tars: dict[Source, list[Path]] = {"train": sorted(root.glob("*train*.tar")), "val": _val_tars(root)}
    findings: list[Finding] = []
    whole: dict[Source, list[TarIndex]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for source, paths in tars.items():
            read = list(pool.map(partial(_indexed, cache=cache), paths))
            whole[source] = [index for index in read if isinstance(index, TarIndex)]
            findings += [
                Finding("unreadable", file.relative_to(root).as_posix(), index)
                for file, index in zip(paths, read, strict=True)
                if isinstance(index, str)
            ]
    labels = {source: np.concatenate([_NONE, *(tar.labels for tar in found)]) for source, found in whole.items()}
    names = _names(root, labels["train"])
    for source, found in whole.items():
        findings += _of_no_class(root, found, len(names))
        labels[source] = np.where(labels[source] < len(names), labels[source], -1)
        unseen = np.setdiff1d(np.arange(len(names)), labels[source])
        findings += [Finding("empty class", f"{source}, class {names[number]}", "no images") for number in unseen]
    files = {source: Members(found) for source, found in whole.items()}
    return Listing(root=root, ids=names, classes=names, files=files, labels=labels, findings=tuple(findings))


def _indexed(tar: Path, cache: Path) -> TarIndex | str:
    """Return a tar's index, or why it has none."""
    try:
        return index_tar(tar, cache)
    except DataError as error:
        return f"{(error.found or '').removeprefix(f'{tar}: ')}; {error.must[0].lower()}{error.must[1:]}"


def _names(root: Path, labels: np.ndarray) -> tuple[str, ...]:
    """Return the class names by label: the lines of classes.txt, or the numbers up to the highest in train."""
    file = root / "classes.txt"
    if file.is_file():
        return tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return tuple(str(number) for number in range(int(labels.max(initial=-1)) + 1))


def _of_no_class(root: Path, tars: Sequence[TarIndex], count: int) -> list[Finding]:
    return [
        Finding(
            "unknown class",
            f"{tar.tar.relative_to(root).as_posix()}: {tar.names[row].decode()}",
            f"label {tar.labels[row]}, labels must be in 0..{count - 1} (as many as classes.txt or train has)",
        )
        for tar in tars
        for row in np.flatnonzero(tar.labels >= count)
    ]


def _stamp(tars: Sequence[TarIndex]) -> str:
    """Return 32 hexadecimal digits that change with the place, size or time of any of the tars."""
    return combined([index_key(tar.tar) for tar in tars])[:32]


def _fingerprint(found: Listing, left: Listing) -> str:
    """Return 64 hexadecimal digits over class names and every image's name, length and label, in their order, and
    over what was left out."""
    content = hashlib.sha256("\n".join(("shards", *left.classes)).encode())
    for source, files in found.files.items():
        content.update(f"\n{source}\n".encode())
        for tar in files.tars if isinstance(files, Members) else ():
            for name, size, label in zip(tar.names.tolist(), tar.sizes.tolist(), tar.labels.tolist(), strict=True):
                content.update(b"%s\0%d\0%d\n" % (name, size, label))
    for one in left.left_out:
        content.update(f"without {one.where}\n".encode())
    return content.hexdigest()
