"""Images of more than 8 bits a channel: read whole, scaled to 8 bits, and refused where they would come out black."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ablata.base.errors import DataError

DARK = 1 << 14
"""Where no value of a set's 16-bit files reaches this, they hold 14 bits at most, and would come out black."""
MUST_BE_BRIGHT = "The values of 16-bit images must fill their range, or data.bits must say how many bits count"


def highest_value(image: Image.Image, bits: int) -> int:
    """Return the highest value of a 16-bit image, at the scale of 16 bits; 0 of others."""
    if bits != 16:
        return 0
    if image.mode.startswith("I"):
        return int(np.asarray(image).max(initial=0))
    # PIL keeps the upper eight bits of colours.
    return max(int(np.asarray(image).max(initial=0)), 0) << 8 | 255


def deep_colors(image: Image.Image) -> np.ndarray | None:
    """Return uint16 [H, W, C] of a 16-bit file of colours, of which PIL keeps the upper eight bits; None of others."""
    stream: Any = getattr(image, "fp", None)
    if image.mode not in ("RGB", "RGBA", "RGBX") or stream is None:
        return None
    place = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(place)
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.frombuffer(content, dtype=np.uint8), flags)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("16-bit colours that OpenCV cannot decode: write them as 8 bits")
    return pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]


def eight_bits(values: np.ndarray, bits: int | None, span: tuple[float, float] | None = None) -> np.ndarray:
    """Scale values of so many bits to 8, or those of a range, beside which all is black or white."""
    if bits == 8 and values.dtype == np.uint8:
        return values
    if span is not None:
        low, high = span
        share = (np.clip(values.astype(np.float64), low, high) - low) / (high - low)
        spread: np.ndarray = np.floor(share * 255 + 0.5).astype(np.uint8)
        return spread
    most = (1 << (bits or 16)) - 1
    if values.min(initial=0) < 0 or values.max(initial=0) > most:
        limit = "16-bit" if most == 65535 else f"{bits}-bit (data.bits={bits})"
        raise ValueError(f"values {values.min()} to {values.max()} are not {limit}")
    scaled: np.ndarray = ((values.astype(np.int64) * 255 + most // 2) // most).astype(np.uint8)
    return scaled


def refuse_dark(highest: Iterable[int], *, says_depth: bool) -> None:
    """Check that a set's 16-bit files use their range.

    Args:
        highest: of each image, `ImageFacts.highest`.
        says_depth: whether the rules they were decoded by say how many bits count.

    Raises:
        DataError: no value needs more than 14 bits, and nothing says how many there are.
    """
    deep = [value for value in highest if value]
    if not says_depth and deep and max(deep) < DARK:
        raise DataError(MUST_BE_BRIGHT, found=f"{len(deep)} images: {dark_detail(max(deep))}",
                        do=bits_advice(max(deep)))  # fmt: skip


def dark_detail(highest: int) -> str:
    """Say how dark 16-bit images are that reach at most this value."""
    return f"values up to {highest:,} of 65,535, which come out as {round(highest / 257)} of 255: nearly black"


def bits_advice(highest: int) -> str:
    """Say which setting makes 16-bit images bright that reach at most this value."""
    bits = max(highest.bit_length(), 8)
    return (
        f"set data.bits={bits} (0 to {(1 << bits) - 1:,} become black to white), or data.span=[LOW,{highest}], or "
        "data.bits=16 to leave them as they are"
    )
