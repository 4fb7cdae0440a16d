"""Data sets that fit into memory: one uint8 tensor a source, kept on the device that reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import BatchIndices, ImageReader
from ablata.data.loading.splits import Source, make_splits
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.resize_crop import center_crop


@dataclass(frozen=True)
class ImageArrays:
    """Images and labels in memory.

    Attributes:
        images: uint8 [n, C, H, W]; may be a memory map that is writable (copy on write).
        labels: int64 [n].
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class InMemoryReader:
    """Reads from one tensor, uint8 [n, C, H, W], on its device."""

    images: Tensor

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[Tensor]:
        """Yield uint8 [b, C, H, W] for each of `batches`, on the tensor's device."""
        for batch in batches:
            yield self.images.index_select(0, torch.from_numpy(batch.index).to(self.images.device))


class InMemoryDataset(LabeledImageDataset):
    """A data set in memory, which can be enlarged for its crops.

    Args:
        train: the training store; train and minival are taken from it.
        val: the validation store.
        classes: class names.
        fingerprint: hash of the content.
        mean: see `Dataset`.
        std: see `Dataset`.
        minival: samples or fraction held out of train.
        split_seed: seed of that split.
        augment: batch augmentation.
        backend: how pixels were decoded.
        notices: see `Dataset`.
    """

    resizes = True

    def __init__(
        self,
        train: ImageArrays,
        val: ImageArrays,
        *,
        classes: Sequence[str],
        fingerprint: str,
        mean: Sequence[float],
        std: Sequence[float],
        minival: int | float,
        split_seed: int,
        augment: Augment,
        backend: str,
        notices: Sequence[str] = (),
    ) -> None:
        _, channels, height, width = train.images.shape
        if augment.resize is not None:
            backend = f"{backend}, enlarged by {augment.resize.backend_name()}"
        super().__init__(
            classes=classes,
            image_size=(height, width),
            channels=channels,
            fingerprint=fingerprint,
            mean=mean,
            std=std,
            labels={"train": train.labels, "val": val.labels},
            splits=make_splits(train.labels, len(val.labels), minival, split_seed),
            augment=augment,
            backend=backend,
            notices=notices,
        )
        self._images = {"train": torch.from_numpy(train.images), "val": torch.from_numpy(val.images)}
        self._on_device: dict[tuple[str, torch.device, str], Tensor] = {}

    def image_reader(
        self, source: Source, *, training: bool, seed: int, device: torch.device, crop: EvalCrop = DEFAULT
    ) -> ImageReader:
        """Return a reader of the source's tensor, enlarged where the augmentation asks for it, and moved to the device
        once; random places of crops are drawn by the augmentation."""
        enlarge = self._augment.resize
        enlarged = enlarge is not None and (training or enlarge.evaluation)
        place = (source, device, "as stored" if not enlarged else "enlarged" if training else "middle")
        if place not in self._on_device:
            images = self._images[source]
            if enlarge is not None and enlarged:
                images = enlarge.apply(images) if training else center_crop(enlarge.apply(images), *self.image_size)
            self._on_device[place] = images.to(device)
        return InMemoryReader(self._on_device[place])
