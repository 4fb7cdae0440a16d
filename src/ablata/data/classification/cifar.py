"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in the publisher's binary files or in parquet files as on the hubs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ablata.base.errors import DataError, listing
from ablata.data.classification.parquet import (
    Columns,
    DecodedImages,
    PackedSet,
    has_parquet,
    parquet_sources,
    read_files,
)
from ablata.data.loading.cache import combined, file_digest
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.in_memory import InMemoryDataset
from ablata.data.loading.locate import find_root
from ablata.data.transforms.classification import Augment

_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class BinaryLayout:
    """The binary layout of a CIFAR data set.

    Attributes:
        name: of the set.
        folder: the publisher's name of the folder.
        files: file name patterns of train and val.
        labels: what each label byte of a record is, in order.
        classes: number of classes by label.
        names: file of class names by label, one a line; numbers stand in where it is missing.
        pickled: files by which the pickled version is known.
    """

    name: str
    folder: str
    files: dict[str, str]
    labels: tuple[str, ...]
    classes: dict[str, int]
    names: dict[str, str]
    pickled: tuple[str, ...]

    def sources(self, folder: Path) -> dict[str, list[Path]]:
        """Return the binary files of each source in the order of their names."""
        return {source: sorted(folder.glob(pattern)) for source, pattern in self.files.items()}

    def lies_in(self, folder: Path) -> bool:
        """Tell whether a folder holds binary files of both sources."""
        return all(self.sources(folder).values())


CIFAR10 = BinaryLayout(
    name="CIFAR-10",
    folder="cifar-10-batches-bin",
    files={"train": "data_batch_*.bin", "val": "test_batch.bin"},
    labels=("label",),
    classes={"label": 10},
    names={"label": "batches.meta.txt"},
    pickled=("data_batch_1", "test_batch"),
)
CIFAR100 = BinaryLayout(
    name="CIFAR-100",
    folder="cifar-100-binary",
    files={"train": "train.bin", "val": "test.bin"},
    labels=("coarse", "fine"),
    classes={"coarse": 20, "fine": 100},
    names={"coarse": "coarse_label_names.txt", "fine": "fine_label_names.txt"},
    pickled=("train", "test", "meta"),
)


def find_cifar(root: str | None, default: str, layout: BinaryLayout, cache: Path) -> Path:
    """Find the folder of a CIFAR data set, in parquet files or in binary ones.

    Args:
        root: see `find_root`.
        default: see `find_root`.
        layout: the binary layout.
        cache: see `find_root`.

    Raises:
        DataError: nothing fits, or there is the pickled version alone.
    """
    pickled: list[Path] = []

    def fits(place: Path) -> bool:
        if all((place / name).is_file() for name in layout.pickled):
            pickled.append(place)
        return has_parquet(place) or layout.lies_in(place)

    binary = f"{layout.files['train']} and {layout.files['val']}"
    described = f"parquet files (train*.parquet, test*.parquet), or {layout.name}'s binary files ({binary})"
    try:
        return find_root(root, default=default, fits=fits, layout=described, cache=cache)
    except DataError:
        if not pickled:
            raise
        raise DataError(
            f"{layout.name} must lie in binary or parquet files",
            found=f"{pickled[0]} holds the version for Python: its files are pickled, and would run code when read",
            do=f"fetch the binary version, a folder {layout.folder} with {binary}",
        ) from None


def read_binary(folder: Path, source: str, layout: BinaryLayout, label: str, cache: Path) -> DecodedImages:
    """Read CIFAR's binary files: the images and one kind of label of a source.

    Args:
        folder: where the files are.
        source: `train` or `val`.
        layout: how they are built.
        label: which label, a key of `layout.classes`.
        cache: where digests are remembered.

    Raises:
        DataError: a file is cut off or of another set, a label is out of range, or the names are not as many as the
            classes.
    """
    files, size = layout.sources(folder)[source], len(layout.labels) + _PIXELS
    parts = [_records(file, size, layout) for file in files]
    column, limit = layout.labels.index(label), layout.classes[label]
    for file, part in zip(files, parts, strict=True):
        wrong = np.flatnonzero(part[:, column] >= limit)
        if len(wrong):
            raise DataError(
                f"Labels of {layout.name} ({label}) must be in 0..{limit - 1}",
                found=f"{part[wrong[0], column]} in record {wrong[0]} ({len(wrong)} such records) of {file}",
                do="fetch the file again",
            )
    records = np.concatenate(parts)
    return DecodedImages(
        images=np.ascontiguousarray(records[:, len(layout.labels) :]).reshape(-1, 3, 32, 32),
        labels=records[:, column].astype(np.int64),
        classes=_names(folder / layout.names[label], limit),
        digest=combined([file_digest(file, cache) for file in files]),
        backend="exact",
    )


