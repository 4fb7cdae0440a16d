"""What every data set of classes offers to training and evaluation, whatever it is stored in."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError, listing, nearest
from ablata.data.io.eval_crop import OWN, Framing
from ablata.data.loading.loaders import EvalLoader, Reader, TrainLoader
from ablata.data.loading.splits import Split, splits_digest
from ablata.data.transforms.classification import Augment, Augmenter, Normaliser
from ablata.structures.batch import ImageBatch


class ImageData(ABC):
    """A classification data set with its splits, ready to be read.

    Attributes:
        classes: class names; a label is a position in it.
        image_size: height and width in pixels of every image that a loader gives, after augmentation.
        channels: 1 or 3 (red, green, blue).
        fingerprint: hexadecimal hash of the content: equal content gives an equal fingerprint wherever it lies.
        mean: mean of each channel over the training set, in 0..1.
        std: standard deviation of each channel, in 0..1.
        splits: train, val, and minival where the settings ask for it. (The test files of CIFAR are val.)
        backend: how pixels were decoded and resized, for checkpoints: evaluation elsewhere must use the same.
        notices: what the reader should know of the files, such as ignored ones.
        left_out: files and classes that could not be used, and why, one a line.
        changes_images: whether the set can change images where it reads them, as `augment.policy.where` asks for.
        enlarges: whether the set can enlarge its training images, as `augment.resize` asks for.

    Raises:
        DataError: `augment.resize` or `augment.policy.where` is set for a set that cannot.
    """

    enlarges: ClassVar[bool] = False
    changes_images: ClassVar[bool] = False

    def __init__(
        self,
        *,
        classes: Sequence[str],
        image_size: tuple[int, int],
        channels: int,
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        labels: dict[Literal["train", "val"], np.ndarray],
        splits: dict[str, Split],
        augment: Augment,
        backend: str,
        notices: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> None:
        if augment.resize is not None and not self.enlarges:
            raise DataError(
                "data.augment.resize is for sets that lie in memory",
                found="images that are read from files at every step",
                do="set data.augment.resize=null; image folders have data.crop=random with data.resize and data.size",
            )
        if augment.policy is not None and augment.policy.where != "batch" and not self.changes_images:
            raise DataError(
                "data.augment.policy.where must be batch for sets that are not read from image folders",
                found=f"data.augment.policy.where={augment.policy.where}",
                do="set data.augment.policy.where=batch",
            )
        self.classes, self.image_size, self.channels = tuple(classes), image_size, channels
        self.fingerprint, self.backend = fingerprint, backend
        self.notices, self.left_out = tuple(notices), tuple(left_out)
        self.mean, self.std, self.splits = tuple(mean), tuple(std), splits
        self._augment = augment
        self._labels = {source: torch.from_numpy(values) for source, values in labels.items()}

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

    def restricted(self, index: np.ndarray) -> Self:
        """Return this set with `index` (int64, ascending) as its training samples; the others are `unlabelled`."""
        others = np.setdiff1d(self.splits["train"].index, index, assume_unique=True)
        small = copy.copy(self)
        small.splits = self.splits | {"train": Split("train", index), "unlabelled": Split("train", others)}
        return small

    def split_labels(self, split: str) -> Tensor:
        """Return int64 [n], the classes of a split in the order of evaluation with one process."""
        chosen = self._split(split)
        return self._labels[chosen.source][torch.from_numpy(chosen.index)]

    def augmenter(self, seed: int, channels_last: bool = False) -> Augmenter:
        """Return the augmentation of a run with this seed."""
        return Augmenter(self._augment, seed, self._normaliser(channels_last), self.image_size)

    def prepare(self, batch: ImageBatch, channels_last: bool = False) -> ImageBatch:
        """Return the batch normalised without augmentation; one that is float already is returned as it is."""
        if batch.images.dtype != torch.uint8:
            return batch
        return replace(batch, images=self._normaliser(channels_last)(batch.images))

    def train_loader(
        self,
        seed: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
    ) -> TrainLoader:
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
        count = len(self.splits["train"])
        if batch_size < 1 or batch_size % world_size:
            raise DataError(
                "The global batch size must be a positive multiple of the number of processes",
                found=f"batch size {batch_size} for {world_size} processes",
                do=f"use a multiple of {world_size}",
            )
        if batch_size % self._augment.repeats:
            raise DataError(
                "The global batch size must be a multiple of data.augment.repeats",
                found=f"batch size {batch_size}, data.augment.repeats={self._augment.repeats}",
            )
        if count < batch_size:
            raise DataError(
                "The training set must fill at least one batch",
                found=f"{count} training samples for a batch size of {batch_size}",
                do=f"choose a batch size of at most {count}",
            )
        device = torch.device(device)
        return TrainLoader(
            index=self.splits["train"].index,
            labels=self._labels["train"],
            reader=self.reader("train", training=True, seed=seed, device=device),
            augmenter=self.augmenter(seed, channels_last),
            seed=seed,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            device=device,
        )

    def eval_loader(
        self,
        split: str,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        framing: Framing = OWN,
    ) -> EvalLoader:
        """Return this process's share of a split, normalised; over all processes every sample comes exactly once.

        Args:
            split: train, val or minival; train comes without augmentation.
            batch_size: rows of a batch of this process.
            rank: this process, in [0, world_size).
            world_size: number of processes.
            device: where batches are put.
            channels_last: memory format of the images.
            framing: which part of the images.

        Raises:
            DataError: there is no such split, or no such framing of this set.
        """
        chosen, device = self._split(split), torch.device(device)
        return EvalLoader(
            index=chosen.index[rank::world_size],
            labels=self._labels[chosen.source],
            reader=self.framed_reader(chosen.source, framing, device),
            normaliser=self._normaliser(channels_last),
            batch_size=batch_size,
            device=device,
        )

    @abstractmethod
    def reader(self, source: Literal["train", "val"], *, training: bool, seed: int, device: torch.device) -> Reader:
        """Return what reads the pixels of a source; `training` asks for the set's random crops, drawn from `seed`."""

    def framed_reader(self, source: Literal["train", "val"], framing: Framing, device: torch.device) -> Reader:
        """Return what reads the pixels of a source for evaluation, framed otherwise than the settings say."""
        self.refuse_framing(framing)
        return self.reader(source, training=False, seed=0, device=device)

    def refuse_framing(self, framing: Framing) -> None:
        """Check before the first step that evaluation can look at a part of the images.

        Raises:
            DataError: it cannot: only image files are larger than what the network sees.
        """
        if framing != OWN:
            raise DataError(
                "Protocols that cut images otherwise need a set of image files (data.kind=image_folder)",
                found=f"images that are kept at {'x'.join(map(str, self.image_size))}",
                do="use plain, mirror or mirror_translate",
            )

    def _normaliser(self, channels_last: bool) -> Normaliser:
        return Normaliser(self.mean, self.std, channels_last)

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
