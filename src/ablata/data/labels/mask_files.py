"""Reading mask files: whole numbers for every pixel, exactly as they were written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import open_image
from ablata.data.labels.table import Form, color_codes

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP")
_LOADING = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)
Fault = Literal["unreadable", "lossy", "mode", "transparent"]
"""What keeps a mask from being read: damage, a format that changes values, another kind of pixels, holes."""


class MaskError(DataError):
    """A mask cannot be read; `fault` says why."""

    def __init__(self, fault: Fault, must: str, *, found: str, do: str | None = None) -> None:
        super().__init__(must, found=found, do=do)
        self.fault = fault


@dataclass(frozen=True)
class Leniency:
    """What else may be read than training reads.

    Attributes:
        lossy: formats that change values.
        grey: where ids are asked for, colour files whose three channels are equal: that number is the id.
        palette: where ids are asked for, whether a palette file's indices are taken, or the grey of their colours.
    """

    lossy: bool = False
    grey: bool = False
    palette: Literal["index", "grey"] = "index"


STRICT = Leniency()


def open_mask(file: Path, lossy: bool = False) -> Image.Image:
    """Open a mask without decoding it yet; no file stays open.

    Raises:
        MaskError: it cannot be read, is no image, or is of a format that changes values (and `lossy` is not set).
    """
    try:
        mask = open_image(file.read_bytes(), str(file))
    except OSError as error:
        raise MaskError("unreadable", "Every mask must be readable", found=f"{file}: {error.strerror}") from None
    except DataError as error:
        raise MaskError("unreadable", error.must, found=error.found or "", do=error.do) from None
    if is_lossy(mask) and not lossy:
        raise MaskError(
            "lossy",
            "A mask must be stored without loss: compression invents values that nobody drew",
            found=f"{file} is {mask.format}",
            do="export the masks again as PNG; where they are all there is, `ablata data convert FOLDER --map FILE "
            "--nearest --output NEW_FOLDER` takes the nearest value of the map",
        )
    return mask


def is_lossy(mask: Image.Image) -> bool:
    """Tell whether an opened mask is of a format that changes values."""
    return mask.format in _LOSSY


def load_mask(mask: Image.Image, file: Path) -> Image.Image:
    """Decode an opened mask.

    Raises:
        MaskError: it is damaged.
    """
    try:
        mask.load()
    except _LOADING as error:
        raise MaskError("unreadable", "Every mask must be decodable", found=f"{file}: {error}",
                        do="repair or remove it") from None  # fmt: skip
    return mask


def read_mask(file: Path, form: Form, leniency: Leniency = STRICT) -> np.ndarray:
    """Return the raw values of a mask.

    Args:
        file: a lossless image. For ids: greyscale of 1, 8, 16 or 32 bits, or a palette, of which the indices are taken.
            For colours: RGB, or a palette, of which the colours are taken.
        form: what the values are.
        leniency: what else may be read.

    Returns:
        int32 [H, W]: ids, or colours as 0xRRGGBB.

    Raises:
        MaskError: it is damaged, of a format that changes values, or holds something else than `form`.
    """
    return raw_values(load_mask(open_mask(file, leniency.lossy), file), file, form, leniency)


def raw_values(mask: Image.Image, file: Path, form: Form, leniency: Leniency = STRICT) -> np.ndarray:
    """Return the raw values of a decoded mask, as `read_mask` does.

    Raises:
        MaskError: its pixels are of another kind than `form`.
    """
    mode = mask.mode
    if form == "ids":
        if mode == "P" and leniency.palette == "grey":
            return _greys(np.asarray(mask.convert("RGB")), file, "a palette of colours")
        if mode in ("P", "L", "1") or mode.startswith("I"):
            return np.asarray(mask).astype(np.int32)
        if mode in ("RGB", "RGBA") and leniency.grey:
            return _greys(_opaque(mask, file), file, mode)
    if form == "colors" and mode in ("P", "RGB", "RGBA"):
        return color_codes(_opaque(mask, file))
    wanted = "greyscale or palette images" if form == "ids" else "RGB or palette images"
    instead = "colours (`#RRGGBB NAME`)" if form == "ids" else "ids (`ID NAME`)"
    raise MaskError(
        "mode",
        f"Masks of {form} must be {wanted}",
        found=f"{file}: {mode}",
        do=f"where the masks hold {instead}, say so in the class list, or let `ablata data check FOLDER --propose-map "
        "FILE` write a label map, and turn them into ids: ablata data convert FOLDER --map FILE --output NEW_FOLDER",
    )


def _greys(pixels: np.ndarray, file: Path, kind: str) -> np.ndarray:
    red = pixels[..., 0]
    if not (np.array_equal(red, pixels[..., 1]) and np.array_equal(red, pixels[..., 2])):
        raise MaskError("mode", "Masks of ids must be greyscale, or colours of three equal channels",
                        found=f"{file}: {kind}", do="use --form colors and a label map of colours")  # fmt: skip
    return red.astype(np.int32)


def _opaque(mask: Image.Image, file: Path) -> np.ndarray:
    """Return uint8 [H, W, 3]."""
    if mask.mode != "RGBA":
        return np.asarray(mask.convert("RGB"))
    pixels = np.asarray(mask)
    clear = int((pixels[..., 3] != 255).sum())
    if clear:
        raise MaskError("transparent", "A mask must have no transparent pixels", found=f"{file}: {clear:,} of them",
                        do="export it again without transparency")  # fmt: skip
    return pixels[..., :3]
