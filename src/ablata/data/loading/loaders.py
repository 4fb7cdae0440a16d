"""Batches of training and of evaluation, whatever the samples are and whatever they are stored in.

Nothing here has state: which samples step s sees follows from the run's seed and s alone, so training goes on from any
step exactly as if it had never stopped. A data set only says how its samples are read (`BatchReader`) and augmented
(`Augmenter`).
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.data.transforms.augmenter import Augmenter
from ablata.structures.batch import BatchT, ImageBatch, Rows


@dataclass(frozen=True)
class BatchIndices:
    """The samples of a batch, before they are read.

    Attributes:
        index: int64 [b], row numbers in the source.
        rows: which rows of the global batch they are.
        epoch: addresses the random changes that are made while reading; None: evaluation, none are made.
        copy: int64 [b], tells the random changes of one sample in one epoch apart; None: 0.
    """

    index: np.ndarray
    rows: Rows
    epoch: int | None = None
    copy: np.ndarray | None = None


def refuse_less_than_a_batch(count: int, batch: int) -> None:
    """Refuse a training set that does not fill one batch.

    Args:
        count: training samples.
        batch: rows of the global batch.

    Raises:
        DataError: it is smaller.
    """
    if count < batch:
        raise DataError(
            "The training set must fill at least one batch",
            found=f"{count} training samples for train.batch={batch}",
            do=f"train.batch={count}, or less" if count else "add images to the training set",
        )


class BatchReader(ABC, Generic[BatchT]):
    """Reads samples of one source as batches of uint8 images with their labels."""

    @abstractmethod
    def read(self, batches: Iterable[BatchIndices]) -> Iterator[BatchT]:
        """Yield a batch for each of `batches`, in order; its `index` and `rows` are those asked for."""

    def groups(self, index: np.ndarray) -> list[np.ndarray]:
        """Divide samples (int64 [n], row numbers) into those that may share a batch of evaluation; here all may."""
        return [index]


class ImageReader(Protocol):
    """Reads images alone."""

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[Tensor]:
        """Yield uint8 [b, C, H, W] for each of `batches`, in order."""


@dataclass(frozen=True)
class LabeledReader(BatchReader[ImageBatch]):
    """Reads images with one label each.

    Attributes:
        images: reads the images.
        labels: int64 [rows of the source].
    """

    images: ImageReader
    labels: Tensor

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[ImageBatch]:
        """Yield images with their labels."""
        asked, answered = itertools.tee(batches)
        for batch, images in zip(answered, self.images.read(asked), strict=True):
            index = torch.from_numpy(batch.index)
            yield ImageBatch(images, self.labels[index], index, batch.rows)


Order = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Puts the training samples (int64 [n], row numbers) in the order of an epoch, drawn from the epoch's generator: batch
b of B rows takes places b * B to (b + 1) * B."""


