"""Reading mask files: whole numbers for every pixel, exactly as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.decode import open_image
from ablata.data.label_table import Form, colour_codes

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP")


def open_mask(file: Path) -> Image.Image:
    """Open a mask without decoding it yet; no file stays open.

    Raises:
        DataError: it cannot be read, is no image, or is of a format that changes values.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError("Every mask must be readable", found=f"{file}: {error.strerror}") from None
    mask = open_image(content, str(file))
    if mask.format in _LOSSY:
        raise DataError(
            "A mask must be stored without loss: compression invents values that nobody drew",
            found=f"{file} is {mask.format}",
            do="export the masks again as PNG",
        )
    return mask


def read_mask(file: Path, form: Form) -> np.ndarray:
    """Return the raw values of a mask.

    Args:
        file: a lossless image. For ids: greyscale of 1, 8, 16 or 32 bits, or a palette, of which the indices are taken.
            For colours: RGB, or a palette, of which the colours are taken.
        form: what the values are.

    Returns:
        int32 [H, W]: ids, or colours as 0xRRGGBB.

    Raises:
        DataError: it is damaged, of a format that changes values, or holds something else than `form`.
    """
    mask = open_mask(file)
    try:
        mask.load()
    except (OSError, ValueError, SyntaxError, EOFError, IndexError) as error:
        raise DataError("Every mask must be decodable", found=f"{file}: {error}", do="repair or remove it") from None
    mode = mask.mode
    if form == "ids" and (mode in ("P", "L", "1") or mode.startswith("I")):
        return np.asarray(mask).astype(np.int32)
    if form == "colours" and mode in ("P", "RGB"):
        return colour_codes(np.asarray(mask.convert("RGB")))
    if form == "colours" and mode == "RGBA":
        return _opaque(mask, file)
    wanted = "greyscale or palette images" if form == "ids" else "RGB or palette images"
    instead = "#RRGGBB NAME" if form == "ids" else "ID NAME"
    raise DataError(
        f"Masks of {form} must be {wanted}",
        found=f"{file}: {mode}",
        do=f"where the masks hold the other kind of value, write the class list with lines `{instead}`",
    )


def _opaque(mask: Image.Image, file: Path) -> np.ndarray:
    pixels = np.asarray(mask)
    clear = int((pixels[..., 3] != 255).sum())
    if clear:
        raise DataError("A mask must have no transparent pixels", found=f"{file}: {clear:,} of them")
    return colour_codes(pixels)
