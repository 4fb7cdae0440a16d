"""Image files read by worker processes, which hand over whole batches of 8-bit pixels.

Random numbers belong to a sample of an epoch, not to a worker: results do not depend on how many workers there are.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ablata.base.errors import DataError, RunError
from ablata.base.seeds import derive
from ablata.data.io.file_slice import Stored
from ablata.data.loading.loaders import BatchIndices
from ablata.data.loading.worker_processes import HUNG_SECONDS, begin_worker, killed_in_words, read_all


class ImageDecoder(Protocol):
    """Turns an image into pixels of the loader's size. Must be picklable, as it is sent to worker processes."""

    def __call__(self, stored: Stored, random: np.random.Generator | None) -> np.ndarray:
        """Return uint8 [H, W, C]; `random` places training crops, None asks for the evaluation crop."""


class _Failure:
    """A data error on its way out of a worker, where an exception would arrive as a traceback."""

    def __init__(self, error: DataError) -> None:
        self.must, self.found, self.do = error.must, error.found, error.do

    def error(self) -> DataError:
        return DataError(self.must, found=self.found, do=self.do)


class _ImageFiles(Dataset[Tensor | _Failure]):
    """Image files of which a whole batch is read at a time."""

    def __init__(self, files: Sequence[Stored], cut: ImageDecoder, seed: int) -> None:
        self.files, self.cut, self.seed = files, cut, seed

    def __getitem__(self, wanted: BatchIndices) -> Tensor | _Failure:
        """Return uint8 [b, C, H, W], its memory in the order of decoded images (channels_last)."""
        batch: np.ndarray | None = None
        # All generators first: made between two decoded images, one takes five times as long, as the caches are cold.
        for row, (index, random) in enumerate(zip(wanted.index, self._generators(wanted), strict=True)):
            try:
                pixels = self.cut(self.files[index], random)
            except DataError as error:
                return _Failure(error)
            if batch is None:
                batch = np.empty((len(wanted.index), *pixels.shape), dtype=np.uint8)
            batch[row] = pixels
        return torch.from_numpy(batch).permute(0, 3, 1, 2)

    def _generators(self, wanted: BatchIndices) -> list[np.random.Generator | None]:
        if wanted.epoch is None:
            return [None] * len(wanted.index)
        copies = [0] * len(wanted.index) if wanted.copy is None else wanted.copy
        return [
            np.random.default_rng(derive(self.seed, "augment", wanted.epoch, int(index), int(copy)))
            for index, copy in zip(wanted.index, copies, strict=True)
        ]


class _Stream(Sampler[BatchIndices]):
    """The batches to be read next, set anew for each pass so that the workers can live on."""

    def __init__(self) -> None:
        self.batches: Iterable[BatchIndices] = ()

    def __iter__(self) -> Iterator[BatchIndices]:
        return iter(self.batches)


class FileReader:
    """Reads image files in worker processes, which start at the first pass and stay for the next ones.

    Args:
        files: the files of a source, by row number.
        cut: decodes and crops one file.
        seed: the run's seed, for random crops.
        workers: number of processes; 0 reads in this one.
        pinned: put batches into pinned memory, from which copies to a GPU run in the background.
    """

    def __init__(self, files: Sequence[Stored], cut: ImageDecoder, seed: int, workers: int, pinned: bool) -> None:
        self._stream = _Stream()
        self._loader: DataLoader[Tensor | _Failure] = DataLoader(
            _ImageFiles(files, cut, seed),
            sampler=self._stream,
            batch_size=None,
            collate_fn=_as_is,
            num_workers=workers,
            worker_init_fn=begin_worker,
            timeout=HUNG_SECONDS if workers else 0,
            pin_memory=pinned,
            persistent_workers=workers > 0,
            prefetch_factor=2 if workers else None,
        )
        # At the end of the program too, where torch would take the end of its workers for their death and raise.
        weakref.finalize(self, _end, self._loader)

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[Tensor]:
        """Yield uint8 [b, C, H, W] for each of `batches`, in order.

        Raises:
            DataError: a file cannot be read; names it.
            RunError: a worker was killed.
        """
        self._stream.batches = batches
        for images in read_all(self._loader):
            if isinstance(images, _Failure):
                raise images.error()
            yield images


def _end(loader: DataLoader[Any]) -> None:
    """Let the workers of a loader go and wait for them; that one was killed is told where it was waited for."""
    if (passing := getattr(loader, "_iterator", None)) is not None:
        with suppress(RunError), killed_in_words():
            passing._shutdown_workers()


def _as_is(item: Any) -> Any:
    return item
