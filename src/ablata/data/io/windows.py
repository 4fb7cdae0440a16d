"""Parts of an image file, each decoded by itself where the file allows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from PIL import Image

from ablata.data.io.decode import (
    COLORS,
    RULES,
    ImageRules,
    decode_bands,
    decode_rgb,
    decoding,
    open_image,
    upright_size,
)
from ablata.data.io.headers import page_count
from ablata.data.io.tiff import BandedTiff, TiffLayout

_AT_ONCE = 1 << 22
"""Pixels of the rows that are read together where an image is made smaller."""


class ImageWindows:
    """An image of which parts are asked for.

    A TIFF that is tiled, in several strips or uncompressed, gives a part without the rest; every other file is decoded
    whole when it is opened, and parts are cut from that.

    Args:
        pixels: uint8 [H, W, C], or an image in RGB, whose pixels are not held a second time as an array; None: parts
            come from the file.
        size: height and width.
    """

    def __init__(self, pixels: np.ndarray | Image.Image | None, size: tuple[int, int]) -> None:
        self.size, self._pixels = size, pixels
        self._file: tuple[BinaryIO, TiffLayout, str, ImageRules] | None = None
        self._rows: tuple[int, int, np.ndarray] | None = None

    @classmethod
    @contextmanager
    def open(cls, file: Path, rules: ImageRules = RULES) -> Iterator[Self]:
        """Open a file, closed with the context.

        Raises:
            DataError: it is no image, has more pixels than `rules` allow, or does not decode.
        """
        image = open_image(file, str(file), rules.max_pixels)
        size = upright_size(image, rules.orientation)
        with file.open("rb") as stream:
            layout = TiffLayout.read(stream) if image.format == "TIFF" and page_count(image) == 1 else None
            stands = layout is not None and (layout.orientation == 1 or rules.orientation == "ignored")
            if layout is None or not (stands and layout.is_divided) or isinstance(image, BandedTiff):
                is_rgb, where = rules.channels == COLORS, str(file)
                yield cls((decode_rgb if is_rgb else decode_bands)(image, where, rules)[0], size)
                return
            image.close()
            windows = cls(None, size)
            windows._file = stream, layout, str(file), rules
            yield windows

    @property
    def is_whole(self) -> bool:
        """Tell whether the whole image is in memory."""
        return self._pixels is not None

    def read(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Return a part, uint8 [h, w, C], cut at the borders of the image.

        Args:
            top: first row.
            left: first column.
            bottom: one behind the last row.
            right: one behind the last column.

        Raises:
            DataError: it does not decode.
        """
        height, width = self.size
        top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
        if isinstance(self._pixels, Image.Image):
            return np.asarray(self._pixels.crop((left, top, right, bottom)))
        if self._pixels is not None:
            return self._pixels[top:bottom, left:right]
        assert self._file is not None
        if self._file[1].is_tiled:
            return self._decoded(top, left, bottom, right)
        # Strips are as wide as the image: those of a row of windows are decoded once.
        if self._rows is None or self._rows[:2] != (top, bottom):
            self._rows = top, bottom, self._decoded(top, 0, bottom, width)
        return self._rows[2][:, left:right]

    def _decoded(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        assert self._file is not None
        stream, layout, where, rules = self._file
        with decoding(where):
            part = layout.part(stream, top, left, bottom, right)
        return decode_bands(part, where, rules)[0]

    def shrunk(self, step: int) -> np.ndarray:
        """Return every `step`th row and column, uint8 [ceil(H / step), ceil(W / step), C].

        Raises:
            DataError: a part does not decode.
        """
        if isinstance(self._pixels, np.ndarray):
            return self._pixels[::step, ::step]
        height, width = self.size
        rows = max(1, _AT_ONCE // width // step) * step
        # Copies, as a view of a few rows would keep all that were decoded with them.
        parts = (self.read(top, 0, top + rows, width)[::step, ::step].copy() for top in range(0, height, rows))
        return np.concatenate(list(parts))
