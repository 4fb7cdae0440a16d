"""Image decoding into 8-bit RGB, whatever the files hold.

PIL decodes everything. Ordinary JPEGs can go through OpenCV, which gives the same pixels without PIL's extra copies;
files of other kinds, CMYK, damaged or turned JPEGs always go through PIL, so that both decoders give the same image.
"""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from ablata.base.errors import DataError
from ablata.base.quantities import counted
from ablata.data.io.bit_depth import deep_colors, eight_bits, highest_value
from ablata.data.io.headers import (
    as_stored,
    header_size,
    orientation_of,
    stored_bits,
    turned,
    upright,
    whole_pages,
)
from ablata.data.io.libtiff import hear_libtiff
from ablata.data.io.tiff import BandedTiff, banded_tiff

Decoder = Literal["pil", "opencv"]
Orientation = Literal["applied", "ignored"]
"""What becomes of the orientation that a camera noted (EXIF): the image is turned upright, or stays as its pixels are
stored, as torchvision's references have it. Masks are turned as their own files say; boxes lie on what results."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""Endings of files that are read as images."""
COLORS = 3
MOST_PIXELS = 178_956_970
"""PIL refuses larger images, which may be made to fill a memory."""
QUIET_PIXELS = MOST_PIXELS // 2
"""Beyond it PIL warns."""

_DECODING = (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError)
_LARGE = threading.RLock()
Opened = TypeVar("Opened", bound=Image.Image)


class TooLargeError(DataError):
    """An image has more pixels than the limit."""


@dataclass(frozen=True)
class ImageRules:
    """How image files become 8-bit RGB.

    Attributes:
        orientation: whether images are turned as the camera noted.
        bits: of the values in 16-bit files, 8 to 16: the highest becomes white; None: 16.
        bands: which bands of a file of several are read, counted from 0: red, green and blue, or any number of them for
            `decode_bands`, of which the first three are shown; None: the first three.
        max_pixels: an image may have so many.
        span: values of more than 8 bits that become black and white, lower and higher ones too; None: all of `bits`.
        page: which page of files of several is read, counted from 0; None: files have one.
    """

    orientation: Orientation = "applied"
    bits: int | None = None
    bands: tuple[int, ...] | None = None
    max_pixels: int = MOST_PIXELS
    span: tuple[float, float] | None = None
    page: int | None = None

    @property
    def channels(self) -> int:
        """Return how many bands are read: 3, or as many as are chosen."""
        return COLORS if self.bands is None else len(self.bands)

    @property
    def shown(self) -> ImageRules:
        """Return the rules by which it is drawn: in three bands, the first of those that are read."""
        if self.channels == COLORS or self.bands is None:
            return self
        first, second = self.bands[:2]
        return replace(self, bands=(first, second, self.bands[2] if self.channels > COLORS else first))

    @property
    def says_depth(self) -> bool:
        """Tell whether it is said which values of more than 8 bits become black and white."""
        return self.bits is not None or self.span is not None

    def key(self) -> str:
        """Return what tells them apart in the name of a file of decoded images; nothing of the usual ones."""
        if (self.orientation, self.bits, self.bands, self.span, self.page) == ("applied", None, None, None, None):
            return ""
        bands = "" if self.bands is None else "".join(f"-{band}" for band in self.bands)
        span = "" if self.span is None else "-{:g}to{:g}".format(*self.span)
        page = "" if self.page is None else f"-p{self.page}"
        return f"{self.orientation}-{self.bits}{bands}{span}{page}-"


RULES = ImageRules()


@dataclass(frozen=True)
class ImageFacts:
    """What is worth knowing of a decoded image.

    Attributes:
        orientation: as the camera noted it, 1 (upright) to 8.
        highest: at 16 bits, the highest value, or the most it can be; 0 of other files.
        transparent: pixels that show white behind them.
        mode: PIL's name of the kind of pixels.
    """

    orientation: int
    highest: int
    transparent: int
    mode: str


