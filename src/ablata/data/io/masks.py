"""Opening and decoding mask files, whose pixels are numbers: none may be changed by compression, scaling or turning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from ablata.base.errors import DataError
from ablata.base.quantities import counted
from ablata.data.io.decode import RULES, ImageRules, open_image, turn_to_page
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
    if file.suffix.lower() == ARRAY:
        return _from_array(file, max_pixels)
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


def _from_array(file: Path, max_pixels: int) -> Image.Image:
    """Return an array file as an image: whole numbers [H, W], or colours uint8 [H, W, 3].

    Raises:
        MaskError: it is damaged, holds Python objects, or numbers or dimensions that no mask has.
    """
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise MaskError("unreadable", "Every mask must be readable", found=f"{file}: {error}",
                        do="save it again with numpy.save, as numbers") from None  # fmt: skip
    shape = values.shape
    if values.ndim == 3 and 1 in (shape[0], shape[2]):
        values = values.reshape(shape[1:] if shape[0] == 1 else shape[:2])
    colors = values.ndim == 3 and values.shape[2] in (3, 4) and values.dtype == np.uint8
    if not colors and (values.ndim != 2 or values.dtype.kind not in "buif" or 0 in values.shape):
        raise MaskError("mode", "A mask must be an array of numbers [H, W], or of colours uint8 [H, W, 3]",
                        found=f"{file}: {values.dtype} {list(shape)}")  # fmt: skip
    if values.shape[0] * values.shape[1] > max_pixels:
        raise MaskError("unreadable", "An image must not have more pixels than the limit",
                        found=f"{file}: {values.shape[0] * values.shape[1]:,} pixels, limit {max_pixels:,} "
                        "(data.max_pixels)")  # fmt: skip
    if values.dtype.kind == "f":
        return Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    if values.dtype in (np.uint8, np.bool_):
        return Image.fromarray(np.ascontiguousarray(values, dtype=np.uint8))
    low, high = int(values.min()), int(values.max())
    if not -_LARGEST <= low <= high < _LARGEST:
        raise MaskError("mode", "The numbers of a mask must fit into 32 bits", found=f"{file}: {low} to {high}")
    return Image.fromarray(np.ascontiguousarray(values, dtype=np.int32))


ARRAY = ".npy"
"""Ending of NumPy's array files, which may hold masks."""
_LARGEST = 1 << 31


def load_mask(mask: Image.Image, file: Path, rules: ImageRules = RULES) -> Image.Image:
    """Decode an opened mask, turned as its own noted orientation says or not, as `rules` have it.

    Raises:
        MaskError: it is damaged, or holds several images.
    """
    try:
        pages = page_count(mask)
        if pages > 1 and rules.page is None:
            raise MaskError("pages", "A mask file must hold one image", found=f"{file}: {pages} pages",
                            do="write each into a file of its own, or choose one by data.page")  # fmt: skip
        if pages > 1:
            turn_to_page(mask, str(file), rules.page)
        orientation, factor = orientation_of(mask), _ENLARGED.get(raw_mode(mask))
        mask.load()
    except _LOADING as error:
        if isinstance(error, MaskError):
            raise
        if isinstance(error, DataError):
            raise MaskError("pages", error.must, found=error.found or "", do=error.do) from None
        raise MaskError("unreadable", "Every mask must be decodable", found=f"{file}: {error}",
                        do="repair or remove it") from None  # fmt: skip
    place = upright if rules.orientation == "applied" else as_stored
    mask = place(mask, orientation)
    return mask if factor is None else mask.point([value // factor for value in range(256)])


def tell_of_one_page(files: Sequence[Path], rules: ImageRules) -> tuple[str, ...]:
    """Return a notice of masks of one page where another page than the first is read of images; none elsewhere."""
    if not rules.page:
        return ()
    single = [file for file in files if page_count(open_mask(file, max_pixels=rules.max_pixels)) == 1]
    return (f"{of_one_page(len(single), rules.page)}, the first {single[0]}",) if single else ()


def of_one_page(count: int, page: int) -> str:
    """Say that masks of one page are taken for that of a later page of their images."""
    return f"{counted(count, 'mask has', 'masks have')} one page, taken for page {page} of the image (data.page={page})"
