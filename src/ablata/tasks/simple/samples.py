"""Samples of map-style torch data sets: batches in an order that follows from seed and step, and their fingerprint."""

from __future__ import annotations

import hashlib
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.data.loading.loaders import refuse_less_than_a_batch
from ablata.data.loading.worker_processes import HUNG_SECONDS, begin_worker, read_all

_HASHED = 4096
"""Most samples of a data set that are read for its fingerprint."""
_PROBED = 64
_QUICK_SECONDS = 1.0
_SLOW: dict[tuple[str, str], str] = {}
"""Fingerprints of data sets that were slow to read in this process, by where they came from and a probe of them."""


@dataclass(frozen=True)
class CollatedBatch:
    """A batch as torch's `default_collate` makes it: tensors in tuples, lists and dicts, samples along dimension 0.

    Args:
        values: the tree of tensors.
    """

    values: Any

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(next(_tensors(self.values)))

    def to(self, device: torch.device | str) -> CollatedBatch:
        """Return the batch with every tensor on `device`."""
        return CollatedBatch(mapped(self.values, lambda tensor: tensor.to(device, non_blocking=True)))

    def chunk(self, n: int) -> list[CollatedBatch]:
        """Split into `n` consecutive parts whose lengths differ by at most one."""
        bounds = [len(self) * part // n for part in range(n + 1)]
        return [self.rows(start, stop) for start, stop in itertools.pairwise(bounds)]

    def rows(self, start: int, stop: int) -> CollatedBatch:
        """Return the samples from `start` to `stop`, which is not among them."""
        return CollatedBatch(mapped(self.values, lambda tensor: tensor[start:stop]))


def mapped(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a tree of tuples, lists and dicts with every tensor changed; everything else stays."""
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {name: mapped(value, change) for name, value in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [mapped(value, change) for value in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        yield from _tensors(list(tree.values()))
    elif isinstance(tree, tuple | list):
        for value in tree:
            yield from _tensors(value)


class SeededSamples(Dataset[Any]):
    """A data set whose random augmentations follow from a seed: torch's, numpy's and Python's generators are set
    before a sample is read, and put back after it.

    Args:
        dataset: map-style, with `__len__` and `__getitem__`.
        seed: the run's seed.
    """

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.dataset)

    def __getitem__(self, place: tuple[int, int]) -> Any:
        """Return the sample of a row as an epoch sees it; `place` is epoch and row."""
        epoch, row = place
        with _generators(derive(self.seed, "augment", epoch, row)):
            return self.dataset[row]


@contextmanager
def _generators(seed: int) -> Iterator[None]:
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])


@dataclass(frozen=True)
class BatchOrder:
    """Which samples meet in which step: a permutation each epoch, drawn from the seed; whole batches only.

    Args:
        count: samples.
        batch_size: of the global batch.
        seed: the run's seed.

    Raises:
        DataError: the data set is smaller than a batch.
    """

    count: int
    batch_size: int
    seed: int

    def __post_init__(self) -> None:
        refuse_less_than_a_batch(self.count, self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the samples left over are other ones in each epoch."""
        return self.count // self.batch_size

    def places(self, start: int, stop: int, rank: int, world_size: int) -> Iterator[list[tuple[int, int]]]:
        """Yield epoch and row of this process's share of the samples of each step from `start` to `stop`."""
        share = self.batch_size // world_size
        order, ordered = np.zeros(0, dtype=np.int64), -1
        for step in range(start, stop):
            epoch, position = divmod(step, self.steps_per_epoch)
            if epoch != ordered:
                order = np.random.default_rng(derive(self.seed, "order", epoch)).permutation(self.count)
                ordered = epoch
            first = position * self.batch_size + rank * share
            yield [(epoch, row) for row in order[first : first + share].tolist()]


def read_batches(
    samples: SeededSamples, places: Iterable[list[tuple[int, int]]], workers: int
) -> Iterator[CollatedBatch]:
    """Yield a batch for each list of places, read by worker processes where there are some.

    Raises:
        RunError: a worker process was killed, or hangs.
    """
    sampler: Any = places
    # A generator of its own: torch's global one belongs to the model's noise.
    loader = DataLoader(
        samples,
        batch_sampler=sampler,
        num_workers=workers,
        worker_init_fn=begin_worker,
        timeout=HUNG_SECONDS if workers else 0,
        generator=torch.Generator(),
    )
    for values in read_all(loader):
        yield CollatedBatch(values)


def known_samples_digest(dataset: Any, origin: str) -> str:
    """Return `samples_digest`, read once in a process for each origin where that takes longer than a second.

    Before it is taken as known, some samples are read: a set that was made anew meanwhile is read whole again.

    Args:
        dataset: the data set.
        origin: identifies the code and the arguments that made it.
    """
    key = (origin, samples_digest(dataset, _PROBED))
    if key in _SLOW:
        return _SLOW[key]
    began = time.perf_counter()
    found = samples_digest(dataset)
    if time.perf_counter() - began > _QUICK_SECONDS:
        _SLOW[key] = found
    return found


def samples_digest(dataset: Any, most: int = _HASHED) -> str:
    """Return a hash of a data set's samples: its own `fingerprint`, or that of its length and contents.

    Of a large set `most` samples are read, evenly spread.

    Raises:
        DataError: it is no map-style data set, or empty.
    """
    own = getattr(dataset, "fingerprint", None)
    if isinstance(own, str):
        return own
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")) or len(dataset) == 0:
        raise DataError(
            "A data set must be map-style, with __len__ and __getitem__, and hold a sample",
            found=f"a {type(dataset).__name__}" + (" without a sample" if hasattr(dataset, "__len__") else ""),
            do="write __len__, and __getitem__ of a position",
        )
    hasher, seeded = hashlib.blake2b(str(len(dataset)).encode(), digest_size=12), SeededSamples(dataset, 0)
    for row in np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int)).tolist():
        _add(hasher, seeded[0, row])
    return hasher.hexdigest()


def _add(hasher: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, Mapping):
        value = [part for name in sorted(value) for part in (name, value[name])]
    if isinstance(value, tuple | list):
        hasher.update(f"{len(value)};".encode())
        for part in value:
            _add(hasher, part)
    elif hasattr(value, "__array_interface__"):
        array = np.ascontiguousarray(value)
        hasher.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    else:
        hasher.update(f"{type(value).__name__}{value!r};".encode())