def open_image(content: bytes | Path, where: str, max_pixels: int | None = None) -> Image.Image:
    """Open an image without decoding its pixels yet.

    Args:
        content: the encoded bytes, or the file.
        where: the file (and row), for the message.
        max_pixels: an image may have so many, by the setting `data.max_pixels`; None: as many as PIL takes, where there
            is no such setting.

    Raises:
        DataError: it is no image, or has more pixels.
    """
    most = MOST_PIXELS if max_pixels is None else max_pixels
    try:
        with any_size(max(most, QUIET_PIXELS + 1)):
            warnings.simplefilter("ignore", UserWarning)
            image = _opened(content, where)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        told = re.search(r"\d+", str(error))
        raise _too_large(where, int(told[0]) if told else 0, most, max_pixels is not None) from None
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError) as error:
        raise _undecodable(where, error) from None
    bands = image.layout.samples if isinstance(image, BandedTiff) else 0
    pixels = image.width * image.height * max(1, bands // 4)
    if pixels > most:
        image.close()
        raise _too_large(where, pixels, most, max_pixels is not None)
    return image


def _opened(content: bytes | Path, where: str) -> Image.Image:
    # Of many bands PIL gives one beside red, green and blue at most, or complains where nobody hears it in words.
    is_tiff = _start(content) in _TIFF
    if is_tiff:
        hear_libtiff()()
    many = banded_tiff(content, _MANY) if is_tiff else None
    if many is not None:
        return many
    try:
        return Image.open(content if isinstance(content, Path) else io.BytesIO(content))
    except UnidentifiedImageError:
        banded = banded_tiff(content)
        if banded is None:
            raise _undecodable(where, _unknown(content)) from None
        return banded


_MANY = 5
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _start(content: bytes | Path) -> bytes:
    if isinstance(content, bytes):
        return content[:4]
    with content.open("rb") as stream:
        return stream.read(4)


def _unknown(content: bytes | Path) -> str:
    """Say what may keep PIL from opening a file."""
    start = _start(content)
    if start in _TIFF:
        return "a TIFF of bits or colours that Pillow does not know: write bands of 8 or 16 bits"
    return "no image of a known type" if start else "an empty file"


@contextmanager
def any_size(pixels: int) -> Iterator[None]:
    """Let PIL take images of so many pixels without a word, one at a time, as its limit is the process's."""
    if pixels <= QUIET_PIXELS:
        yield
        return
    with _LARGE, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def decode_bands(image: Image.Image, where: str, rules: ImageRules = RULES) -> tuple[np.ndarray, ImageFacts]:
    """Decode to uint8 [H, W, C], C the number of bands that the rules choose, 3 where they choose none.

    Args:
        image: opened by `open_image`.
        where: the file, for messages.
        rules: orientation, bits, bands.

    Raises:
        DataError: as `decode_rgb`.
    """
    bands = rules.bands
    if bands is None or len(bands) == COLORS:
        rgb, facts = decode_rgb(image, where, rules)
        return _pixels(rgb), facts
    with decoding(where):
        _refuse_absent(bands, image.layout.samples if isinstance(image, BandedTiff) else len(image.getbands()))
    # Three at a time, so that every rule holds for them as it does for colours.
    decoded = []
    for start in range(0, len(bands), COLORS):
        part = bands[start : start + COLORS]
        rgb, facts = decode_rgb(image, where, replace(rules, bands=(*part, *part, *part)[:COLORS]))
        decoded.append(np.asarray(rgb)[..., : len(part)])
    return np.concatenate(decoded, axis=-1), facts


def to_rgb(image: Image.Image, where: str, rules: ImageRules = RULES) -> Image.Image:
    """Decode to 8-bit RGB; see `decode_rgb`."""
    return decode_rgb(image, where, rules)[0]


def decode_rgb(image: Image.Image, where: str, rules: ImageRules = RULES) -> tuple[Image.Image, ImageFacts]:
    """Decode to 8-bit RGB, and tell what is worth knowing. Of other numbers of bands the first three are shown.

    Grey becomes three equal channels, palettes and CMYK their colours, 16 bits are scaled to 8, transparent pixels show
    white behind them. A TIFF's fourth band is no transparency unless it is opaque everywhere: it may be infrared.

    Args:
        image: opened by `open_image`.
        where: the file, for messages.
        rules: orientation, bits, bands.

    Raises:
        DataError: the pixels cannot be decoded, have a type without a meaning as an image (floating point), or need a
            rule that was not given.
    """
    rules = rules.shown
    with decoding(where), warnings.catch_warnings(), any_size(image.width * image.height):
        warnings.simplefilter("ignore", UserWarning)
        if isinstance(image, BandedTiff):
            return _banded(turn_to_page(image, where, rules.page), where, rules)
        turn_to_page(image, where, rules.page)
        orientation, bits = orientation_of(image), stored_bits(image)
        scaled = rules.span is not None or rules.bits not in (None, 16)
        deep = deep_colors(image) if bits == 16 and scaled else None
        image.load()
        facts = ImageFacts(orientation, highest_value(image, bits), _transparent(image), image.mode)
        applied, tiff = rules.orientation == "applied", image.format == "TIFF"
        place = upright if applied else as_stored
        image = place(image, orientation)
        if deep is not None or (rules.bands is not None and len(image.getbands()) > 1 and image.mode != "P"):
            pixels = np.asarray(image) if deep is None else deep
            chosen = eight_bits(_three(pixels, rules), rules.bits if deep is not None else 8, rules.span)
            made = Image.fromarray(chosen)
            # OpenCV gives the pixels as they are stored.
            return (turned(made, orientation) if deep is not None and applied else made), facts
        return _colors(image, where, 12 if bits == 12 else rules.bits or 16, tiff, rules.span), facts


@contextmanager
def decoding(where: str) -> Iterator[None]:
    """Say in words what keeps a file (`where`) from being decoded.

    Raises:
        DataError: it cannot be.
    """
    try:
        yield
    except DataError:
        raise
    except _DECODING as error:
        raise _undecodable(where, hear_libtiff()() or error) from None


def _banded(image: BandedTiff, where: str, rules: ImageRules) -> tuple[Image.Image, ImageFacts]:
    """Decode the bands that the rules choose; three need no choice."""
    count, bands = image.layout.samples, rules.bands or (0, 1, 2)
    if rules.bands is None and count != 3:
        raise _unchosen(where, count)
    _refuse_absent(bands, count)
    values = image.chosen(bands)
    deep = values.dtype == np.uint16
    made = Image.fromarray(eight_bits(values, (rules.bits or 16) if deep else 8, rules.span))
    orientation = image.layout.orientation
    facts = ImageFacts(orientation, int(values.max(initial=0)) if deep else 0, 0, image.mode)
    return (turned(made, orientation) if rules.orientation == "applied" else made), facts


def _unchosen(where: str, count: int) -> DataError:
    some = "[0,1,2]" if count > 2 else "[0,0,0]"
    last = ": is the last one infrared, or transparency?" if count <= 4 else ""
    return DataError(
        "An image must have one band or three, or data.bands must choose some",
        found=f"{where}: {count} bands{last}",
        do=f"set data.bands={some} for the first, or any number of others: a network sees as many",
    )


def _refuse_absent(bands: tuple[int, ...], count: int) -> None:
    if max(bands) >= count:
        raise _BandsError(f"data.bands={list(bands)} of {counted(count, 'band')}, counted from 0")


def _transparent(image: Image.Image) -> int:
    if image.mode not in ("RGBA", "LA", "PA", "RGBa", "La") and "transparency" not in image.info:
        return 0
    return int((np.asarray(image.convert("RGBA"))[..., 3] != 255).sum())


def _three(pixels: np.ndarray, rules: ImageRules) -> np.ndarray:
    bands = rules.bands or (0, 1, 2)
    _refuse_absent(bands, pixels.shape[2])
    return np.ascontiguousarray(pixels[..., list(bands)])


def turn_to_page(image: Opened, where: str, page: int | None) -> Opened:
    """Return an opened image at the page that is read.

    Raises:
        DataError: the file has several, and none is chosen, or not that one, or it has another size than the first.
    """
    pages = whole_pages(image)
    if page is None and len(pages) > 1:
        raise DataError("An image file must hold one image, or data.page must choose one",
                        found=f"{where}: {len(pages)} pages or frames",
                        do="data.page=0 is the first; or write each into a file of its own")  # fmt: skip
    if page is None or (page == 0 and len(pages) == 1):
        return image
    if page >= len(pages):
        raise DataError("data.page must be a page of every file, counted from 0",
                        found=f"{where}: {len(pages)} of them, data.page={page}",
                        do="set data.page to one that every file has, or take that file out")  # fmt: skip
    if isinstance(image, BandedTiff):
        return image.at(page)
    first = image.size
    image.seek(pages[page])
    if image.size != first:
        raise DataError(
            "The pages of a file must have one size",
            found=f"{where}: {image.size} on page {page}, {first} on the first",
            do="write each into a file of its own",
        )
    return image


def _colors(
    image: Image.Image, where: str, bits: int, tiff: bool, span: tuple[float, float] | None = None
) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(eight_bits(np.asarray(image), bits, span)).convert("RGB")
    if image.mode == "F" and span is not None:
        return Image.fromarray(eight_bits(np.nan_to_num(np.asarray(image)), bits, span)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating point pixels have no fixed range: set data.span=[LOW,HIGH], which become black and "
                         "white")  # fmt: skip
    bands = image.getbands()
    if tiff and bands[-1] in "AX":
        if np.asarray(image)[..., -1].min(initial=255) < 255:
            raise _unchosen(where, len(bands))
        return image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    return image.convert("RGB")


class _BandsError(ValueError):
    """Bands were asked for that an image does not have: the setting is wrong, not the file."""


def _undecodable(where: str, error: Exception | str) -> DataError:
    if isinstance(error, _BandsError):
        return DataError("data.bands must name bands that every image has", found=f"{where}: {error}",
                         do="set data.bands to some of these; the last is their number less one")  # fmt: skip
    return DataError(
        "Every image must be decodable",
        found=f"{where}: {error}",
        do="repair or remove it (ablata data check lists all)",
    )


def _too_large(where: str, pixels: int, most: int, settable: bool) -> TooLargeError:
    key = f", or set data.max_pixels={pixels or 'a larger number'}" if settable else ""
    return TooLargeError(
        "An image must not have more pixels than the limit",
        found=f"{where}: {f'{pixels:,}' if pixels else 'more'} pixels, limit {most:,}"
        + (" (data.max_pixels)" if settable else ""),
        do=f"cut it into parts{key}",
    )


def upright_size(image: Image.Image, orientation: Orientation = "applied") -> tuple[int, int]:
    """Return height and width after the orientation is applied, or not, from the header alone."""
    return header_size(image, orientation == "applied")


def decode_array(
    content: bytes,
    image: Image.Image,
    where: str,
    shrink: int = 1,
    decoder: Decoder = "opencv",
    rules: ImageRules = RULES,
) -> np.ndarray:
    """Decode to uint8 [H, W, C], C the number of bands that the rules choose, 3 where they choose none.

    Args:
        content: the encoded bytes.
        image: the same, opened by `open_image`.
        where: the file, for the message.
        shrink: 1, 2, 4 or 8: a JPEG is decoded at that fraction of its size (rounded up); other files are not shrunk.
        decoder: what decodes ordinary JPEGs; the rest is PIL's.
        rules: orientation, bits, bands.

    Raises:
        DataError: the pixels cannot be decoded.
    """
    if decoder == "opencv" and _is_plain_jpeg(content, image, rules):
        pixels = decode_jpeg(content, shrink)
        if pixels is not None:
            return pixels
    if decoder == "pil" and shrink > 1:
        image.draft(None, (image.width // shrink, image.height // shrink))
    return decode_bands(image, where, rules)[0]


def _pixels(image: Image.Image) -> np.ndarray:
    """Return uint8 [H, W, 3]; a large image a part after the other, as PIL hands pixels over by way of two copies."""
    if image.width * image.height <= _AT_ONCE:
        return np.asarray(image)
    pixels = np.empty((image.height, image.width, COLORS), dtype=np.uint8)
    rows = max(1, _AT_ONCE // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


_AT_ONCE = 1 << 24
"""Pixels of a large image that are handed over together."""


def decode_jpeg(content: bytes, shrink: int) -> np.ndarray | None:
    """Decode an ordinary JPEG by OpenCV to uint8 [H, W, 3]; None if it cannot. See `decode_array`."""
    try:
        pixels: np.ndarray | None = cv2.imdecode(
            np.frombuffer(content, dtype=np.uint8), _SHRUNK[shrink] | cv2.IMREAD_IGNORE_ORIENTATION
        )
    except cv2.error:  # beyond a limit of its own, 2^30 pixels
        return None
    return pixels


_SHRUNK = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
"""OpenCV's flags by fraction; those of reduced grey are the fraction alone, those of reduced colour ask for BGR."""


def _is_plain_jpeg(content: bytes, image: Image.Image, rules: ImageRules) -> bool:
    """Tell whether OpenCV gives PIL's pixels: RGB or grey, not to be turned, and whole (OpenCV fills what is
    missing)."""
    return (
        image.format == "JPEG"
        and rules.bands is None
        and image.mode in ("RGB", "L")
        and content.rstrip(b"\0")[-2:] == b"\xff\xd9"
        and (rules.orientation == "ignored" or orientation_of(image) == 1)
    )
