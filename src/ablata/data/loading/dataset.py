"""The base of all data sets: classes, splits, fingerprint, and the loaders of training and evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self

import numpy as np
import torch

from ablata.base.errors import DataError, choices, nearest
from ablata.base.settings import Settings
from ablata.data.loading.loaders import BatchReader, EvalLoader, Order, TrainLoader, shuffled
from ablata.data.loading.report import alike_classes
from ablata.data.loading.splits import Source, Split, splits_digest
from ablata.data.transforms.augmenter import Augmenter
from ablata.data.transforms.normalization import Normalizer
from ablata.structures.batch import BatchT

PAINTED, GIVEN = "exact", "as the data set gives them"
"""Backends of sets that decode no image files: painted ones, and those of the user's own."""


@dataclass(frozen=True)
class NominalShape:
    """What a model is sized for where the files have not been read: classes, channels, height and width in pixels."""

    classes: int
    channels: int
    height: int
    width: int


class DataSettings(Settings):
    """Base of the settings of data sets; each task's derive from a base of their own, which is not itself a choice."""

    if TYPE_CHECKING:
        kind: str
        augment: Any

    @abstractmethod
    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for; reads as little as possible."""

    def item_groups(self, items: Sequence[str], cache: Path) -> tuple[str, ...] | None:
        """Return which samples belong together, such as the frames of a video; None: each stands alone.

        Args:
            items: what samples are called, as `Dataset.item_names` says.
            cache: folder for prepared data.

        Raises:
            DataError: what tells it is missing.
        """
        return None

    @abstractmethod
    def build(self, cache: Path) -> Any:
        """Return the data set.

        Args:
            cache: folder for prepared data, kept between runs.

        Raises:
            DataError: files are missing or damaged.
        """


class ClassificationSettings(DataSettings):
    """Settings of image classification data sets; the base of all, not itself a choice."""


class SegmentationSettings(DataSettings):
    """Settings of semantic segmentation data sets; the base of all, not itself a choice."""


class Dataset(ABC, Generic[BatchT]):
    """A data set with its splits, ready to be read.

    A subclass hands the attributes below to the constructor and gives two methods:

    - `reader(source, ...)`: a `BatchReader`, which turns row numbers of a source into batches of uint8 images with
      their labels. What it draws at random must follow from the seed, the epoch and the row number alone.
    - `augmenter(seed, ...)`: an `Augmenter`, which changes training batches on their device and normalizes them.

    It may replace `order` (which samples meet in a batch) and `prepare` (normalization for evaluation). Splits, their
    order by seed and epoch, the shares of processes and the errors about all of these are the base's.

    Args:
        classes: class names; a label is a position in it.
        splits: train, val, and minival where the settings ask for it.
        fingerprint: hexadecimal hash of the content: equal content gives an equal fingerprint wherever it lies.
        mean: mean of each channel over the training set, in 0..1.
        std: standard deviation of each channel, in 0..1.
        backend: how pixels were decoded and resized, for checkpoints: evaluation elsewhere must use the same.
        notices: what the reader should know of the files, such as ignored ones.
        left_out: files and classes that could not be used, and why, one a line.

    Attributes:
        channels: 1, 3 (red, green, blue), or another number of bands.
        test_hint: what gives the set a test split, where it has none and there is a setting for it.
    """

    channels: int = 3
    test_hint: str | None = None

    def __init__(
        self,
        *,
        classes: Sequence[str],
        splits: dict[str, Split],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        backend: str,
        notices: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> None:
        self.classes, self.splits, self.fingerprint = tuple(classes), splits, fingerprint
        self.mean, self.std, self.backend = tuple(mean), tuple(std), backend
        alike = alike_classes(self.classes)
        self.notices, self.left_out = (*notices, *([alike] if alike else [])), tuple(left_out)
        self._normalizers: dict[bool, Normalizer] = {}

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of samples of each split."""
        return {name: len(split) for name, split in self.splits.items()}

    def test_fingerprint(self) -> str:
        """Return the fingerprint of the test split, which is no part of `fingerprint`; empty where there is none."""
        return ""

    @property
    def splits_hash(self) -> str:
        """Return 16 hexadecimal digits that identify which sample is in which split."""
        return splits_digest(self.splits)

    def split_indices(self) -> dict[str, list[int]]:
        """Return the row numbers of each split in its source, to be recorded."""
        return {name: split.index.tolist() for name, split in self.splits.items()}

    def item_names(self, split: str, index: np.ndarray) -> tuple[str, ...]:
        """Return what samples of a split are called, each differently: here their row numbers in its source.

        Args:
            split: the split.
            index: int64 [n], row numbers.
        """
        return tuple(map(str, index.tolist()))

    def split(self, name: str) -> Split:
        """Return a split by its name.

        Raises:
            DataError: there is no such split.
        """
        if name in self.splits:
            return self.splits[name]
        close = nearest(name, self.splits)
        hint = "set data.minival to hold part of the training set out" if name == "minival" else None
        hint = self.test_hint if name == "test" else hint
        raise DataError(
            f"The split must be one of {choices(self.splits, name)}",
            found=name,
            do=f"did you mean {close}?" if close and not hint else hint,
        )

    @abstractmethod
    def reader(self, source: Source, *, training: bool, seed: int, device: torch.device) -> BatchReader[BatchT]:
        """Return what reads samples of a source.

        Args:
            source: train or val.
            training: whether random changes are made while reading, drawn from `seed`.
            seed: the run's seed.
            device: where batches will be put; a reader may keep its samples there.
        """

    @abstractmethod
    def augmenter(self, seed: int, channels_last: bool = False) -> Augmenter[BatchT]:
        """Return the augmentation of a run with this seed; `channels_last`: memory format of its images."""

    def order(self, batch_size: int) -> Order:
        """Return what puts the training samples in the order of an epoch: here shuffled, each once.

        Raises:
            DataError: the samples cannot be put into batches of so many rows.
        """
        return shuffled

    def normalizer(self, channels_last: bool = False) -> Normalizer:
        """Return the normalization by mean and standard deviation."""
        if channels_last not in self._normalizers:
            self._normalizers[channels_last] = Normalizer(self.mean, self.std, channels_last)
        return self._normalizers[channels_last]

    def unnormalized(self) -> Self:
        """Return the same data with images in 0..1 in place of normalized ones."""
        other = copy(self)
        other.mean, other.std, other._normalizers = (0.0,) * len(self.mean), (1.0,) * len(self.std), {}
        return other

    def prepare(self, batch: BatchT, channels_last: bool = False) -> BatchT:
        """Return the batch normalized without augmentation; one that is float already is returned as it is."""
        if batch.images.dtype != torch.uint8:
            return batch
        return replace(batch, images=self.normalizer(channels_last)(batch.images))

    def train_loader(
        self,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> TrainLoader[BatchT]:
        """Return this process's training batches.

        Args:
            seed: the run's seed; it fixes the order and the augmentation.
            batch_size: rows of the global batch, over all processes.
            rank: this process, in [0, world_size).
            world_size: number of processes.
            device: where batches are put and augmented.
            channels_last: memory format of the augmented images.

        Raises:
            DataError: the batch does not divide among the processes, or the training set is smaller than a batch.
        """
        device = torch.device(device)
        return TrainLoader(
            index=self.split("train").index,
            reader=self.reader("train", training=True, seed=seed, device=device),
            augmenter=self.augmenter(seed, channels_last),
            seed=seed,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            device=device,
            order=self.order(batch_size),
        )

    def eval_loader(
        self,
        split: str,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> EvalLoader[BatchT]:
        """Return this process's share of a split, normalized; over all processes every sample comes exactly once.

        Args:
            split: train, val or minival; train comes without augmentation.
            batch_size: most rows of a batch of this process.
            rank: this process, in [0, world_size).
            world_size: number of processes.
            device: where batches are put.
            channels_last: memory format of the images.

        Raises:
            DataError: there is no such split.
        """
        chosen, device = self.split(split), torch.device(device)
        return EvalLoader(
            index=chosen.index[rank::world_size],
            reader=self.reader(chosen.source, training=False, seed=0, device=device),
            prepare=partial(self.prepare, channels_last=channels_last),
            batch_size=batch_size,
            device=device,
        )
