"""How image files are read, as settings that every kind of data set in files has."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from ablata.base.settings import INCIDENTAL, Settings
from ablata.data.io.decode import MOST_PIXELS, ImageRules, Orientation

Band = Annotated[int, Field(ge=0)]


class ImageReadSettings(Settings):
    """How image files become 8-bit RGB, or as many bands as are chosen; the base of others, not itself a choice."""

    orientation: Orientation = "applied"
    """The orientation that a camera noted (EXIF). applied: images are turned upright, masks as their own files say, and
    boxes lie on the upright image; ignored: all as stored, as in torchvision's references."""
    bits: Annotated[int | None, Field(ge=8, le=16)] = None
    """Bits that count in 16-bit images: the highest value of so many becomes white; null: 16."""
    span: tuple[float, float] | None = None
    """Values of images of more than 8 bits (floating point too) that become black and white, what lies beside them too;
    null: 0 and the highest value of `bits`."""
    bands: Annotated[tuple[Band, ...], Field(min_length=1)] | None = None
    """Which bands of images of several are read, counted from 0: three as red, green and blue, one alone as grey, or
    any number, of which the network sees as many (drawings show the first three); null: the first three."""
    page: Annotated[int, Field(ge=0)] | None = None
    """Which page of images and masks of several pages (TIFF stacks) is read, counted from 0; null: files have one."""
    max_pixels: Annotated[int, INCIDENTAL, Field(ge=1)] = MOST_PIXELS
    """An image may have so many pixels; larger ones need memory, and may be made to fill it."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.span is not None and not self.span[0] < self.span[1]:
            raise ValueError(f"span must rise from black to white, got {list(self.span)}")
        if self.span is not None and self.bits is not None:
            raise ValueError("span and bits say the same thing: set one of them to null")
        return self

    @property
    def band_count(self) -> int:
        """Return how many bands a network sees."""
        return self.image_rules().channels

    def image_rules(self) -> ImageRules:
        """Return them as decoding takes them."""
        bands = self.bands
        three = (bands[0], bands[0], bands[0]) if bands is not None and len(bands) == 1 else bands
        return ImageRules(self.orientation, self.bits, three, self.max_pixels, self.span, self.page)