def shuffled(index: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the samples in random order, each once."""
    return random.permutation(index)


@dataclass(frozen=True)
class TrainLoader(Generic[BatchT]):
    """Training batches: one process's share of them.

    Attributes:
        index: int64 [n], the training samples.
        reader: reads them.
        augmenter: what `augment` applies.
        seed: the run's seed.
        batch_size: rows of the global batch.
        rank: this process, in [0, world_size).
        world_size: number of processes.
        device: where batches are put.
        order: puts the samples of an epoch in order.

    Raises:
        DataError: the batch does not divide among the processes or by the repeats, or the training set is smaller than
            a batch.
    """

    index: np.ndarray
    reader: BatchReader[BatchT]
    augmenter: Augmenter[BatchT]
    seed: int
    batch_size: int
    rank: int
    world_size: int
    device: torch.device
    order: Order = shuffled

    def __post_init__(self) -> None:
        """Check the batch size."""
        size, repeats, count = self.batch_size, self.augmenter.repeats, len(self.index)
        if size < 1 or size % self.world_size:
            raise DataError(
                "The global batch size must be a positive multiple of the number of processes",
                found=f"batch size {size} for {self.world_size} processes",
                do=f"use a multiple of {self.world_size}",
            )
        if size % repeats:
            raise DataError(
                "The global batch size must be a multiple of data.augment.repeats",
                found=f"batch size {size}, data.augment.repeats={repeats}",
                do="change train.batch or data.augment.repeats",
            )
        refuse_less_than_a_batch(count, size)

    @property
    def steps_per_epoch(self) -> int:
        """Whole global batches in an epoch; the samples left over are other ones in each epoch."""
        return len(self.index) // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a global step, both counted from 0."""
        return step // self.steps_per_epoch

    def batches(self, start_step: int, stop_step: int) -> Iterator[BatchT]:
        """Yield uint8 batches of the steps in [start_step, stop_step), on the device. Starting anywhere costs nothing.

        Where images are mixed with those of another batch, that one is read too and follows the batch's own rows.
        Where rows are mixed between processes every process reads the whole global batch, and `rows.keep` says which
        rows stay its own after `augment`.
        """
        for batch in self.reader.read(self.indices(start_step, stop_step)):
            yield batch.to(self.device, non_blocking=True)

    def augment(self, batch: BatchT, step: int, epoch: int) -> BatchT:
        """Augment and normalize a batch of `batches` on its device; `step` and `epoch` count from 0."""
        return self.augmenter(batch, step, epoch)

    def indices(self, start_step: int, stop_step: int) -> Iterator[BatchIndices]:
        """Yield which samples this process reads in the steps in [start_step, stop_step)."""
        orders: list[np.ndarray] = []
        ordered, repeats = -1, self.augmenter.repeats
        images = self.batch_size // repeats
        for step in range(start_step, stop_step):
            epoch = self.epoch_of(step)
            if epoch != ordered:
                places = [(epoch,), (epoch, 1)] if self.augmenter.needs_other_batch(epoch) else [(epoch,)]
                randoms = [np.random.default_rng(derive(self.seed, "order", *place)) for place in places]
                orders, ordered = [self.order(self.index, random) for random in randoms], epoch
            begin = (step - epoch * self.steps_per_epoch) * images
            chosen = np.concatenate([np.repeat(order[begin : begin + images], repeats) for order in orders])
            copies = np.arange(len(chosen)) % repeats + np.arange(len(chosen)) // self.batch_size * repeats
            rows = self._rows(epoch)
            first, length = (0, len(chosen)) if rows.keep else (rows.first, self.batch_size // self.world_size)
            yield BatchIndices(chosen[first : first + length], rows, epoch, copies[first : first + length])

    def _rows(self, epoch: int) -> Rows:
        share = self.batch_size // self.world_size
        first = self.rank * share
        if self.augmenter.needs_other_batch(epoch):
            return Rows(0, 2 * self.batch_size, keep=(first, first + share))
        if self.world_size > 1 and self.augmenter.mixes(epoch):
            return Rows(0, self.batch_size, keep=(first, first + share))
        return Rows(first, self.batch_size)


@dataclass(frozen=True)
class EvalLoader(Generic[BatchT]):
    """Evaluation batches: samples rank, rank + world_size, ... of a split, each once; can be iterated again.

    Attributes:
        index: int64 [n], this process's samples.
        reader: reads them, and says which may share a batch.
        prepare: normalizes a batch.
        batch_size: most rows of a batch.
        device: where batches are put.
    """

    index: np.ndarray
    reader: BatchReader[BatchT]
    prepare: Callable[[BatchT], BatchT]
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._indices())

    def __iter__(self) -> Iterator[BatchT]:
        """Yield batches of normalized float32 images on the device."""
        for batch in self.reader.read(self._indices()):
            yield self.prepare(batch.to(self.device, non_blocking=True))

    def _indices(self) -> list[BatchIndices]:
        size = self.batch_size
        parts = [
            group[start : start + size]
            for group in self.reader.groups(self.index)
            for start in range(0, len(group), size)
        ]
        return [BatchIndices(part, Rows(0, len(part))) for part in parts]
