"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), in the publisher's binary files or in parquet files as on the hubs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ablata.base.errors import DataError
from ablata.data.classification.cifar_files import CIFAR10, CIFAR100, BinaryLayout, find_cifar, read_binary
from ablata.data.classification.parquet import PackedSet, has_parquet, parquet_sources
from ablata.data.classification.parquet_files import Columns, Decoded, read_files
from ablata.data.loading.dataset import NominalShape
from ablata.data.loading.in_memory import InMemoryImages
from ablata.data.transforms.classification import Augment


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

    def build(self, cache: Path) -> InMemoryImages:
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

    def build(self, cache: Path) -> InMemoryImages:
        """Find and read the data set; parquet files are decoded the first time.

        Raises:
            DataError: the files are missing, damaged, pickled, or not CIFAR-100.
        """
        return self.assemble(*_read(self.root, "cifar100", CIFAR100, self.labels, cache))


def _read(root: str | None, default: str, layout: BinaryLayout, label: str, cache: Path) -> tuple[Decoded, Decoded]:
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
