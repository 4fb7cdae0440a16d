"""Panels of drawings: images resized for display, laid side by side, as JPEG files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

_QUALITY = 85


def as_colors(pixels: np.ndarray) -> np.ndarray:
    """Return an image of any bands, uint8 [H, W, C], as one of three to be looked at: the first three, or the first."""
    return pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., [0, 0, 0]]


def sized(image: Image.Image, width: int | None) -> Image.Image:
    """Return an image at most `width` wide: shrunk smoothly, or enlarged by a whole factor so that pixels are seen.

    Args:
        image: any.
        width: in pixels; None: the image as it is.
    """
    if width is None:
        return image
    if image.width > width:
        return image.resize((width, max(1, round(image.height * width / image.width))))
    factor = width // image.width
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def beside(images: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Lay images of one size side by side on white, `gap` pixels apart."""
    width, height = images[0].size
    joined = Image.new("RGB", (len(images) * (width + gap) - gap, height), "white")
    for place, image in enumerate(images):
        joined.paste(image, (place * (width + gap), 0))
    return joined


def jpeg(image: Image.Image) -> bytes:
    """Return the bytes of a JPEG file."""
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=_QUALITY)
    return content.getvalue()
