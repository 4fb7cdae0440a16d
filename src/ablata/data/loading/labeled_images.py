"""Data sets of images with one label each: classes of a classifier, or identities."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import DataError
from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.data.loading.dataset import Dataset
from ablata.data.loading.loaders import EvalLoader, ImageReader, LabeledReader
from ablata.data.loading.splits import Source, Split
from ablata.data.transforms.classification import Augment, ImageAugmenter
from ablata.structures.batch import ImageBatch


class LabeledImageDataset(Dataset[ImageBatch]):
    """A data set of images with one label each. A subclass gives `image_reader`.

    Args:
        classes: see `Dataset`, as are the arguments that are not listed here.
        image_size: height and width in pixels of every image that a loader gives, after augmentation.
        channels: 1, 3 (red, green, blue), or another number of bands.
        labels: int64 [n] of each source.
        augment: augmentation of training batches.

    Attributes:
        augments_each_image: whether the set can change images where it reads them, as `augment.policy.where` asks for.
        resizes: whether the set can enlarge its training images, as `augment.resize` asks for.

    Raises:
        DataError: `augment.resize` or `augment.policy.where` is set for a set that cannot.
    """

    resizes: ClassVar[bool] = False
    augments_each_image: ClassVar[bool] = False

    def __init__(
        self,
        *,
        classes: Sequence[str],
        image_size: tuple[int, int],
        channels: int,
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        labels: Mapping[Source, np.ndarray],
        splits: dict[str, Split],
        augment: Augment,
        backend: str,
        notices: Sequence[str] = (),
        left_out: Sequence[str] = (),
    ) -> None:
        if augment.resize is not None and not self.resizes:
            raise DataError(
                "data.augment.resize is for sets that lie in memory",
                found="images that are read from files at every step",
                do="set data.augment.resize=null; image folders have data.crop=random with data.resize and data.size",
            )
        if augment.policy is not None and augment.policy.where != "batch" and not self.augments_each_image:
            raise DataError(
                "data.augment.policy.where must be batch for sets that are not read from image folders",
                found=f"data.augment.policy.where={augment.policy.where}",
                do="set data.augment.policy.where=batch",
            )
        super().__init__(
            classes=classes,
            splits=splits,
            fingerprint=fingerprint,
            mean=mean,
            std=std,
            backend=backend,
            notices=notices,
            left_out=left_out,
        )
        self.image_size, self.channels = image_size, channels
        self._augment = augment
        self._labels = {source: torch.from_numpy(values) for source, values in labels.items()}

    @abstractmethod
    def image_reader(
        self, source: Source, *, training: bool, seed: int, device: torch.device, crop: EvalCrop = DEFAULT
    ) -> ImageReader:
        """Return what reads the images of a source.

        Args:
            source: train or val.
            training: whether the set's random crops are made, drawn from `seed`.
            seed: the run's seed.
            device: where batches will be put.
            crop: which part of the images evaluation looks at; `check_crop` has let it pass.
        """

    def reader(self, source: Source, *, training: bool, seed: int, device: torch.device) -> LabeledReader:
        """Return what reads images of a source with their labels; see `Dataset.reader`."""
        return LabeledReader(
            self.image_reader(source, training=training, seed=seed, device=device), self._labels[source]
        )

    def augmenter(self, seed: int, channels_last: bool = False) -> ImageAugmenter:
        """Return the augmentation of a run with this seed."""
        return ImageAugmenter(self._augment, seed, self.normalizer(channels_last), self.image_size)

    def eval_loader(
        self,
        split: str,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        channels_last: bool = False,
        crop: EvalCrop = DEFAULT,
    ) -> EvalLoader[ImageBatch]:
        """Return this process's share of a split, normalized; see `Dataset.eval_loader`.

        Args:
            split: train, val or minival.
            batch_size: rows of a batch of this process.
            rank: this process.
            world_size: number of processes.
            device: where batches are put.
            channels_last: memory format of the images.
            crop: which part of the images.

        Raises:
            DataError: there is no such split, or no such crop of this set.
        """
        loader = super().eval_loader(split, batch_size, rank, world_size, device, channels_last)
        if crop == DEFAULT:
            return loader
        self.check_crop(crop)
        source, device = self.split(split).source, loader.device
        images = self.image_reader(source, training=False, seed=0, device=device, crop=crop)
        return replace(loader, reader=LabeledReader(images, self._labels[source]))

    def check_crop(self, crop: EvalCrop) -> None:
        """Check before the first step that evaluation can look at a part of the images.

        Raises:
            DataError: it cannot: only image files are larger than what the network sees.
        """
        if crop != DEFAULT:
            raise DataError(
                "Protocols that cut images otherwise need a set of image files (data.kind=image_folder)",
                found=f"images that are kept at {'x'.join(map(str, self.image_size))}",
                do="use plain, mirror or mirror_translate",
            )

    def stored_images(self, batch: ImageBatch) -> list[np.ndarray]:
        """Return the images of a training batch as they are stored, uint8 [H, W, C]: here those of the batch.

        Args:
            batch: as it was read, not augmented.

        Raises:
            DataError: a file cannot be read.
        """
        return list(batch.images.permute(0, 2, 3, 1).cpu().numpy())

    def restricted(self, index: np.ndarray) -> Self:
        """Return this set with `index` (int64, ascending) as its training samples; the others are `unlabeled`."""
        others = np.setdiff1d(self.splits["train"].index, index, assume_unique=True)
        small = copy.copy(self)
        small.splits = self.splits | {"train": Split("train", index), "unlabeled": Split("train", others)}
        return small

    def split_labels(self, split: str) -> Tensor:
        """Return int64 [n], the classes of a split in the order of evaluation with one process."""
        chosen = self.split(split)
        return self._labels[chosen.source][torch.from_numpy(chosen.index)]
