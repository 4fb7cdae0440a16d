"""Re-identification data sets: images of persons by several cameras, with queries and a gallery.

Persons to be found are never persons trained on. Training identities are numbered 0..n-1; identities held out to choose
on (minival) follow them; the val source has a numbering of its own.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.data.io.crop import backend_name, resize
from ablata.data.io.decode import open_image, to_rgb
from ablata.data.loading.dataset import DataSettings
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.loading.loaders import Order
from ablata.data.loading.sampling import AnySampling, Shuffled
from ablata.data.loading.splits import Split
from ablata.data.transforms.classification import Augment


class ReidSettings(DataSettings):
    """Settings of re-identification data sets."""

    height: Annotated[int, Field(ge=16)] = 128
    """Pixels; persons stand upright, so images are about twice as high as wide."""
    width: Annotated[int, Field(ge=8)] = 64
    """Pixels."""
    minival: Annotated[int | float, Field(ge=0)] = 0
    """Identities (or a fraction of them, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of that split, apart from the run's seed: every run sees the same one."""
    sampling: AnySampling = Shuffled()
    """Which images meet in a training batch."""
    augment: Augment = Augment(flip=True)
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Subtracted from red, green, blue in 0..1. ImageNet's, so that networks of several sets see alike values."""
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """What red, green, blue in 0..1 are divided by; ImageNet's."""

    @abstractmethod
    def build(self, cache: Path) -> ReidDataset:
        """Build the set; see `DataSettings.build`."""

    def faults(self, cache: Path) -> list[str]:
        """Return what is wrong with single files, each named; none of sets without files."""
        return []

    def read_image(self, file: Path) -> np.ndarray:
        """Return an image file as these sets prepare theirs, uint8 [3, height, width].

        Raises:
            DataError: the file is no image or damaged.
        """
        image = to_rgb(open_image(file, str(file)), str(file))
        return resize(image, (self.height, self.width), "pil", "bilinear").transpose(2, 0, 1)

    def backend_name(self) -> str:
        """Name what decodes and resizes in `read_image`, for checkpoints."""
        return backend_name("pil", "bilinear")


@dataclass(frozen=True)
class IdentitySource:
    """The images of a re-identification source: identities, cameras, queries.

    Attributes:
        store: images, and identities as positions in `names`.
        cameras: int64 [n].
        queries: bool [n], images that are searched with; the others are searched among.
        names: identities; sorted.
    """

    store: ImageArrays
    cameras: np.ndarray
    queries: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class RetrievalSplit:
    """Queries and gallery of a split, in the order of its samples.

    Attributes:
        identities: int64 [n], positions in `names`.
        cameras: int64 [n].
        queries: bool [n], images that are searched with.
        gallery: bool [n], images that are searched among.
        names: identities.
    """

    identities: Tensor
    cameras: Tensor
    queries: Tensor
    gallery: Tensor
    names: tuple[str, ...]


def first_of_each(identities: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """Return bool [n]: the first image of each identity by each camera, as Market-1501 chooses one of each to query.

    Args:
        identities: int64 [n].
        cameras: int64 [n].
    """
    _, first = np.unique(np.stack([identities, cameras]), axis=1, return_index=True)
    chosen = np.zeros(len(identities), bool)
    chosen[first] = True
    return chosen


def held_out_identities(count: int, amount: int | float, split_seed: int) -> np.ndarray:
    """Return the identities of minival, int64 ascending, out of 0..count-1.

    Raises:
        DataError: the amount is no number of identities or fraction, or leaves fewer than two to train on.
    """
    wanted = round(amount * count) if 0 < amount < 1 else int(amount)
    if amount < 0 or (amount >= 1 and wanted != amount) or count - wanted < 2:
        raise DataError(
            "data.minival must be a number of identities, or a fraction below 1, that leaves two to train on",
            found=f"data.minival={amount} of {count} identities",
            do="choose such a number, or data.minival=0",
        )
    random = np.random.default_rng(derive(split_seed, "split"))
    return np.sort(random.permutation(count)[:wanted]).astype(np.int64)


class ReidDataset(InMemoryDataset):
    """A re-identification data set in memory, with identities for classes.

    Args:
        train: the training source; its `queries` do not count.
        val: persons to be found, none of them in train.
        settings: sampling, augmentation, normalisation, minival.
        fingerprint: hash of the content.
        backend: how pixels were decoded and resized.
        notices: see `Dataset`.

    Attributes:
        classes: names of the identities trained on; a training label is a position in it.

    Raises:
        DataError: minival is out of range.
    """

    def __init__(
        self,
        train: IdentitySource,
        val: IdentitySource,
        settings: ReidSettings,
        *,
        fingerprint: str,
        backend: str,
        notices: Sequence[str] = (),
    ) -> None:
        held = held_out_identities(len(train.names), settings.minival, settings.split_seed)
        trained = np.setdiff1d(np.arange(len(train.names)), held)
        order = np.concatenate([trained, held])
        labels = np.argsort(order)[train.store.labels]
        super().__init__(
            replace(train.store, labels=labels),
            val.store,
            classes=[train.names[identity] for identity in trained],
            fingerprint=fingerprint,
            mean=settings.mean,
            std=settings.std,
            minival=0,
            split_seed=settings.split_seed,
            augment=settings.augment,
            backend=backend,
            notices=notices,
        )
        kept = labels < len(trained)
        self.splits["train"] = Split("train", np.flatnonzero(kept))
        if len(held):
            self.splits["minival"] = Split("train", np.flatnonzero(~kept))
        names = tuple(train.names[identity] for identity in order)
        self._seen = {"train": replace(train, names=names), "val": val}
        self._sampling = settings.sampling

    def retrieval_split(self, split: str) -> RetrievalSplit:
        """Return who is seen where in a split, and what is searched with and among.

        In val, queries and gallery are the set's own. Elsewhere the first image of each identity by each camera is
        searched with, among all images of the split.

        Raises:
            DataError: there is no such split.
        """
        identities = self.split_labels(split)
        chosen = self.splits[split]
        seen = self._seen[chosen.source]
        cameras, queries = seen.cameras[chosen.index], seen.queries[chosen.index]
        gallery = ~queries
        if split != "val":
            queries, gallery = first_of_each(identities.numpy(), cameras), np.ones(len(cameras), bool)
        cameras, queries, gallery = (torch.from_numpy(values) for values in (cameras, queries, gallery))
        return RetrievalSplit(identities, cameras, queries, gallery, seen.names)

    def order(self, batch_size: int) -> Order:
        """Return which identities meet in a batch, as the settings say; see `Dataset.order`."""
        return self._sampling.build(self._labels["train"].numpy(), self.split("train").index, batch_size)
