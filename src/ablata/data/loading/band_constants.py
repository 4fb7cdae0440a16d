"""Mean and standard deviation that images are normalised by: given, or those of the training images' own bands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ablata.base.cores import usable_cores
from ablata.base.errors import DataError
from ablata.base.files import write_text
from ablata.data.io.decode import ImageRules, decode_bands, open_image
from ablata.data.io.file_slice import Member, content_of
from ablata.data.transforms.normalization import IMAGENET_MEAN, IMAGENET_STD

Constants: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each band, in 0..1."""
_BLOCK = 256
_MOST_THREADS = 8


def constants_of(
    mean: tuple[float, ...], std: tuple[float, ...], bands: int, measured: Callable[[], Constants]
) -> Constants:
    """Return the constants of images of so many bands: those of ImageNet stand for none where there are other bands.

    Args:
        mean: the setting `data.mean`.
        std: the setting `data.std`.
        bands: of the images.
        measured: returns those of the training images.

    Raises:
        DataError: there are fewer or more than bands.
    """
    if bands != len(IMAGENET_MEAN) and (mean, std) == (IMAGENET_MEAN, IMAGENET_STD):
        return measured()
    if not len(mean) == len(std) == bands:
        raise DataError(
            "data.mean and data.std must have a number for each band",
            found=f"{len(mean)} and {len(std)}, of {bands} bands",
            do="leave them out to have them measured" if bands != len(IMAGENET_MEAN) else "give 3 of each",
        )
    return mean, std


def constants_of_histograms(histograms: np.ndarray) -> Constants:
    """Return the constants of pixels by their histograms, int64 [C, 256]."""
    levels, count = np.arange(256) / 255, np.maximum(histograms.sum(1), 1)
    mean = histograms @ levels / count
    # A band that is the same everywhere has no deviation to divide by.
    std = np.sqrt(np.maximum(histograms @ levels**2 / count - mean**2, 1 / 255**2))
    return tuple(mean.tolist()), tuple(std.tolist())


def histogram(bands: Iterable[np.ndarray]) -> np.ndarray:
    """Return the histograms of bands, uint8 of any shape, int64 [C, 256]."""
    return np.stack([np.bincount(band.reshape(-1), minlength=256) for band in bands])


def constants_of_files(files: Sequence[Path | Member], rules: ImageRules, kept: Path) -> Constants:
    """Return the constants of image files, measured once.

    Args:
        files: the training images.
        rules: how they are decoded.
        kept: the file that holds them from then on, named after everything that decides them.

    Raises:
        DataError: a file cannot be decoded.
    """
    try:
        mean, std = json.loads(kept.read_text())
        return tuple(mean), tuple(std)
    except (OSError, ValueError):
        total = np.zeros((rules.channels, 256), np.int64)

    def one(file: Path | Member) -> np.ndarray:
        image = open_image(content_of(file), str(file), rules.max_pixels)
        return histogram(np.moveaxis(decode_bands(image, str(file), rules)[0], -1, 0))

    with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores())) as pool:
        for start in range(0, len(files), _BLOCK):
            total += sum(pool.map(one, [files[row] for row in range(start, min(start + _BLOCK, len(files)))]))
    found = constants_of_histograms(total)
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_text(kept, json.dumps(found))
    return found
