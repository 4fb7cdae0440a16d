"""Batches of training and of evaluation, whatever the images are stored in.

Nothing here has state: which samples step s sees follows from the run's seed and s alone, so training goes on from any
step exactly as if it had never stopped. A set only says how its pixels are read (`Reader`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ablata.base.seeds import derive
from ablata.data.transforms.classification import Augmenter, Normaliser
from ablata.structures.batch import ImageBatch, Rows


@dataclass(frozen=True)
class Pick:
    """Samples to read together.

    Attributes:
        index: int64 [b], row numbers in the source.
        epoch: addresses the random crops; None: no random crops.
        copy: int64 [b], tells the crops of one sample in one epoch apart; None: 0.
    """

    index: np.ndarray
    epoch: int | None
    copy: np.ndarray | None = None


class Reader(Protocol):
    """Reads pixels."""

    def read(self, picks: Iterable[Pick]) -> Iterator[Tensor]:
        """Yield uint8 [b, C, H, W] for each pick, in order."""


Order = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Puts the training samples (int64 [n], row numbers) in the order of an epoch, drawn from the epoch's generator: batch
b of B rows takes places b * B to (b + 1) * B."""


def shuffled(index: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return the samples in random order, each once."""
    return random.permutation(index)


@dataclass(frozen=True)
class TrainLoader:
    """One process's share of the training batches.

    Attributes:
        index: int64 [n], the training samples.
        labels: int64 [rows of the source].
        reader: reads the pixels.
        augmenter: what `augment` applies.
        seed: the run's seed.
        batch_size: rows of the global batch.
        rank: this process, in [0, world_size).
        world_size: number of processes.
        device: where batches are put.
        order: puts the samples of an epoch in order.
    """

    index: np.ndarray
    labels: Tensor
    reader: Reader
    augmenter: Augmenter
    seed: int
    batch_size: int
    rank: int
    world_size: int
    device: torch.device
    order: Order = shuffled

    @property
    def steps_per_epoch(self) -> int:
        """Whole global batches in an epoch; the samples left over are other ones in each epoch."""
        return len(self.index) // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a global step, both counted from 0."""
        return step // self.steps_per_epoch

    def batches(self, start_step: int, stop_step: int) -> Iterator[ImageBatch]:
        """Yield uint8 batches of the steps in [start_step, stop_step), on the device. Starting anywhere costs nothing.

        Where images are mixed with those of another batch, that one is read too and follows the batch's own rows.
        Where rows are mixed between processes every process reads the whole global batch, and `rows.keep` says which
        rows stay its own after `augment`.
        """
        picks = self._picks(start_step, stop_step)
        read = self.reader.read(pick for pick in self._picks(start_step, stop_step))
        for pick, images in zip(picks, read, strict=True):
            rows = self._rows(pick.epoch or 0)
            index = torch.from_numpy(pick.index)
            batch = ImageBatch(images, self.labels[index], index, rows)
            yield batch.to(self.device, non_blocking=True)

    def augment(self, batch: ImageBatch, step: int, epoch: int) -> ImageBatch:
        """Augment and normalise a batch of `batches` on its device; `step` and `epoch` count from 0."""
        return self.augmenter(batch, step, epoch)

    def _rows(self, epoch: int) -> Rows:
        share = self.batch_size // self.world_size
        first = self.rank * share
        if self.augmenter.needs_other_batch(epoch):
            return Rows(0, 2 * self.batch_size, keep=(first, first + share))
        if self.world_size > 1 and self.augmenter.mixes(epoch):
            return Rows(0, self.batch_size, keep=(first, first + share))
        return Rows(first, self.batch_size)

    def _picks(self, start_step: int, stop_step: int) -> Iterator[Pick]:
        orders: list[np.ndarray] = []
        ordered, repeats = -1, self.augmenter.settings.repeats
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
            yield Pick(chosen[first : first + length], epoch, copies[first : first + length])


@dataclass(frozen=True)
class EvalLoader:
    """One process's share of a split: samples rank, rank + world_size, ... in order, each once; can be iterated again.

    Attributes:
        index: int64 [n], this process's samples.
        labels: int64 [rows of the source].
        reader: reads the pixels.
        normaliser: applied to each batch.
        batch_size: rows of a batch; the last may be shorter.
        device: where batches are put.
    """

    index: np.ndarray
    labels: Tensor
    reader: Reader
    normaliser: Normaliser
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.index) // self.batch_size)

    def __iter__(self) -> Iterator[ImageBatch]:
        """Yield normalised float32 batches on the device."""
        starts = range(0, len(self.index), self.batch_size)
        picks = [Pick(self.index[start : start + self.batch_size], None) for start in starts]
        for pick, images in zip(picks, self.reader.read(picks), strict=True):
            index = torch.from_numpy(pick.index)
            batch = ImageBatch(images, self.labels[index], index, Rows(0, len(index)))
            batch = batch.to(self.device, non_blocking=True)
            yield replace(batch, images=self.normaliser(batch.images))
