"""What every detection set offers to training and evaluation, whatever it is stored in.

As in `source`, nothing here has state: which images step s sees, and how they are changed, follows from the run's
seed and s alone. Images are read ahead by threads, since decoding leaves the interpreter free.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError, listing, nearest
from ablata.base.seeds import derive
from ablata.data.detection.rle import decode
from ablata.data.loading.loaders import shuffled
from ablata.data.loading.splits import Split, splits_digest
from ablata.data.transforms.classification import Normaliser
from ablata.data.transforms.detection import DetectionAugment, mirror, resize
from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Objects, joined

_AHEAD = 2
"""Batches that are read ahead of the one at hand."""
_THREADS = 4
STRIDE = 32
"""Height and width of a batch are multiples of it, so that every level of a pyramid halves evenly."""


@dataclass(frozen=True)
class Entry:
    """An image without its pixels.

    Attributes:
        name: its file, as messages name it.
        size: height and width in pixels.
        objects: what is on it; masks as run lengths.
    """

    name: str
    size: tuple[int, int]
    objects: Objects


class Images(ABC):
    """The images of one source.

    Attributes:
        entries: all of them; a row number is a position here.
    """

    entries: tuple[Entry, ...]

    @abstractmethod
    def pixels(self, row: int) -> np.ndarray:
        """Return uint8 [H, W, 3], red, green, blue.

        Raises:
            DataError: the file cannot be decoded.
        """


@dataclass(frozen=True)
class Look:
    """How one image is shown.

    Attributes:
        row: its row number in the source.
        mirrored: left to right, with paired classes swapped.
        scale: factor on its size.
    """

    row: int
    mirrored: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class LookReader:
    """Reads images and shows them as asked.

    Attributes:
        images: the source.
        swaps: int64 [K], the class that each becomes in a mirror.
        masks: unpack masks; without, objects come without them.
        crowd: keep regions with many objects.
        stride: height and width of a batch are multiples of it.
    """

    images: Images
    swaps: Tensor
    masks: bool
    crowd: bool
    stride: int

    def read(self, groups: Iterator[tuple[Sequence[Look], Rows]]) -> Iterator[DetectionBatch]:
        """Yield a uint8 batch for each group of looks, read ahead by threads."""
        with ThreadPoolExecutor(_THREADS) as pool:
            waiting: deque[tuple[list[Future[tuple[Tensor, Objects]]], Sequence[Look], Rows]] = deque()
            for looks, place in groups:
                waiting.append(([pool.submit(self.one, look) for look in looks], looks, place))
                if len(waiting) > _AHEAD:
                    yield self._batch(*waiting.popleft())
            while waiting:
                yield self._batch(*waiting.popleft())

    def one(self, look: Look) -> tuple[Tensor, Objects]:
        """Return an image uint8 [3, h, w] as it is shown, with its objects."""
        entry = self.images.entries[look.row]
        pixels, objects = self.images.pixels(look.row), entry.objects
        if not self.crowd and bool(objects.crowd.any()):
            objects = objects.at(~objects.crowd)
        packed = objects.masks if self.masks and isinstance(objects.masks, tuple) else None
        objects = replace(objects, masks=None if packed is None else decode(packed, *entry.size))
        pixels, objects = resize(pixels, objects, look.scale)
        if look.mirrored:
            pixels, objects = mirror(pixels, objects, self.swaps)
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), objects

    def _batch(
        self, futures: list[Future[tuple[Tensor, Objects]]], looks: Sequence[Look], rows: Rows
    ) -> DetectionBatch:
        read = [future.result() for future in futures]
        images, sizes = joined([image for image, _ in read], self.stride)
        numbers = [look.row for look in looks]
        originals = torch.tensor([list(self.images.entries[row].size) for row in numbers])
        return DetectionBatch(
            images, sizes, originals, tuple(objects for _, objects in read), torch.tensor(numbers), rows
        )


@dataclass(frozen=True)
class DetectionTrainLoader:
    """One process's share of the training batches.

    Attributes:
        index: int64 [n], the training images.
        reader: reads them.
        settings: how they are changed.
        normaliser: what `augment` applies.
        seed: the run's seed.
        batch_size: rows of the global batch.
        rank: this process, in [0, world_size).
        world_size: number of processes.
    """

    index: np.ndarray
    reader: LookReader
    settings: DetectionAugment
    normaliser: Normaliser
    seed: int
    batch_size: int
    rank: int
    world_size: int

    @property
    def steps_per_epoch(self) -> int:
        """Whole global batches in an epoch; the images left over are other ones in each epoch."""
        return len(self.index) // self.batch_size

    def batches(self, start_step: int, stop_step: int) -> Iterator[DetectionBatch]:
        """Yield uint8 batches of the steps in [start_step, stop_step); starting anywhere is free."""
        return self.reader.read(self._groups(start_step, stop_step))

    def augment(self, batch: DetectionBatch) -> DetectionBatch:
        """Normalise a batch of `batches` on its device; mirrored and resized it is already."""
        return normalised(batch, self.normaliser)

    def _groups(self, start_step: int, stop_step: int) -> Iterator[tuple[Sequence[Look], Rows]]:
        order, ordered = self.index, -1
        share = self.batch_size // self.world_size
        first = self.rank * share
        for step in range(start_step, stop_step):
            epoch, within = divmod(step, self.steps_per_epoch)
            if epoch != ordered:
                order = shuffled(self.index, np.random.default_rng(derive(self.seed, "order", epoch)))
                ordered = epoch
            begin = within * self.batch_size + first
            looks = [self._look(int(row), epoch) for row in order[begin : begin + share]]
            yield looks, Rows(first, self.batch_size)

    def _look(self, row: int, epoch: int) -> Look:
        flip, side = np.random.default_rng(derive(self.seed, "augment", epoch, row)).random(2)
        size = self.reader.images.entries[row].size
        return Look(row, self.settings.flip and flip < 0.5, self.settings.scale(*size, True, float(side)))


@dataclass(frozen=True)
class DetectionEvalLoader:
    """One process's share of a split: images rank, rank + world_size, ..., each once; can be iterated again.

    Attributes:
        index: int64 [n], this process's images.
        reader: reads them.
        settings: gives their size.
        normaliser: applied to each batch.
        batch_size: most rows of a batch.
        device: where batches are put.
    """

    index: np.ndarray
    reader: LookReader
    settings: DetectionAugment
    normaliser: Normaliser
    batch_size: int
    device: torch.device

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.index) // self.batch_size)

    def __iter__(self) -> Iterator[DetectionBatch]:
        """Yield normalised float32 batches on the device; objects without masks."""
        for batch in self.reader.read(self._groups()):
            yield normalised(batch.to(self.device, non_blocking=True), self.normaliser)

    def _groups(self) -> Iterator[tuple[Sequence[Look], Rows]]:
        for start in range(0, len(self.index), self.batch_size):
            rows = self.index[start : start + self.batch_size].tolist()
            entries = self.reader.images.entries
            looks = [Look(row, scale=self.settings.scale(*entries[int(row)].size, False, 0.0)) for row in rows]
            yield looks, Rows(0, len(rows))


def normalised(batch: DetectionBatch, normaliser: Normaliser) -> DetectionBatch:
    """Return the batch with float32 images, 0 beside the images."""
    images = normaliser(batch.images)
    for image, (height, width) in zip(images, batch.sizes.tolist(), strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return replace(batch, images=images)


class DetectionData:
    """A detection data set with its splits, ready to be read.

    Args:
        classes: class names; a label is a position in it.
        sources: the images to train on, and those to score on.
        fingerprint: hexadecimal hash of images and annotations.
        mean: mean of red, green, blue that is subtracted, in 0..1.
        std: what they are divided by, in 0..1.
        splits: train, val and, where asked for, minival.
        augment: sizes and random changes.
        backend: how pixels are decoded.
        notices: what the reader should know, such as repaired annotations.
        category_ids: the number of each class in its annotations; None: from 1 on.

    Raises:
        DataError: a pair of `augment.swap` does not fit the classes, or there is no object to train on.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str],
        sources: dict[Literal["train", "val"], Images],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        splits: dict[str, Split],
        augment: DetectionAugment,
        backend: str,
        notices: Sequence[str] = (),
        category_ids: Sequence[int] | None = None,
    ) -> None:
        self.category_ids = tuple(category_ids or range(1, len(classes) + 1))
        self.classes, self.sources, self.fingerprint = tuple(classes), sources, fingerprint
        self.mean, self.std, self.splits, self.backend = tuple(mean), tuple(std), splits, backend
        self._augment, self._swaps = augment, augment.swaps(classes)
        known = [entry.objects for source in sources.values() for entry in source.entries]
        self.has_masks = all(objects.masks is not None for objects in known)
        if not any(len(entry.objects) for entry in self.entries("train")):
            raise DataError("A training set must have objects", found=f"{len(splits['train'])} images without any")
        self.notices = (*notices, *self._own_notices())

    @property
    def splits_hash(self) -> str:
        """Return 16 hexadecimal digits that identify which image is in which split."""
        return splits_digest(self.splits)

    def split_indices(self) -> dict[str, list[int]]:
        """Return the row numbers of each split in its source, to be recorded."""
        return {name: split.index.tolist() for name, split in self.splits.items()}

    def entries(self, split: str) -> list[Entry]:
        """Return the images of a split in the order of evaluation with one process.

        Raises:
            DataError: there is no such split.
        """
        chosen = self._split(split)
        return [self.sources[chosen.source].entries[row] for row in chosen.index]

    def presence(self, split: str) -> np.ndarray:
        """Return int64 [n, K], how many objects of each class are on each image of a split."""
        rows = [np.bincount(entry.objects.labels.numpy(), minlength=len(self.classes)) for entry in self.entries(split)]
        return np.stack(rows).astype(np.int64)

    def train_loader(
        self,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        channels_last: bool = False,
        masks: bool = True,
    ) -> DetectionTrainLoader:
        """Return this process's training batches; objects come without crowd regions.

        Args:
            seed: the run's seed; it fixes the order and the changes.
            batch_size: rows of the global batch, over all processes.
            rank: this process, in [0, world_size).
            world_size: number of processes.
            channels_last: memory format of the images.
            masks: whether masks are wanted.

        Raises:
            DataError: the batch does not divide among the processes, or the training set is smaller than a batch.
        """
        split = self.splits["train"]
        if batch_size < 1 or batch_size % world_size:
            raise DataError(
                "The global batch size must be a positive multiple of the number of processes",
                found=f"batch size {batch_size} for {world_size} processes",
                do=f"use a multiple of {world_size}",
            )
        if len(split) < batch_size:
            raise DataError(
                "The training set must fill at least one batch",
                found=f"{len(split)} training images for a batch size of {batch_size}",
                do=f"choose a batch size of at most {len(split)}",
            )
        reader = LookReader(self.sources["train"], self._swaps, masks and self.has_masks, crowd=False, stride=STRIDE)
        normaliser = Normaliser(self.mean, self.std, channels_last)
        return DetectionTrainLoader(split.index, reader, self._augment, normaliser, seed, batch_size, rank, world_size)

    def eval_loader(
        self,
        split: str,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> DetectionEvalLoader:
        """Return this process's share of a split; over all processes every image comes exactly once.

        Raises:
            DataError: there is no such split.
        """
        chosen = self._split(split)
        reader = LookReader(self.sources[chosen.source], self._swaps, masks=False, crowd=True, stride=STRIDE)
        normaliser = Normaliser(self.mean, self.std, channels_last)
        index = chosen.index[rank::world_size]
        return DetectionEvalLoader(index, reader, self._augment, normaliser, batch_size, torch.device(device))

    def _own_notices(self) -> Iterator[str]:
        for split in self.splits:
            counts = self.presence(split)
            empty = int((counts.sum(1) == 0).sum())
            if empty:
                yield f"{empty} of {len(counts)} images of {split} have no object; they count like the others"
            if absent := [name for name, count in zip(self.classes, counts.sum(0), strict=True) if not count]:
                yield f"{len(absent)} classes have no object in {split}: {listing(absent)}"

    def _split(self, name: str) -> Split:
        if name in self.splits:
            return self.splits[name]
        close = nearest(name, self.splits)
        raise DataError(
            f"The split must be one of {listing(self.splits)}",
            found=name,
            do=f"did you mean {close}?" if close else "set data.minival to hold part of the training set out",
        )
