"""Image classification from tar shards, as WebDataset writes them: train*.tar and val*.tar of images and labels.

A sample is two or more members with one name up to the first dot of the file name: an image (NAME.jpg, or another
type of image) and its label, NAME.cls (a whole number) or NAME.json (an object with `label`); other members are left.
This is the layout of webdataset. The webdataset library reads tars as streams: an order comes from a buffer that was
filled from the start, so neither a step in mid-epoch nor the share of a process can be addressed without reading what
lies before. With an index every sample has a number, and order, shares and resume are those of every other data set.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, overload

import numpy as np

from ablata.base.errors import DataError
from ablata.base.files import atomic_path
from ablata.base.json_text import parse_json
from ablata.data.classification.file_list import Listing, screen
from ablata.data.classification.image_files import ImageFileDataset, ImageFileSettings, assemble
from ablata.data.classification.inspection import ImageFinding, inspect_images
from ablata.data.io.bit_depth import refuse_dark
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.file_slice import Member
from ablata.data.loading.cache import combined
from ablata.data.loading.locate import find_root
from ablata.data.loading.splits import Source

_VERSION = 1
_END = bytes(tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class TarIndex:
    """Index of a tar shard: its samples, in its order.

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
    """Members of several tars, by row number over all of them.

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
        tree = parse_json(content)
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


LAYOUT = "tars *train*.tar and *val*.tar (or *test*.tar), and perhaps classes.txt with one name a line"
_VAL = ("*val*.tar", "*test*.tar")
_THREADS = 4
_NONE = np.zeros(0, np.int64)


class Shards(ImageFileSettings):
    """Tar shards of encoded images, for sets of too many files: NAME.jpg with NAME.cls or NAME.json (`label`).

    Every sample has a number, so that any step and any process's share are read directly. Numbers follow the tars by
    name and the images in each. The fingerprint covers every image's name, length and label and the class names,
    not the pixels: an image exchanged for another of exactly its length goes unseen.
    """

    kind: Literal["shards"] = "shards"

    @classmethod
    def recognizes(cls, folder: Path) -> bool:
        """Tell whether a folder has this layout; see `Settings.recognizes`."""
        return has_shards(folder)

    def listed(self, cache: Path) -> Listing:
        """Find the tars and list their samples, usable or not; headers are read the first time.

        Raises:
            DataError: the tars are not there.
        """
        return _list_shards(find_root(self.root, default=None, fits=has_shards, layout=LAYOUT, cache=cache), cache)

    def build(self, cache: Path) -> ImageFileDataset:
        """Find the tars, read their headers and decode their images the first time, to see which can be used.

        Raises:
            DataError: the tars are not there, or what the settings refuse is.
        """
        found, rules = self.listed(cache), self.image_rules()
        seen = {
            source: inspect_images(files, _stamp(files.tars), cache, rules)
            for source, files in found.files.items()
            if isinstance(files, Members)
        }
        refuse_dark((int(value) for file in seen.values() for value in file.highest), says_depth=rules.says_depth)
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
    findings: list[ImageFinding] = []
    whole: dict[Source, list[TarIndex]] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for source, paths in tars.items():
            read = list(pool.map(partial(_indexed, cache=cache), paths))
            whole[source] = [index for index in read if isinstance(index, TarIndex)]
            findings += [
                ImageFinding("unreadable", file.relative_to(root).as_posix(), index)
                for file, index in zip(paths, read, strict=True)
                if isinstance(index, str)
            ]
    labels = {source: np.concatenate([_NONE, *(tar.labels for tar in found)]) for source, found in whole.items()}
    names = _names(root, labels["train"])
    for source, found in whole.items():
        findings += _of_no_class(root, found, len(names))
        labels[source] = np.where(labels[source] < len(names), labels[source], -1)
        unseen = np.setdiff1d(np.arange(len(names)), labels[source])
        findings += [ImageFinding("empty class", f"{source}, class {names[number]}", "no images") for number in unseen]
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


def _of_no_class(root: Path, tars: Sequence[TarIndex], count: int) -> list[ImageFinding]:
    return [
        ImageFinding(
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
