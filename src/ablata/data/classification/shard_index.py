"""What lies where in sharded tars: read once from their headers, kept in the cache folder.

A sample is two or more members with one name up to the first dot of the file name: an image (NAME.jpg, or another
type of image) and its label, NAME.cls (a whole number) or NAME.json (an object with `label`); other members are left.
This is the layout of webdataset. The webdataset library reads tars as streams: an order comes from a buffer that was
filled from the start, so neither a step in mid-epoch nor a share of a process can be addressed without reading what
lies before. With an index every sample has a number, and order, shares and resume are those of every other data set.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, overload

import numpy as np

from ablata.base.errors import DataError
from ablata.base.files import atomic_path
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.file_slice import Member

_VERSION = 1
_END = bytes(tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class TarIndex:
    """The samples of one tar, in its order.

    Attributes:
        tar: the file.
        names: bytes [n], the images' member names in UTF-8.
        offsets: int64 [n], where each image's bytes begin.
        sizes: int64 [n], how many there are.
        labels: int64 [n], at least 0.
    """

    tar: Path
    names: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray


class Members(Sequence[Path | Member]):
    """The images of several tars, by row number over all of them.

    Attributes:
        tars: their indexes, in order.
    """

    def __init__(self, tars: Sequence[TarIndex]) -> None:
        self.tars = tuple(tars)
        self._ends = np.cumsum([len(tar.names) for tar in tars])

    def __len__(self) -> int:
        """Return the number of images."""
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, row: int) -> Member: ...
    @overload
    def __getitem__(self, row: slice) -> list[Path | Member]: ...
    def __getitem__(self, row: int | slice) -> Member | list[Path | Member]:
        """Return where one image lies, or several."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        number = int(np.searchsorted(self._ends, row, side="right"))
        tar = self.tars[number]
        place = row - (int(self._ends[number]) - len(tar.names))
        return Member(tar.tar, tar.names[place].decode(), int(tar.offsets[place]), int(tar.sizes[place]))


def index_key(tar: Path) -> str:
    """Return 64 hexadecimal digits that change with the place, size or time of a tar."""
    stat = tar.stat()
    return hashlib.sha256(f"{tar.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0{_VERSION}".encode()).hexdigest()


def index_tar(tar: Path, cache: Path) -> TarIndex:
    """Return the index of a tar; its headers are read anew only where path, size or time changed.

    Raises:
        DataError: the tar is cut short, compressed or no tar at all, or a sample lacks its image or its label.
    """
    kept = cache / "shards" / f"{index_key(tar)[:32]}.npz"
    try:
        with np.load(kept, allow_pickle=False) as arrays:
            return TarIndex(tar, arrays["names"], arrays["offsets"], arrays["sizes"], arrays["labels"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        index = _scan(tar)
    with atomic_path(kept) as draft, draft.open("wb") as stream:
        np.savez(stream, names=index.names, offsets=index.offsets, sizes=index.sizes, labels=index.labels)
    return index


def _scan(tar: Path) -> TarIndex:
    images: dict[str, tarfile.TarInfo] = {}
    labels: dict[str, int] = {}
    with tar.open("rb") as stream:
        for member in _members(tar, stream):
            key, _, kind = _parts(member.name)
            if f".{kind}" in IMAGE_SUFFIXES:
                if key in images:
                    raise _wrong(f"{tar}: {images[key].name} and {member.name}", "one image a sample")
                images[key] = member
            elif kind in ("cls", "json") and not (kind == "json" and key in labels):
                stream.seek(member.offset_data)
                label = _label(stream.read(member.size), kind, f"{tar}: {member.name}")
                if label is not None:
                    labels[key] = label
    if not images:
        raise _wrong(f"{tar}: no images", "NAME.jpg with NAME.cls or NAME.json")
    lacking = [member.name for key, member in images.items() if key not in labels]
    if lacking:
        raise _wrong(f"{tar}: {lacking[0]} ({len(lacking)} such images)", "a label beside it, NAME.cls or NAME.json")
    alone = [key for key in labels if key not in images]
    if alone:
        raise _wrong(f"{tar}: a label for {alone[0]} ({len(alone)} such labels)", "an image of this name")
    members = images.values()
    return TarIndex(
        tar,
        np.array([member.name.encode() for member in members]),
        np.array([member.offset_data for member in members], np.int64),
        np.array([member.size for member in members], np.int64),
        np.array([labels[key] for key in images], np.int64),
    )


def _members(tar: Path, stream: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the files of a tar from their headers, and check that it goes on to its end mark."""
    length = tar.stat().st_size
    try:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closing it would change nothing
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
            if member.offset_data + member.size > length:
                raise _cut_short(f"{tar}: {member.name} goes on to byte {member.offset_data + member.size} of {length}")
            if member.isfile() and not member.issparse():
                yield member
            elif not member.isdir():
                raise _wrong(f"{tar}: {member.name} is a link or a special file", "plain files")
    except (tarfile.TarError, EOFError) as error:
        raise _cut_short(f"{tar}: {error}") from None
    stream.seek(archive.offset)
    if stream.read(len(_END)) != _END:
        raise _cut_short(f"{tar}: no end mark after byte {archive.offset} of {length}")


def _parts(name: str) -> tuple[str, str, str]:
    """Split a member's name at the first dot of its file name: `a.b/c.JPG` -> (`a.b/c`, `.`, `jpg`)."""
    path = PurePosixPath(name)
    stem, dot, kind = path.name.partition(".")
    return (path.parent / stem).as_posix(), dot, kind.lower()


def _label(content: bytes, kind: str, where: str) -> int | None:
    """Return the label; None for a JSON object that has none."""
    try:
        tree = json.loads(content)
        label = tree.get("label") if kind == "json" else tree
    except (ValueError, AttributeError):
        raise _wrong(f"{where}: {content[:40]!r}", "a whole number, or a JSON object with `label`") from None
    if label is None and kind == "json":
        return None
    if isinstance(label, bool) or not isinstance(label, int) or label < 0:
        raise _wrong(f"{where}: {label!r}", "a whole number from 0 as label")
    return label


def _wrong(found: str, wanted: str) -> DataError:
    return DataError(f"A sample of a shard must have {wanted}", found=found, do="write the tar again")


def _cut_short(found: str) -> DataError:
    return DataError("A shard must be a whole tar, not compressed", found=found, do="fetch or write it again")
