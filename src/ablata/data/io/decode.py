"""Image decoding into 8-bit RGB, whatever they hold.

PIL decodes everything. Ordinary JPEGs can go through OpenCV, which gives the same pixels without PIL's extra copies;
files of other kinds, CMYK, damaged or turned JPEGs always go through PIL, so that both decoders give the same image.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ablata.base.errors import DataError

Decoder = Literal["pil", "opencv"]
Orientation = Literal["applied", "ignored"]
"""What becomes of the orientation that a camera noted: the image is turned upright, or stays as its pixels are
stored, as torchvision's references have it."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""Endings of files that are read as images."""

_ORIENTATION = 0x0112


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
    except UnidentifiedImageError:
        raise _undecodable(where, "no image of a known type") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _undecodable(where, error) from None


def to_rgb(image: Image.Image, where: str, orientation: Orientation = "applied") -> Image.Image:
    """Decode to 8-bit RGB.

    Grey becomes three equal channels, palettes and CMYK their colours, 16 bits are scaled to 8, transparent pixels show
    white behind them.

    Args:
        image: opened by `open_image`.
        where: the file, for the message.
        orientation: applied turns the image upright as the camera noted.

    Raises:
        DataError: the pixels cannot be decoded, or have a type without a meaning as an image (floating point).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            image.load()
            if orientation == "applied" and image.getexif().get(_ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
        return _colors(image)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError) as error:
        raise _undecodable(where, error) from None


def _colors(image: Image.Image) -> Image.Image:
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


def _undecodable(where: str, error: Exception | str) -> DataError:
    return DataError(
        "Every image must be decodable",
        found=f"{where}: {error}",
        do="repair or remove it (ablata data check lists all)",
    )


def upright_size(image: Image.Image, orientation: Orientation = "applied") -> tuple[int, int]:
    """Return height and width after the orientation is applied, or not, from the header alone."""
    width, height = image.size
    turned = orientation == "applied" and image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    return (width, height) if turned else (height, width)


def decode_array(
    content: bytes,
    image: Image.Image,
    where: str,
    shrink: int = 1,
    decoder: Decoder = "opencv",
    orientation: Orientation = "applied",
) -> np.ndarray:
    """Decode to uint8 [H, W, 3].

    Args:
        content: the encoded bytes.
        image: the same, opened by `open_image`.
        where: the file, for the message.
        shrink: 1, 2, 4 or 8: a JPEG is decoded at that fraction of its size (rounded up); other files are not shrunk.
        decoder: what decodes ordinary JPEGs; the rest is PIL's.
        orientation: applied turns the image upright as the camera noted.

    Raises:
        DataError: the pixels cannot be decoded.
    """
    if decoder == "opencv" and _is_plain_jpeg(content, image, orientation):
        pixels = decode_jpeg(content, shrink)
        if pixels is not None:
            return pixels
    if decoder == "pil" and shrink > 1:
        image.draft(None, (image.width // shrink, image.height // shrink))
    return np.asarray(to_rgb(image, where, orientation))


def decode_jpeg(content: bytes, shrink: int) -> np.ndarray | None:
    """Decode an ordinary JPEG by OpenCV to uint8 [H, W, 3]; None if it cannot. See `decode_array`."""
    pixels: np.ndarray | None = cv2.imdecode(
        np.frombuffer(content, dtype=np.uint8), _SHRUNK[shrink] | cv2.IMREAD_IGNORE_ORIENTATION
    )
    return pixels


_SHRUNK = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
"""OpenCV's flags by fraction; those of reduced grey are the fraction alone, those of reduced colour ask for BGR."""


def _is_plain_jpeg(content: bytes, image: Image.Image, orientation: Orientation) -> bool:
    """Tell whether OpenCV gives PIL's pixels: RGB or grey, not to be turned, and whole (OpenCV fills what is
    missing)."""
    return (
        image.format == "JPEG"
        and image.mode in ("RGB", "L")
        and content.rstrip(b"\0")[-2:] == b"\xff\xd9"
        and (orientation == "ignored" or image.getexif().get(_ORIENTATION, 1) == 1)
    )
