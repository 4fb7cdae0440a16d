"""Opening and decoding mask files, whose pixels are numbers: none may be changed by compression, scaling or turning."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import RULES, ImageRules, open_image
from ablata.data.io.headers import as_stored, lossy_format, orientation_of, page_count, raw_mode, upright

_LOADING = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)
Fault = Literal["unreadable", "lossy", "pages", "mode", "transparent"]
"""What keeps a mask from being read: damage, a format that changes values, several images in one file, another kind of
pixels, pixels that are half transparent."""
_ENLARGED = {"L;2": 85, "L;4": 17}
"""PIL multiplies the values of files of 2 and 4 bits, so that the highest is white."""


class MaskError(DataError):
    """A mask cannot be read; `fault` says why."""

    def __init__(self, fault: Fault, must: str, *, found: str, do: str | None = None) -> None:
        super().__init__(must, found=found, do=do)
        self.fault = fault


def open_mask(file: Path, lossy: bool = False, max_pixels: int = RULES.max_pixels) -> Image.Image:
    """Open a mask without decoding it yet; no file stays open.

    Raises:
        MaskError: it cannot be read, is no image, holds several, or is of a format that changes values (and `lossy` is
            not set).
    """
    try:
        mask = open_image(file.read_bytes(), str(file), max_pixels)
    except OSError as error:
        raise MaskError("unreadable", "Every mask must be readable", found=f"{file}: {error.strerror}") from None
    except DataError as error:
        raise MaskError("unreadable", error.must, found=error.found or "", do=error.do) from None
    if (kind := lossy_format(mask)) and not lossy:
        raise MaskError(
            "lossy",
            "A mask must be stored without loss: compression invents values that nobody drew",
            found=f"{file} is {kind}",
            do="export the masks again as PNG; where they are all there is, `ablata data convert FOLDER --map FILE "
            "--nearest --output NEW_FOLDER` takes the nearest value of the map",
        )
    return mask


def load_mask(mask: Image.Image, file: Path, rules: ImageRules = RULES) -> Image.Image:
    """Decode an opened mask, turned as its own noted orientation says or not, as `rules` have it.

    Raises:
        MaskError: it is damaged, or holds several images.
    """
    try:
        pages, orientation, factor = page_count(mask), orientation_of(mask), _ENLARGED.get(raw_mode(mask))
        if pages > 1:
            raise MaskError("pages", "A mask file must hold one image", found=f"{file}: {pages} pages",
                            do="write each into a file of its own")  # fmt: skip
        mask.load()
    except _LOADING as error:
        if isinstance(error, MaskError):
            raise
        raise MaskError("unreadable", "Every mask must be decodable", found=f"{file}: {error}",
                        do="repair or remove it") from None  # fmt: skip
    place = upright if rules.orientation == "applied" else as_stored
    mask = place(mask, orientation)
    return mask if factor is None else mask.point([value // factor for value in range(256)])
