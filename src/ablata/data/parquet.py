"""Image classification sets in parquet files, as published on the hubs: a column of encoded images, a column of labels.

Images are decoded once, in parallel, into one array that is kept in the cache folder and mapped into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.augment import Augment
from ablata.data.cache import combined
from ablata.data.crop import Interpolation
from ablata.data.memory import MemoryImages, Store
from ablata.data.parquet_files import Columns, Decoded, read_files
from ablata.data.roots import find_root
from ablata.data.source import NominalShape

_SOURCES: dict[Literal["train", "val"], tuple[str, ...]] = {
    "train": ("train*.parquet",),
    "val": ("val*.parquet", "test*.parquet"),
}


class _ParquetSet(Settings):
    """What sets in parquet files have in common."""

    root: Annotated[str | None, INCIDENTAL] = None
    """Folder of the parquet files (train*.parquet and val*.parquet or test*.parquet), or a zip of it."""
    minival: int | float = 0
    """Samples (or a share, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""


class Cifar10(_ParquetSet):
    """CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 images of 32x32 pixels, 10 classes; the test file is called val.

    The published parquet files may hold lossy JPEG: compare only runs on the same files (the fingerprint tells).
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

    def build(self, cache: Path) -> MemoryImages:
        """Find, decode (the first time) and map the data set.

        Raises:
            DataError: the files are missing, damaged, or not CIFAR-10.
        """
        files = _find(self.root, "cifar10", cache)
        train, val = (read_files(files[source], cache, Columns()) for source in ("train", "val"))
        if len(train.classes) != 10 or train.images.shape[1:] != (3, 32, 32):
            raise DataError(
                "CIFAR-10 must have 10 classes and images of 32x32 pixels",
                found=f"{len(train.classes)} classes, {train.images.shape[3]}x{train.images.shape[2]} pixels in "
                f"{files['train'][0].parent}",
                do="for another set choose data=parquet",
            )
        return _assemble(self, train, val)


class Parquet(_ParquetSet):
    """Any image classification set in parquet files, small enough for memory."""

    kind: Literal["parquet"] = "parquet"
    image_column: str | None = None
    """Column of encoded images (bytes, or a struct with bytes); null: image or img."""
    label_column: str | None = None
    """Column of labels (whole numbers or names); null: label, labels or fine_label."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Resize the shorter side to this and cut the square centre; null: all images must have one size already."""
    interpolation: Interpolation = "bilinear"
    """Filter of that resizing."""
    augment: Augment = Augment()
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Standard deviation of red, green, blue, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for; ten classes, and CIFAR's 32 pixels where `size` is null."""
        side = self.size or 32
        return NominalShape(classes=10, channels=3, height=side, width=side)

    def build(self, cache: Path) -> MemoryImages:
        """Find, decode (the first time) and map the data set.

        Raises:
            DataError: see `read_files`; or the files are missing, or train and val do not fit together.
        """
        files = _find(self.root, None, cache)
        columns = Columns(self.image_column, self.label_column, self.size, self.interpolation)
        train, val = (read_files(files[source], cache, columns) for source in ("train", "val"))
        if train.images.shape[1:] != val.images.shape[1:] or train.classes != val.classes:
            raise DataError(
                "Train and val must have the same image size and the same classes",
                found=f"{train.images.shape[1:]} and {val.images.shape[1:]}, "
                f"{len(train.classes)} and {len(val.classes)} classes",
                do="set data.size, or correct the files",
            )
        return _assemble(self, train, val)


def _assemble(settings: Cifar10 | Parquet, train: Decoded, val: Decoded) -> MemoryImages:
    return MemoryImages(
        Store(train.images, train.labels),
        Store(val.images, val.labels),
        classes=train.classes,
        fingerprint=combined([train.digest, val.digest]),
        mean=settings.mean,
        std=settings.std,
        minival=settings.minival,
        split_seed=settings.split_seed,
        augment=settings.augment,
        backend=train.backend,
    )


def _find(root: str | None, default: str | None, cache: Path) -> dict[str, list[Path]]:
    folder = find_root(
        root,
        default=default,
        fits=lambda place: all(_files(place, patterns) for patterns in _SOURCES.values()),
        layout="parquet files named train*.parquet and val*.parquet (or test*.parquet)",
        cache=cache,
    )
    return {source: _files(folder, patterns) for source, patterns in _SOURCES.items()}


def _files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files of the first pattern that has any, in the order of their names."""
    return next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