def _records(file: Path, size: int, layout: BinaryLayout) -> np.ndarray:
    """Return uint8 [n, size]."""
    try:
        content = np.fromfile(file, dtype=np.uint8)
    except OSError as error:
        raise DataError(
            "Every file must be readable",
            found=f"{file}: {error.strerror}",
            do="see that you may read it, and that its disk is there",
        ) from None
    if not len(content) or len(content) % size:
        raise DataError(
            f"A file of {layout.name} must hold whole records of {size} bytes",
            found=f"{file}: {len(content)} bytes",
            do="fetch the file again",
        )
    return content.reshape(-1, size)


def _names(file: Path, classes: int) -> tuple[str, ...]:
    if not file.is_file():
        return tuple(str(number) for number in range(classes))
    names = tuple(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    if len(names) != classes or len(set(names)) != classes:
        raise DataError(
            f"A file of class names must have {classes} different ones",
            found=f"{file}: {listing(names[:5])} ...",
            do="bring back the file as it was downloaded",
        )
    return names


class Cifar10(PackedSet):
    """CIFAR-10: 50,000 and 10,000 images of 32x32 pixels, 10 classes; the test file is called val.

    Published parquet files may hold lossy JPEG: compare only runs on the same files (the fingerprint tells).
    """

    kind: Literal["cifar10"] = "cifar10"
    augment: Augment = Augment(flip=True, pad=4)
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = (0.2470, 0.2435, 0.2616)
    """Standard deviation of red, green, blue, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        return NominalShape(classes=10, channels=3, height=32, width=32)

    def build(self, cache: Path) -> InMemoryDataset:
        """Find and read the data set; parquet files are decoded the first time.

        Raises:
            DataError: the files are missing, damaged, pickled, or not CIFAR-10.
        """
        return self.assemble(*_read(self.root, "cifar10", CIFAR10, "label", cache))


class Cifar100(PackedSet):
    """CIFAR-100: 50,000 and 10,000 images of 32x32 pixels; 100 classes, or 20 groups of five of them."""

    kind: Literal["cifar100"] = "cifar100"
    labels: Literal["fine", "coarse"] = "fine"
    """fine: the 100 classes; coarse: the 20 groups."""
    augment: Augment = Augment(flip=True, pad=4)
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.5071, 0.4865, 0.4409)
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = (0.2673, 0.2564, 0.2762)
    """Standard deviation of red, green, blue, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        return NominalShape(classes=100 if self.labels == "fine" else 20, channels=3, height=32, width=32)

    def build(self, cache: Path) -> InMemoryDataset:
        """Find and read the data set; parquet files are decoded the first time.

        Raises:
            DataError: the files are missing, damaged, pickled, or not CIFAR-100.
        """
        return self.assemble(*_read(self.root, "cifar100", CIFAR100, self.labels, cache))


def _read(
    root: str | None, default: str, layout: BinaryLayout, label: str, cache: Path
) -> tuple[DecodedImages, DecodedImages]:
    """Return the training and the test images of a set, from whichever files its folder has."""
    folder = find_cifar(root, default, layout, cache)
    if has_parquet(folder):
        column = None if label == "label" else f"{label}_label"
        files = parquet_sources(folder)
        train, val = (read_files(files[source], cache, Columns(label=column)) for source in ("train", "val"))
    else:
        train, val = (read_binary(folder, source, layout, label, cache) for source in ("train", "val"))
    classes = layout.classes[label]
    if len(train.classes) != classes or train.images.shape[1:] != (3, 32, 32):
        raise DataError(
            f"{layout.name} must have {classes} classes and images of 32x32 pixels",
            found=f"{len(train.classes)} classes, {train.images.shape[3]}x{train.images.shape[2]} pixels in {folder}",
            do="for another set choose data=parquet",
        )
    return train, val
