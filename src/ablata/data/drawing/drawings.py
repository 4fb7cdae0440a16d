"""What drawings of predictions share: their sizes, their place beside each other, their files."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

_QUALITY = 85


def sized(picture: Image.Image, width: int | None) -> Image.Image:
    """Return a picture at most `width` wide: shrunk smoothly, or enlarged by a whole factor so that pixels are seen.

    Args:
        picture: any.
        width: in pixels; None: the picture as it is.
    """
    if width is None:
        return picture
    if picture.width > width:
        return picture.resize((width, max(1, round(picture.height * width / picture.width))))
    factor = width // picture.width
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def beside(pictures: Sequence[Image.Image], gap: int = 4) -> Image.Image:
    """Lay pictures of one size side by side on white, `gap` pixels apart."""
    width, height = pictures[0].size
    joined = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), "white")
    for place, picture in enumerate(pictures):
        joined.paste(picture, (place * (width + gap), 0))
    return joined


def jpeg(picture: Image.Image) -> bytes:
    """Return the bytes of a JPEG file."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=_QUALITY)
    return content.getvalue()
