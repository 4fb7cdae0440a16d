"""Decoding image files with PIL into 8-bit RGB, whatever they hold, and cutting and resizing them.

Resizing is PIL's, which filters (antialiases) when it makes an image smaller; OpenCV's and plain interpolation do not,
and the difference is worth up to half a point of accuracy. The backend's name is kept with every checkpoint.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from PIL import Image, ImageOps

from ablata.base.errors import DataError

Interpolation = Literal["bilinear", "bicubic"]

FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

_ORIENTATION = 0x0112


def backend_name(interpolation: str | None = None, reduced: bool = False) -> str:
    """Name what decodes and resizes: `pil 11.0`, `pil 11.0 bilinear antialias`, `reduced` where JPEGs shrink early."""
    words = [f"pil {'.'.join(PIL.__version__.split('.')[:2])}"]
    words += [interpolation, "antialias"] if interpolation else []
    return " ".join([*words, *(["reduced"] if reduced else [])])


def open_image(content: bytes | Path, where: str) -> Image.Image:
    """Open an image without decoding its pixels yet.

    Args:
        content: the encoded bytes, or the file.
        where: the file (and row), for the message.

    Raises:
        DataError: it is no image.
    """
    try:
        return Image.open(content if isinstance(content, Path) else io.BytesIO(content))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _undecodable(where, error) from None


def to_rgb(image: Image.Image, where: str) -> Image.Image:
    """Decode to 8-bit RGB, turned upright.

    Grey becomes three equal channels, palettes and CMYK their colours, 16 bits are scaled to 8, transparent pixels show
    white behind them, and the orientation that a camera noted is applied.

    Raises:
        DataError: the pixels cannot be decoded, or have a type without a meaning as a picture (floating point).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            image.load()
            if image.getexif().get(_ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
        return _colours(image)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError) as error:
        raise _undecodable(where, error) from None


def _colours(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"grey values {values.min()} to {values.max()} are not 16-bit")
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating point pixels have no fixed range")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    return image.convert("RGB")


def _undecodable(where: str, error: Exception) -> DataError:
    return DataError(
        "Every image must be decodable",
        found=f"{where}: {error}",
        do="repair or remove it (ablata data check lists all)",
    )


def resize_and_centre(
    image: Image.Image, short: int, size: tuple[int, int], interpolation: Interpolation
) -> Image.Image:
    """Resize the shorter side to `short` and cut `size` (height, width) out of the middle, as torchvision does.

    Args:
        image: RGB.
        short: pixels of the shorter side, at least the larger of `size`; the longer is `int(short * long / shorter)`.
        size: height and width of the result.
        interpolation: the filter.
    """
    width, height = image.size
    wide, high = (short, int(short * height / width)) if width <= height else (int(short * width / height), short)
    left, top = round((wide - size[1]) / 2), round((high - size[0]) / 2)
    return image.resize((wide, high), FILTERS[interpolation]).crop((left, top, left + size[1], top + size[0]))
