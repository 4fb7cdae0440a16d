"""File list of a classification set: images and their classes, as found, and with what cannot be used left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, overload

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.base.quantities import counted
from ablata.data.classification.inspection import ImageFinding, InspectedImages
from ablata.data.io.file_slice import Member
from ablata.data.loading.splits import Source

OnInvalid = Literal["refuse", "skip"]
"""What becomes of a set with images or classes that cannot be used: it is refused; or they are left out, listed."""
OnSmall = Literal["keep", "refuse", "skip"]
"""What becomes of images that are smaller than the crop: enlarged, refused, or left out and listed."""
T = TypeVar("T")
_SHOWN = 20


@dataclass(frozen=True)
class Listing:
    """The file list of a classification data set.

    Attributes:
        root: the set's folder.
        ids: of the classes, in the order of the labels: names of folders.
        classes: what they are called, such as the names in classes.txt.
        files: train and val; those of folders sorted by class and name.
        labels: int64, one a file; -1: of no class that is trained on.
        hashed: every file of a folder that belongs to the content: images and classes.txt.
        ignored: files that are no images, relative to the root.
        findings: what is wrong with the classes, or with whole tars.
        left_out: what was found and left out.
        small: images that are smaller than the crop and stay.
        outside: images that lie in no class, relative to the root.
        noted: images in which the camera noted an orientation other than upright.
        shared: what is to be told of images that are in train and val both.
        remarks: what else is worth knowing, a sentence each.
    """

    root: Path
    ids: tuple[str, ...]
    classes: tuple[str, ...]
    files: Mapping[Source, Sequence[Path | Member]]
    labels: Mapping[Source, np.ndarray]
    hashed: Sequence[Path] = ()
    ignored: tuple[str, ...] = ()
    findings: tuple[ImageFinding, ...] = ()
    left_out: tuple[ImageFinding, ...] = ()
    small: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    noted: int = 0
    shared: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def where(self, source: Source, row: int) -> str:
        """Name an image relative to the root."""
        return relative_name(self.files[source][row], self.root)

    @property
    def notices(self) -> tuple[str, ...]:
        """Return what the reader of a run should know: what is ignored, left out, or enlarged."""
        told = [*self.shared, *self.remarks]
        for files, one, several, shown in (
            (self.ignored, "file is no image and is ignored", "files are no images and are ignored", 5),
            (self.outside, "image is in no class folder and is left out",
             "images are in no class folder and are left out", 5),
            (list(map(str, self.left_out)), "finding is left out", "findings are left out", 10),
            (self.small, "image is smaller than the crop and enlarged",
             "images are smaller than the crop and enlarged", 5),
        ):  # fmt: skip
            if files:
                told.append(f"{counted(len(files), one, several)}: {_some(files, shown)}")
        if self.noted:
            images = counted(self.noted, "image carries", "images carry")
            told.append(f"{images} an EXIF orientation; data.orientation says whether they are turned")
        return tuple(told)


class Subset(Sequence[T]):
    """A subset of a sequence, its items looked up when they are asked for.

    Args:
        items: all of them.
        rows: int64 [n], which.
    """

    def __init__(self, items: Sequence[T], rows: np.ndarray) -> None:
        self._items, self._rows = items, rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...
    def __getitem__(self, row: int | slice) -> T | list[T]:
        """Return one item, or several."""
        if isinstance(row, slice):
            return [self._items[int(number)] for number in self._rows[row]]
        return self._items[int(self._rows[row])]


def relative_name(image: Path | Member, root: Path) -> str:
    """Name an image, or a member of a tar, relative to a folder."""
    if isinstance(image, Path):
        return image.relative_to(root).as_posix()
    return f"{image.tar.relative_to(root).as_posix()}: {image.name}"


def screen(
    found: Listing, seen: Mapping[Source, InspectedImages], *, on_invalid: OnInvalid, on_small: OnSmall, side: int
) -> Listing:
    """Filter a file list: refuse what cannot be used, or leave it out; classes without training images go with it.

    Args:
        found: everything that lies there.
        seen: what is known of the images of each source.
        on_invalid: what becomes of faulty images and classes.
        on_small: what becomes of images whose shorter side is below `side`.
        side: of the crop, in pixels.

    Raises:
        DataError: something cannot be used, named by file, and is not to be left out; or nothing remains.
    """
    faults = [*found.findings, *(fault for source in seen for fault in _faults(found, source, seen[source]))]
    tiny = {source: _tiny(file, side) for source, file in seen.items()}
    small = [
        ImageFinding("smaller than the crop", found.where(source, row), _measured(seen[source], row, side))
        for source, rows in tiny.items()
        for row in rows.tolist()
    ]
    refuse(found.root, [*(faults if on_invalid == "refuse" else ()), *(small if on_small == "refuse" else ())])
    kept = {}
    for source, labels in found.labels.items():
        usable = labels >= 0
        usable[[*seen[source].faults, *(tiny[source].tolist() if on_small == "skip" else ())]] = False
        kept[source] = usable
    left_out = (*faults, *(small if on_small == "skip" else ()))
    small_kept = tuple(image.where for image in small) if on_small == "keep" else ()
    noted = sum(int(file.noted.sum()) for file in seen.values())
    left = replace(_without(found, kept), findings=(), left_out=left_out, small=small_kept, noted=noted)
    if len(left.ids) < 2:
        raise DataError(ONE_CLASS, found=f"{found.root}: {left.ids[0]} alone", do="add a folder of another class")
    return left


ONE_CLASS = "A set must have two classes or more: with one, every prediction is right"


def refuse(root: Path, found: Sequence[ImageFinding]) -> None:
    """Refuse a set in which something was found.

    Raises:
        DataError: something was; names up to 20 of them.
    """
    if not found:
        return
    lines = [str(finding) for finding in found[:_SHOWN]]
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    kinds = {finding.kind for finding in found}
    keys = ["data.on_small=skip"] if "smaller than the crop" in kinds else []
    keys += ["data.on_invalid=skip"] if kinds - {"smaller than the crop"} else []
    raise DataError(
        "Every image must be usable, and every class must have images in train and val",
        found=f"{counted(len(found), 'problem')} in {root}\n    " + "\n    ".join(lines),
        do=f"mend them, or leave them out: {' '.join(keys)} (ablata data check {root} lists all)",
    )


def _without(found: Listing, kept: Mapping[Source, np.ndarray]) -> Listing:
    """Return the rows that are kept, and the classes that then have training images, with labels anew."""
    counts = np.bincount(found.labels["train"][kept["train"]], minlength=len(found.ids))
    trained = np.flatnonzero(counts)
    if not len(trained):
        raise DataError(
            "A data set must have training images",
            found=f"none that can be used in {found.root}",
            do="put images into the folder of train, or correct data.root",
        )
    position = np.full(len(found.ids), -1)
    position[trained] = np.arange(len(trained))
    rows = {source: np.flatnonzero(some & (position[found.labels[source]] >= 0)) for source, some in kept.items()}
    if all(len(rows[source]) == len(found.labels[source]) for source in rows):
        return found
    files = {source: Subset(found.files[source], index) for source, index in rows.items()}
    images = {file for some in files.values() for file in some if isinstance(file, Path)}
    listed = {file for some in found.files.values() for file in some if isinstance(file, Path)}
    return replace(
        found,
        ids=tuple(found.ids[number] for number in trained),
        classes=tuple(found.classes[number] for number in trained),
        files=files,
        labels={source: position[found.labels[source][index]] for source, index in rows.items()},
        hashed=[file for file in found.hashed if file in images or file not in listed],
    )


def _faults(found: Listing, source: Source, seen: InspectedImages) -> list[ImageFinding]:
    return [ImageFinding(kind, found.where(source, row), detail) for row, (kind, detail) in seen.faults.items()]


def _tiny(seen: InspectedImages, side: int) -> np.ndarray:
    shorter = seen.sizes.min(axis=1, initial=side)
    shorter[list(seen.faults)] = side
    return np.flatnonzero(shorter < side)


def _measured(seen: InspectedImages, row: int, side: int) -> str:
    height, width = seen.sizes[row]
    return f"{height}x{width} (height x width), crop {side}"


def _some(names: Sequence[str], count: int) -> str:
    return listing(names[:count]) + (", ..." if len(names) > count else "")
