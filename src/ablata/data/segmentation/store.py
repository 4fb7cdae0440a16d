"""Mask store: images with their masks, decoded once at their stored size into one file that is mapped into memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError
from ablata.data.io.bit_depth import refuse_dark
from ablata.data.io.decode import COLORS, MOST_PIXELS, RULES, ImageRules, decode_bands, open_image, upright_size
from ablata.data.io.headers import orientation_of
from ablata.data.io.masks import load_mask, open_mask
from ablata.data.labels.mask_files import Palettes, palette_of, raw_values, size_advice
from ablata.data.labels.table import LabelTable
from ablata.data.loading.band_constants import Constants, constants_of_histograms, histogram
from ablata.data.loading.cache import load_array, require_space, stored_arrays
from ablata.data.loading.loaders import BatchIndices, BatchReader
from ablata.structures.segmentation import IGNORE, SegmentationBatch

_VERSION = 2
_AHEAD = 64
"""Images that are decoded before they are written."""


@dataclass(frozen=True)
class Pair:
    """An image's file and its mask's; None: it has none, and counts nowhere."""

    image: Path
    mask: Path | None


@dataclass(frozen=True)
class PairStore:
    """Decoded images with their masks.

    Attributes:
        planes: uint8 [total], one sample after the other, each [channels + 1, H, W], the label last.
        sizes: int64 [n, 2], height and width.
        pixels: int64 [n, 256], pixels of each label in each sample.
        channels: of the images.
    """

    planes: np.ndarray
    sizes: np.ndarray
    pixels: np.ndarray
    channels: int = COLORS

    @property
    def starts(self) -> np.ndarray:
        """Return int64 [n + 1], where in `planes` each sample begins, and the end."""
        return np.concatenate([[0], np.cumsum((self.channels + 1) * self.sizes.prod(axis=1))])

    def statistics(self, index: np.ndarray) -> Constants:
        """Return mean and standard deviation of each channel over some samples, in 0..1."""
        total, starts = np.zeros((self.channels, 256), np.int64), self.starts
        for row in index.tolist():
            total += histogram(self.planes[starts[row] : starts[row + 1]].reshape(self.channels + 1, -1)[:-1])
        return constants_of_histograms(total)


@dataclass(frozen=True)
class PairReader(BatchReader[SegmentationBatch]):
    """Reads decoded pairs from one tensor.

    Attributes:
        planes: uint8 [total], on its device.
        starts: see `PairStore`.
        sizes: see `PairStore`.
        channels: see `PairStore`.
    """

    planes: Tensor
    starts: np.ndarray
    sizes: np.ndarray
    channels: int = COLORS

    def read(self, batches: Iterable[BatchIndices]) -> Iterator[SegmentationBatch]:
        """Yield images with label maps of the greatest height and width in the batch: smaller images lie at the top
        left, black and ignored beside them."""
        for batch in batches:
            planes = self.channels + 1
            high, wide = self.sizes[batch.index].max(axis=0).tolist()
            block = torch.zeros(len(batch.index), planes, high, wide, dtype=torch.uint8, device=self.planes.device)
            block[:, -1] = IGNORE
            for row, index in enumerate(batch.index.tolist()):
                height, width = self.sizes[index].tolist()
                sample = self.planes[self.starts[index] : self.starts[index + 1]]
                block[row, :, :height, :width] = sample.view(planes, height, width)
            sizes, index = torch.from_numpy(self.sizes[batch.index]), torch.from_numpy(batch.index)
            yield SegmentationBatch(block[:, :-1], block[:, -1], sizes, index, batch.rows)

    def groups(self, index: np.ndarray) -> list[np.ndarray]:
        """Divide samples by size: in evaluation nothing is added around an image."""
        sizes, which = np.unique(self.sizes[index], axis=0, return_inverse=True)
        return [index[which.reshape(-1) == number] for number in range(len(sizes))]


def decoded_pairs(
    name: str, pairs: Sequence[Pair], table: LabelTable, cache: Path, rules: ImageRules = RULES
) -> PairStore:
    """Return pairs, decoding them the first time.

    Args:
        name: identifies the files' content.
        pairs: the files.
        table: what the masks' values mean.
        cache: the cache folder.
        rules: how images become 8-bit RGB.

    Raises:
        DataError: a file is damaged, a mask has another size than its image or an unknown value, palettes differ,
            16-bit images are dark, or the disk has no room.
    """

    def fill(draft: Path) -> dict[str, object]:
        """Decode all pairs into one file."""
        palettes, highest = Palettes(), list[int]()
        threads = min(8, usable_cores())
        with ThreadPoolExecutor(threads) as pool:
            sizes = list(pool.map(partial(_size, rules=rules), pairs))
            largest = max((height * width for height, width in sizes), default=1)
            # Large images one after the other: as many pixels are decoded at once as one image may have by default.
            decoded = _ahead(pool, partial(_decoded, table=table, rules=rules), pairs, max(1, MOST_PIXELS // largest))
            write_pairs(draft, sizes, _checked(pairs, decoded, palettes, highest), rules.channels)
        palettes.refuse("FOLDER")
        refuse_dark(highest, says_depth=rules.says_depth)
        return {}

    folder, _ = stored_arrays(cache / "decoded" / f"{name}-{table.digest}-{rules.key()}{_VERSION}", cache, fill)
    return load_pairs(folder, rules.channels)


def _ahead(
    pool: ThreadPoolExecutor, work: Callable[[Pair], _Decoded], pairs: Sequence[Pair], most: int
) -> Iterator[_Decoded]:
    """Yield `work` of each pair in order, at most so many begun before the first of them is taken."""
    begun: deque[Future[_Decoded]] = deque()
    for pair in pairs:
        if len(begun) >= min(most, _AHEAD):
            yield begun.popleft().result()
        begun.append(pool.submit(work, pair))
    while begun:
        yield begun.popleft().result()


@dataclass(frozen=True)
class _Decoded:
    """Planes uint8 [channels + 1, H, W], the highest value of a 16-bit image, the colours of a mask's palette."""

    planes: np.ndarray
    highest: int
    palette: dict[int, int]


