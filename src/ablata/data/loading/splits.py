"""Train, val and minival splits: exact, stratified, the same for every run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ablata.base.errors import DataError
from ablata.base.seeds import derive

Source: TypeAlias = Literal["train", "val", "test"]
"""What samples come from: those to train on (minival is taken from them too), those to score on, and others that only
`evaluate --split test` looks at."""
SOURCES: tuple[Source, ...] = ("train", "val")
"""Those that a training needs."""


@dataclass(frozen=True)
class Split:
    """A split: a part of a data set.

    Attributes:
        source: which of the set's stores the rows are in.
        index: int64 [n], row numbers in that store, ascending.
    """

    source: Source
    index: np.ndarray

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.index)


def hold_out(labels: np.ndarray, amount: int | float, split_seed: int, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a stratified part of a labelled set.

    Every class gives its share of it, rounded so that it has exactly the wanted size (largest remainders).

    Args:
        labels: int64 [n], class of each sample.
        amount: how many samples, or a fraction in (0, 1) of them; 0 holds out nothing.
        split_seed: seed of the split, apart from any run's seed.
        key: the setting's name, for the message.

    Returns:
        Row numbers that remain and row numbers held out, both int64 and ascending.

    Raises:
        DataError: the amount is negative or leaves a class without a training sample.
    """
    count = round(amount * len(labels)) if isinstance(amount, float) and amount < 1 else int(amount)
    if amount < 0 or (count != amount and not 0 < amount < 1):
        raise DataError(
            f"{key} must be a whole number of samples >= 0, or a fraction between 0 and 1",
            found=f"{key}={amount}",
            do=f"{key}=0.1 holds out a tenth, {key}=500 so many samples, {key}=0 none",
        )
    sizes = np.bincount(labels) if len(labels) else np.zeros(0, dtype=np.int64)
    taken = _apportion(sizes, count)
    if np.any((taken >= sizes) & (sizes > 0)) and count:
        smallest = int(sizes[sizes > 0].min())
        raise DataError(
            f"{key} must leave at least one training sample of every class",
            found=f"{key}={amount} of {len(labels)} samples, the smallest class has {smallest}",
            do=f"choose a smaller {key}",
        )
    random = np.random.default_rng(derive(split_seed, "split"))
    held = [
        random.permutation(np.flatnonzero(labels == label))[:number] for label, number in enumerate(taken) if number
    ]
    held_out = np.sort(np.concatenate(held)) if held else np.zeros(0, dtype=np.int64)
    remaining = np.setdiff1d(np.arange(len(labels)), held_out, assume_unique=True)
    return remaining.astype(np.int64), held_out.astype(np.int64)


def _apportion(sizes: np.ndarray, count: int) -> np.ndarray:
    """Share `count` among classes in proportion to `sizes`; the largest remainders are rounded up, ties by class."""
    exact = count * sizes / max(int(sizes.sum()), 1)
    taken = np.floor(exact).astype(np.int64)
    order = np.argsort(-(exact - taken), kind="stable")
    taken[order[: max(count - int(taken.sum()), 0)]] += 1
    return taken


def make_splits(train_labels: np.ndarray, val_count: int, minival: int | float, split_seed: int) -> dict[str, Split]:
    """Return train, val and, where asked for, minival (taken from train).

    Raises:
        DataError: see `hold_out`.
    """
    train, held_out = hold_out(train_labels, minival, split_seed, "data.minival")
    splits = {"train": Split("train", train), "val": Split("val", np.arange(val_count, dtype=np.int64))}
    if len(held_out):
        splits["minival"] = Split("train", held_out)
    return splits


def splits_digest(splits: Mapping[str, Split]) -> str:
    """Return 16 hexadecimal digits that identify which sample is in which split; a test split plays no part in it."""
    content = hashlib.blake2b(digest_size=8)
    for name in sorted(splits.keys() - {"test"}):
        content.update(f"{name}:{splits[name].source}:{len(splits[name])};".encode())
        content.update(splits[name].index.astype("<i8").tobytes())
    return content.hexdigest()
