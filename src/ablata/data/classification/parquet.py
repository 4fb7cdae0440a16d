"""Image classification sets in parquet files, as published on the hubs: a column of encoded images, a column of labels.

Images are decoded once, in parallel, into one array that is kept in the cache folder and mapped into memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.classification.parquet_files import Columns, Decoded, read_files
from ablata.data.io.crop import Interpolation
from ablata.data.loading.cache import combined
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.in_memory import InMemoryImages, Store
from ablata.data.loading.locate import find_root
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD, NormalizationName, constants

SOURCES: dict[Literal["train", "val"], tuple[str, ...]] = {
    "train": ("train*.parquet",),
    "val": ("val*.parquet", "test*.parquet"),
}
"""File names of each source, the first pattern that fits."""


class PackedSet(Settings):
    """What sets in a few large files have in common; not itself a choice."""

    kind: str
    """Which set."""
    root: Annotated[str | None, INCIDENTAL] = None
    """Folder of the files, or a zip of it."""
    minival: int | float = 0
    """Samples (or a share, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    normalisation: NormalizationName = "own"
    """Constants of normalisation: own (`mean` and `std`), imagenet, or none, which leaves pixels in 0..1."""
    augment: Augment = Augment()
    """Augmentation of training batches."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    """Mean of red, green, blue over the training set, in 0..1."""
    std: tuple[float, ...] = IMAGENET_STD
    """Standard deviation of red, green, blue, in 0..1."""

    def assemble(self, train: Decoded, val: Decoded) -> InMemoryImages:
        """Put the two sources together.

        Raises:
            DataError: minival is out of range, or ImageNet's constants do not fit the channels.
        """
        mean, std = constants(self.normalisation, self.mean, self.std)
        return InMemoryImages(
            Store(train.images, train.labels),
            Store(val.images, val.labels),
            classes=train.classes,
            fingerprint=combined([train.digest, val.digest]),
            mean=mean,
            std=std,
            minival=self.minival,
            split_seed=self.split_seed,
            augment=self.augment,
            backend=train.backend,
        )


class Parquet(PackedSet):
    """Any image classification set in parquet files, small enough for memory: train*.parquet, and val*.parquet or
    test*.parquet."""

    kind: Literal["parquet"] = "parquet"
    image_column: str | None = None
    """Column of encoded images (bytes, or a struct with bytes); null: image or img."""
    label_column: str | None = None
    """Column of labels (whole numbers or names); null: label, labels or fine_label."""
    size: Annotated[int, Field(ge=1)] | None = None
    """Resize the shorter side to this and cut the square centre; null: all images must have one size already."""
    interpolation: Interpolation = "bilinear"
    """Filter of that resizing."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for; ten classes, and CIFAR's 32 pixels where `size` is null."""
        side = self.size or 32
        return NominalShape(classes=10, channels=3, height=side, width=side)

    def build(self, cache: Path) -> InMemoryImages:
        """Find, decode (the first time) and map the data set.

        Raises:
            DataError: see `read_files`; or the files are missing, or train and val do not fit together.
        """
        layout = "parquet files named train*.parquet and val*.parquet (or test*.parquet)"
        folder = find_root(self.root, default=None, fits=has_parquet, layout=layout, cache=cache)
        files = parquet_sources(folder)
        columns = Columns(self.image_column, self.label_column, self.size, self.interpolation)
        train, val = (read_files(files[source], cache, columns) for source in SOURCES)
        if train.images.shape[1:] != val.images.shape[1:] or train.classes != val.classes:
            raise DataError(
                "Train and val must have the same image size and the same classes",
                found=f"{train.images.shape[1:]} and {val.images.shape[1:]}, "
                f"{len(train.classes)} and {len(val.classes)} classes",
                do="set data.size, or correct the files",
            )
        return self.assemble(train, val)


def has_parquet(folder: Path) -> bool:
    """Tell whether a folder holds parquet files of both sources."""
    return all(parquet_sources(folder).values())


def parquet_sources(folder: Path) -> dict[Literal["train", "val"], list[Path]]:
    """Return the parquet files of each source, those of the first pattern that has any, in the order of their names."""
    return {
        source: next((found for pattern in patterns if (found := sorted(folder.glob(pattern)))), [])
        for source, patterns in SOURCES.items()
    }