def _checked(
    pairs: Sequence[Pair], decoded: Iterable[_Decoded], palettes: Palettes, highest: list[int]
) -> Iterator[np.ndarray]:
    for pair, one in zip(pairs, decoded, strict=True):
        palettes.add(one.palette, str(pair.mask))
        highest.append(one.highest)
        yield one.planes


def write_pairs(
    draft: Path, sizes: Sequence[tuple[int, int]], samples: Iterable[np.ndarray], channels: int = COLORS
) -> None:
    """Write samples, uint8 [channels + 1, H, W] of these sizes, as `load_pairs` reads them.

    Raises:
        DataError: the disk has no room.
    """
    total = (channels + 1) * sum(height * width for height, width in sizes)
    require_space(draft, total, what="the decoded images")
    planes = np.lib.format.open_memmap(draft / "planes.npy", mode="w+", dtype=np.uint8, shape=(total,))
    pixels, start = np.zeros((len(sizes), 256), dtype=np.int64), 0
    for row, sample in enumerate(samples):
        planes[start : start + sample.size] = sample.ravel()
        pixels[row] = np.bincount(sample[-1].ravel(), minlength=256)
        start += sample.size
    planes.flush()
    np.save(draft / "sizes.npy", np.array(sizes, dtype=np.int64).reshape(-1, 2))
    np.save(draft / "pixels.npy", pixels)


def load_pairs(folder: Path, channels: int = COLORS) -> PairStore:
    """Map what `write_pairs` wrote."""
    planes, sizes, pixels = (load_array(folder / f"{name}.npy") for name in ("planes", "sizes", "pixels"))
    return PairStore(planes, sizes, pixels, channels)


def _size(pair: Pair, rules: ImageRules) -> tuple[int, int]:
    """Return height and width from the headers."""
    image = open_image(_content(pair.image), str(pair.image), rules.max_pixels)
    size = upright_size(image, rules.orientation)
    if pair.mask is None:
        return size
    mask = open_mask(pair.mask, max_pixels=rules.max_pixels)
    there = upright_size(mask, rules.orientation)
    if size != there:
        raise DataError(
            "A mask must have its image's size (height x width)",
            found=f"{pair.mask} is {there[0]}x{there[1]}, {pair.image} is {size[0]}x{size[1]}",
            do=size_advice(size, there, orientation_of(image), orientation_of(mask), rules),
        )
    return size


def _decoded(pair: Pair, table: LabelTable, rules: ImageRules) -> _Decoded:
    image = open_image(_content(pair.image), str(pair.image), rules.max_pixels)
    pixels, facts = decode_bands(image, str(pair.image), rules)
    if pair.mask is None:
        labels, palette = np.full(pixels.shape[:2], IGNORE, dtype=np.uint8), dict[int, int]()
    else:
        mask = load_mask(open_mask(pair.mask, max_pixels=rules.max_pixels), pair.mask, rules)
        raw = raw_values(mask, pair.mask, table.form)
        there = np.flatnonzero(np.bincount(raw.ravel(), minlength=1)) if mask.mode == "P" else raw[:0, 0]
        palette = palette_of(mask, there) if table.form == "ids" else {}
        labels = table.encode(raw, str(pair.mask))
    return _Decoded(np.concatenate([pixels.transpose(2, 0, 1), labels[None]]), facts.highest, palette)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            "Every image file must be readable",
            found=f"{file}: {error.strerror}",
            do="see that you may read it, and that its disk is there",
        ) from None
