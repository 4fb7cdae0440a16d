"""How image files are read, as settings that every kind of data set in files has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.io.decode import MOST_PIXELS, ImageRules, Orientation


class ImageReadSettings(Settings):
    """How image files become 8-bit RGB; the base of others, not itself a choice."""

    orientation: Orientation = "applied"
    """The orientation that a camera noted (EXIF). applied: images are turned upright, masks as their own files say, and
    boxes lie on the upright image; ignored: all as stored, as in torchvision's references."""
    bits: Annotated[int | None, Field(ge=8, le=16)] = None
    """Bits that count in 16-bit images: the highest value of so many becomes white; null: 16."""
    bands: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None
    """Which bands of images of several are red, green and blue, counted from 0; null: the first three."""
    max_pixels: Annotated[int, INCIDENTAL, Field(ge=1)] = MOST_PIXELS
    """An image may have so many pixels; larger ones need memory, and may be made to fill it."""

    def image_rules(self) -> ImageRules:
        """Return them as decoding takes them."""
        return ImageRules(self.orientation, self.bits, self.bands, self.max_pixels)
