"""What every segmentation set offers to training and evaluation, whatever it is stored in.

As in `source`, nothing here has state: which samples step s sees follows from the run's seed and s alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError, listing, nearest
from ablata.base.seeds import derive
from ablata.data.labels.table import LabelTable
from ablata.data.loading.loaders import Pick, shuffled
from ablata.data.loading.splits import Split, splits_digest
from ablata.data.segmentation.store import PairReader, PairStore
from ablata.data.transforms.classification import Normaliser
from ablata.data.transforms.segmentation import JointAugment, JointAugmenter
from ablata.structures.batch import Rows
from ablata.structures.segmentation import IGNORE, SegmentationBatch

_Source = Literal["train", "val"]


@dataclass(frozen=True)
class SegmentationTrainLoader:
    """One process's share of the training batches.

    Attributes:
        index: int64 [n], the training samples.
        reader: reads pixels and labels.
        augmenter: what `augment` applies.
        seed: the run's seed.
        batch_size: rows of the global batch.
        rank: this process, in [0, world_size).
        world_size: number of processes.
        device: where batches are put.
    """

    index: np.ndarray
    reader: PairReader
    augmenter: JointAugmenter
    seed: int
    batch_size: int
    rank: int
    world_size: int
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """Whole global batches in an epoch; the samples left over are other ones in each epoch."""
        return len(self.index) // self.batch_size

    def epoch_of(self, step: int) -> int:
        """Return the epoch of a global step, both counted from 0."""
        return step // self.steps_per_epoch

    def batches(self, start_step: int, stop_step: int) -> Iterator[SegmentationBatch]:
        """Yield uint8 batches of the steps in [start_step, stop_step), on the device; starting anywhere is free."""
        share = self.batch_size // self.world_size
        rows = Rows(self.rank * share, self.batch_size)
        picks = self._picks(start_step, stop_step, rows.first, share)
        planes = self.reader.read(self._picks(start_step, stop_step, rows.first, share))
        for pick, block in zip(picks, planes, strict=True):
            yield _batch(block, pick.index, self.reader.sizes, rows).to(self.device, non_blocking=True)

    def augment(self, batch: SegmentationBatch, step: int, epoch: int) -> SegmentationBatch:
        """Augment and normalise a batch of `batches` on its device; `step` and `epoch` count from 0."""
        return self.augmenter(batch, step)

    def _picks(self, start_step: int, stop_step: int, first: int, share: int) -> Iterator[Pick]:
        order, ordered = np.zeros(0, dtype=np.int64), -1
        for step in range(start_step, stop_step):
            epoch = self.epoch_of(step)
            if epoch != ordered:
                random = np.random.default_rng(derive(self.seed, "order", epoch))
                order, ordered = shuffled(self.index, random), epoch
            begin = (step - epoch * self.steps_per_epoch) * self.batch_size + first
            yield Pick(order[begin : begin + share], epoch)


@dataclass(frozen=True)
class SegmentationEvalLoader:
    """One process's share of a split: samples rank, rank + world_size, ..., each once; can be iterated again.

    The images of a batch have one size, and nothing is added around them: those of a size come together.

    Attributes:
        index: int64 [n], this process's samples.
        reader: reads pixels and labels.
        normaliser: applied to each batch.
        batch_size: most rows of a batch.
        device: where batches are put.
    """

    index: np.ndarray
    reader: PairReader
    normaliser: Normaliser
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._picks())

    def __iter__(self) -> Iterator[SegmentationBatch]:
        """Yield normalised float32 images with uint8 labels on the device."""
        picks = self._picks()
        for pick, block in zip(picks, self.reader.read(picks), strict=True):
            batch = _batch(block, pick.index, self.reader.sizes, Rows(0, len(pick.index)))
            batch = batch.to(self.device, non_blocking=True)
            yield replace(batch, images=self.normaliser(batch.images))

    def _picks(self) -> list[Pick]:
        sizes, which = np.unique(self.reader.sizes[self.index], axis=0, return_inverse=True)
        groups = [self.index[which.reshape(-1) == number] for number in range(len(sizes))]
        step = self.batch_size
        return [Pick(group[at : at + step], None) for group in groups for at in range(0, len(group), step)]


def _batch(block: Tensor, index: np.ndarray, sizes: np.ndarray, rows: Rows) -> SegmentationBatch:
    return SegmentationBatch(block[:, :-1], block[:, -1], torch.from_numpy(sizes[index]), torch.from_numpy(index), rows)


class SegmentationData:
    """A segmentation set with its splits, ready to be read.

    Args:
        stores: the decoded pairs of each source.
        table: the classes, their raw values and colours.
        splits: train, val, and minival where the settings ask for it.
        fingerprint: hexadecimal hash of the content.
        mean: mean of each channel over the training set, in 0..1.
        std: standard deviation of each channel, in 0..1.
        augment: augmentation of training batches.
        backend: how pixels were decoded, for checkpoints.
        notices: what the reader should know of the files.

    Raises:
        DataError: whole images are to be trained on that have several sizes.
    """

    channels = 3
    ignore = IGNORE

    def __init__(
        self,
        stores: dict[_Source, PairStore],
        table: LabelTable,
        *,
        splits: dict[str, Split],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        augment: JointAugment,
        backend: str,
        notices: Sequence[str] = (),
    ) -> None:
        self.table, self.classes, self.splits, self.fingerprint = table, table.names, splits, fingerprint
        self.mean, self.std, self.backend = tuple(mean), tuple(std), backend
        self._augment, self._stores = augment, stores
        self._planes = {source: torch.from_numpy(store.planes) for source, store in stores.items()}
        self.image_size = self._trained_size()
        self.notices = (*notices, *self._own_notices())

    @property
    def sizes(self) -> dict[str, int]:
        """Return the number of samples of each split."""
        return {name: len(split) for name, split in self.splits.items()}

    @property
    def splits_hash(self) -> str:
        """Return 16 hexadecimal digits that identify which sample is in which split."""
        return splits_digest(self.splits)

    def split_indices(self) -> dict[str, list[int]]:
        """Return the row numbers of each split in its source, to be recorded."""
        return {name: split.index.tolist() for name, split in self.splits.items()}

    def pixel_counts(self, split: str) -> Tensor:
        """Return int64 [classes + 1], pixels of each class in a split, and last the ignored ones."""
        chosen = self._split(split)
        counts = self._stores[chosen.source].pixels[chosen.index].sum(axis=0)
        return torch.from_numpy(np.append(counts[: len(self.classes)], counts[IGNORE]))

    def image_pixels(self, split: str) -> np.ndarray:
        """Return int64 [n, classes], pixels of each class in each image of a split."""
        chosen = self._split(split)
        counts: np.ndarray = self._stores[chosen.source].pixels[chosen.index][:, : len(self.classes)].astype(np.int64)
        return counts

    def image_sizes(self, split: str) -> np.ndarray:
        """Return int64 [n, 2], height and width of each image of a split as evaluation sees it."""
        chosen = self._split(split)
        sizes: np.ndarray = self._stores[chosen.source].sizes[chosen.index]
        return sizes

    def train_loader(
        self,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> SegmentationTrainLoader:
        """Return this process's training batches; arguments as for `ImageData.train_loader`.

        Raises:
            DataError: the batch does not divide among the processes, or the training set is smaller than a batch.
        """
        count = len(self.splits["train"])
        if batch_size < 1 or batch_size % world_size:
            raise DataError(
                "The global batch size must be a positive multiple of the number of processes",
                found=f"batch size {batch_size} for {world_size} processes",
                do=f"use a multiple of {world_size}",
            )
        if count < batch_size:
            raise DataError(
                "The training set must fill at least one batch",
                found=f"{count} training samples for a batch size of {batch_size}",
                do=f"choose a batch size of at most {count}",
            )
        augmenter = JointAugmenter(self._augment, seed, Normaliser(self.mean, self.std, channels_last))
        return SegmentationTrainLoader(
            self.splits["train"].index,
            self._reader("train"),
            augmenter,
            seed,
            batch_size,
            rank,
            world_size,
            torch.device(device),
        )

    def eval_loader(
        self,
        split: str,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> SegmentationEvalLoader:
        """Return this process's share of a split, normalised; over all processes every sample comes exactly once.

        Raises:
            DataError: there is no such split.
        """
        chosen = self._split(split)
        normaliser = Normaliser(self.mean, self.std, channels_last)
        index = chosen.index[rank::world_size]
        return SegmentationEvalLoader(index, self._reader(chosen.source), normaliser, batch_size, torch.device(device))

    def _reader(self, source: _Source) -> PairReader:
        store = self._stores[source]
        return PairReader(self._planes[source], store.starts, store.sizes)

    def _trained_size(self) -> tuple[int, int]:
        crop = self._augment.crop
        if crop is not None:
            return crop.height, crop.width
        sizes = np.unique(self.image_sizes("train"), axis=0)
        if len(sizes) != 1:
            shown = listing(f"{height}x{width}" for height, width in sizes[:5].tolist())
            raise DataError(
                "Images of several sizes must be cut to one for training",
                found=f"{len(sizes)} sizes (height x width): {shown}",
                do="set data.augment.crop.height and data.augment.crop.width",
            )
        return int(sizes[0, 0]), int(sizes[0, 1])

    def _own_notices(self) -> list[str]:
        size = sum(store.planes.nbytes for store in self._stores.values())
        notices = [f"decoded images and labels: {size / 2**20:,.0f} MiB in the cache folder, mapped into memory"]
        for split in ("train", "val"):
            counts = self.pixel_counts(split)[:-1]
            missing = [name for name, count in zip(self.classes, counts.tolist(), strict=True) if not count]
            if missing:
                notices.append(f"{len(missing)} classes have no pixel in {split}: {listing(missing)}")
        return notices

    def _split(self, name: str) -> Split:
        if name in self.splits:
            return self.splits[name]
        close = nearest(name, self.splits)
        hint = "set data.minival to hold part of the training set out" if name == "minival" else None
        raise DataError(
            f"The split must be one of {listing(self.splits)}",
            found=name,
            do=f"did you mean {close}?" if close and not hint else hint,
        )
