"""Batch sampling: shuffled, or several images of each of a few identities (PK sampling)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.base.errors import DataError
from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.data.loading.loaders import Order, shuffled


class Shuffled(Settings):
    """Shuffled sampling: every image once an epoch, in random order."""

    kind: Literal["shuffled"] = "shuffled"

    def build(self, labels: np.ndarray, index: np.ndarray, batch_size: int) -> Order:
        """Return the order; it takes any labels and batch."""
        return shuffled


class Balanced(Settings):
    """PK sampling: P identities with K images each (Hermans et al. 2017, arXiv 1703.07737, section 2: PK batches)."""

    kind: Literal["balanced"] = "balanced"
    images: Annotated[int, Field(ge=1)] = 4
    """K, images of each identity in a batch; P is the batch divided by K."""

    def build(self, labels: np.ndarray, index: np.ndarray, batch_size: int) -> BalancedOrder:
        """Return the order.

        Args:
            labels: int64 [rows of the source], identities.
            index: int64 [n], the training samples among the rows.
            batch_size: rows of the global batch.

        Raises:
            DataError: the batch does not divide so, or holds more identities than there are.
        """
        if batch_size % self.images:
            raise DataError(
                "train.batch must be a multiple of data.sampling.images",
                found=f"train.batch={batch_size}, data.sampling.images={self.images}",
                do=f"for example train.batch={max(1, round(batch_size / self.images)) * self.images}",
            )
        identities, known = batch_size // self.images, len(np.unique(labels[index]))
        if known < identities:
            raise DataError(
                "A batch must not hold more identities than there are",
                found=f"{identities} identities a batch (train.batch / data.sampling.images) of {known}",
                do=f"choose train.batch of at most {known * self.images}, or a larger data.sampling.images",
            )
        return BalancedOrder(labels, identities, self.images)


AnySampling = Annotated[Shuffled | Balanced, OpenPart()]


@dataclass(frozen=True)
class BalancedOrder:
    """PK order: an epoch in which every batch holds P different identities with K consecutive images each.

    All identities come equally often (within one visit), however many images they have, and so does each image of
    an identity. An identity with fewer than K images repeats some within its K.

    Attributes:
        labels: int64 [rows of the source], identities.
        identities: P.
        images: K.
    """

    labels: np.ndarray
    identities: int
    images: int

    def __call__(self, index: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return int64 [whole batches x P x K], row numbers."""
        labels = self.labels[index]
        names = np.unique(labels)
        images = {name: _groups(random, index[labels == name], self.images) for name in names.tolist()}
        batches = _groups(random, names, self.identities)
        steps = len(index) // (self.identities * self.images)
        chosen = [next(images[name]) for _ in range(steps) for name in next(batches).tolist()]
        return np.concatenate(chosen) if chosen else index[:0]


def _groups(random: np.random.Generator, items: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield groups of `size` different items for ever, all items in turn; fewer than `size` items are repeated."""
    if len(items) < size:
        while True:
            yield np.resize(random.permutation(items), size)
    left = random.permutation(items)
    while True:
        if len(left) < size:
            fresh = random.permutation(items)
            fresh = np.concatenate([fresh[~np.isin(fresh, left)], fresh[np.isin(fresh, left)]])
            left = np.concatenate([left, fresh])
        yield left[:size]
        left = left[size:]
