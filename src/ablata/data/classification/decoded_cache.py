"""Cache of decoded images: decoded once, at a stated shorter side, and mapped into memory from then on.

One flat file holds the pixels of a source, so that images keep their shapes. An image takes bands * height *
width bytes: a million images of 256x341 in three bands take 262 GB.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import overload

import numpy as np

from ablata.base.cores import usable_cores
from ablata.data.io.decode import COLORS
from ablata.data.io.file_slice import Stored
from ablata.data.loading.cache import load_array, require_space, stored_arrays

_BLOCK = 512
_MOST_THREADS = 8


class DecodedCache(Sequence[Stored]):
    """The decoded images of a source: row -> uint8 [H, W, C], mapped when first looked at, in each process.

    Args:
        folder: holds pixels.npy (uint8, flat), starts.npy (int64 [n]) and sizes.npy (int64 [n, 2], height and width).
        bands: C.
    """

    def __init__(self, folder: Path, bands: int = COLORS) -> None:
        self.folder, self.bands = folder, bands
        self._starts = np.load(folder / "starts.npy", allow_pickle=False)
        self._sizes = np.load(folder / "sizes.npy", allow_pickle=False)
        self._pixels: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._starts)

    @overload
    def __getitem__(self, row: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, row: slice) -> list[Stored]: ...
    def __getitem__(self, row: int | slice) -> np.ndarray | list[Stored]:
        """Return one image, or several."""
        if isinstance(row, slice):
            return [self[number] for number in range(*row.indices(len(self)))]
        if self._pixels is None:
            self._pixels = np.asarray(load_array(self.folder / "pixels.npy"))
        start, (height, width) = self._starts[row], self._sizes[row]
        return self._pixels[start : start + self.bands * height * width].reshape(height, width, self.bands)

    def __getstate__(self) -> dict[str, object]:
        """Leave the pixels where they are: a process that is sent this maps them itself."""
        return self.__dict__ | {"_pixels": None}


def prepare(
    images: Sequence[Stored],
    target: Path,
    cache: Path,
    *,
    size_of: Callable[[Stored], tuple[int, int]],
    decode: Callable[[Stored], np.ndarray],
    bands: int = COLORS,
) -> DecodedCache:
    """Decode all images into `target`, once; what is there is checked by its hash, and made again where it differs.

    Args:
        images: the encoded ones.
        target: the folder, named after everything that decides the pixels.
        cache: where digests are remembered.
        size_of: height and width that `decode` will give, from the header.
        decode: one image to uint8 [H, W, C]; called from several threads.
        bands: C.

    Raises:
        DataError: an image does not decode, or the disk has too little room.
    """

    def fill(draft: Path) -> dict[str, object]:
        """Decode every image into one file."""
        with ThreadPoolExecutor(min(_MOST_THREADS, usable_cores())) as pool:
            sizes = np.array(list(pool.map(size_of, images)), dtype=np.int64).reshape(-1, 2)
            ends = np.cumsum(bands * sizes.prod(axis=1))
            needed = int(ends[-1]) if len(ends) else 0
            require_space(
                draft,
                needed,
                what="the prepared images",
                do="free some space, point ABLATA_HOME elsewhere, or set data.prepared smaller, or to null",
            )
            starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
            pixels = np.lib.format.open_memmap(draft / "pixels.npy", mode="w+", dtype=np.uint8, shape=(needed,))

            def write(row: int) -> None:
                image = decode(images[row])
                if image.shape[:2] != tuple(sizes[row]):
                    raise ValueError(f"image {row}: {image.shape} decoded, {sizes[row]} in its header")
                pixels[starts[row] : ends[row]] = image.reshape(-1)

            for block in range(0, len(images), _BLOCK):
                list(pool.map(write, range(block, min(block + _BLOCK, len(images)))))
            pixels.flush()
        np.save(draft / "starts.npy", starts)
        np.save(draft / "sizes.npy", sizes)
        return {}

    folder, _ = stored_arrays(target, cache, fill)
    return DecodedCache(folder, bands)
