"""Writing tar shards: an image folder packed into train-*.tar and val-*.tar."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablata.base.errors import DataError
from ablata.base.files import write_text
from ablata.base.seeds import derive
from ablata.data.classification.file_list import Listing, refuse
from ablata.data.classification.image_folder import LAYOUT, has_layout, list_folder
from ablata.data.io.file_slice import content_of
from ablata.data.loading.cache import build_once, require_space
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import SOURCES, Source

_OVERHEAD = 3072
"""Bytes that a sample takes in a tar beside its image, at most: two headers, a label, padding."""


@dataclass(frozen=True)
class Packed:
    """What writing shards gave.

    Attributes:
        samples: images by source.
        tars: tars by source.
        notices: what was left out.
    """

    samples: dict[str, int]
    tars: dict[str, int]
    notices: tuple[str, ...]


def pack_folder(folder: str, target: Path, cache: Path, tar_bytes: int) -> Packed:
    """Write train-*.tar and val-*.tar, with classes.txt, into a new folder.

    Images keep their bytes. Training images are mixed, in an order that is always the same, so that readers which
    take tars from the start see all classes; equal folders give equal tars. A kill leaves nothing under the name.

    Args:
        folder: an image folder, or a zip of it, as `data.root`.
        target: the folder to make.
        cache: where zips are unpacked.
        tar_bytes: about how many bytes of images go into a tar.

    Raises:
        DataError: the folder has not the layout, the target is there already, or the disk has too little room.
    """
    if target.exists():
        raise DataError(
            "Shards are written to a new folder", found=f"{target} is there", do="name another, or remove it"
        )
    root = find_root(folder, default=None, fits=has_layout, layout=LAYOUT, cache=cache)
    found, tars = list_folder(root), {}
    refuse(root, found.findings)
    _refuse_full_disk(target, found)

    def fill(draft: Path) -> None:
        """Write the tars of each source, and the names of the classes."""
        for source in SOURCES:
            tars[str(source)] = _write(draft, source, found, root, tar_bytes)
        write_text(draft / "classes.txt", "".join(f"{name}\n" for name in found.classes))

    build_once(target, fill)
    return Packed(
        {str(source): len(files) for source, files in found.files.items() if source in SOURCES}, tars, found.notices
    )


def _write(draft: Path, source: Source, found: Listing, root: Path, tar_bytes: int) -> int:
    """Write the tars of a source and return their number."""
    labels = found.labels[source]
    order = np.arange(len(labels))
    if source == "train":
        order = np.random.default_rng(derive(0, "order")).permutation(order)
    ends = np.cumsum([_file(found, source, row).stat().st_size for row in order.tolist()])
    parts = np.split(order, np.flatnonzero(np.diff(ends // tar_bytes)) + 1)
    taken: set[str] = set()
    for number, rows in enumerate(parts):
        with tarfile.open(draft / f"{source}-{number:06d}.tar", "w") as tar:
            for row in rows.tolist():
                file = _file(found, source, row)
                key = _key(file.relative_to(root), taken)
                _add(tar, f"{key}{file.suffix.lower()}", content_of(file))
                _add(tar, f"{key}.cls", str(labels[row]).encode())
    return len(parts)


def _file(found: Listing, source: Source, row: int) -> Path:
    file = found.files[source][row]
    if not isinstance(file, Path):
        raise TypeError(f"{file} is no file of a folder")
    return file


def _key(file: Path, taken: set[str]) -> str:
    """Return the sample's name: CLASS/NAME, without the dots that end a name in a shard, and each once."""
    stem = (Path(*file.parts[1:-1]) / file.stem.replace(".", "_")).as_posix()
    key, number = stem, 1
    while key in taken:
        key, number = f"{stem}_{number}", number + 1
    taken.add(key)
    return key


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def _refuse_full_disk(target: Path, found: Listing) -> None:
    files = [file for files in found.files.values() for file in files if isinstance(file, Path)]
    needed = sum(file.stat().st_size + _OVERHEAD for file in files)
    require_space(target, needed, what="the shards", do="free some space or write elsewhere")
