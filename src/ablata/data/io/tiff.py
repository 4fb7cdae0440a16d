"""TIFF files that PIL does not read as they are: parts of large ones, and those of many bands (TIFF 6.0, 1992).

A TIFF holds its pixels in strips or tiles, each compressed alone. Some of them under a directory of their own are a
TIFF again, and one band of several is one of grey values: both are put together in memory, and PIL decodes them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from PIL import Image, TiffImagePlugin

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _COLORS, _SAMPLES, _ROWS = 256, 257, 258, 259, 262, 277, 278
_PLANES, _PREDICTOR, _SAMPLE_FORMAT, _ORIENTATION, _TABLES, _SUBFILE = 284, 317, 339, 274, 347, 254
_STRIPS, _STRIP_SIZES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 273, 279, 322, 323, 324, 325
_KEPT = (_COMPRESSION, _COLORS, 266, _SAMPLES, _BITS, _PLANES, _PREDICTOR, 320, 338, _SAMPLE_FORMAT, 530, 532)
"""What says how pixels are to be read: the order of bits, a palette, further bands, and how colours are coded."""
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_UNPACKED = 1
_DIFFERENCED = (5, 8, 32946, 50000)
"""Compressions under which a value may be kept as its difference from the one before: LZW, Deflate, Zstandard."""
_PLAIN = (_UNPACKED, *_DIFFERENCED, 32773, 34925)
"""Compressions of numbers as such, with PackBits and LZMA; the others are of images with colours."""
_BLOCK = 1 << 24
"""Values that are decoded at once where bands are chosen."""


@dataclass(frozen=True)
class TiffLayout:
    """Where the pixels of a page of a TIFF lie, the first where no other is asked for.

    Attributes:
        order: `<` or `>`, as `struct` has the order of bytes.
        tags: the numbers of each tag.
        tables: of JPEG, shared by all strips; empty: there are none.
        pages: whole images in the file; smaller copies (overviews) are none.
    """

    order: str
    tags: Mapping[int, tuple[int, ...]]
    tables: bytes
    pages: int

    @classmethod
    def read(cls, stream: BinaryIO, page: int = 0) -> Self | None:
        """Return the layout of a whole page of an open file; None: it is no TIFF whose directories can be read."""
        try:
            stream.seek(0)
            head = stream.read(8)
            if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
                return None
            head += stream.read(8) if b"+" in head[:4] else b""
            directory = TiffImagePlugin.ImageFileDirectory_v2(head)
            pages, seen = 0, set[int]()
            while directory.next and directory.next not in seen:
                seen.add(directory.next)
                stream.seek(directory.next)
                directory.load(stream)
                is_whole = not (_numbers(directory).get(_SUBFILE, (0,))[0] & 5)
                if len(seen) == 1 or (is_whole and pages == page):
                    tags, tables = _numbers(directory), directory.get(_TABLES, b"")
                pages += is_whole
            found = cls("<" if head[:2] == b"II" else ">", tags, tables, max(pages, 1))
            return found if found._is_whole() else None
        except (OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError, struct.error, UnboundLocalError):
            return None

    def _is_whole(self) -> bool:
        """Tell whether everything is there that says where pixels lie."""
        return min(self.height, self.width, self.samples, *self.piece) > 0 and (
            len(self.offsets) == len(self.sizes) == self.planes * self.across * self.down
        )

    def _first(self, tag: int, usual: int) -> int:
        return self.tags.get(tag, (usual,))[0]

    @property
    def height(self) -> int:
        """Return the rows of pixels, as they are stored."""
        return self._first(_HEIGHT, 0)

    @property
    def width(self) -> int:
        """Return the pixels of a row, as they are stored."""
        return self._first(_WIDTH, 0)

    @property
    def samples(self) -> int:
        """Return how many bands there are."""
        return self._first(_SAMPLES, 1)

    @property
    def bits(self) -> int:
        """Return the bits of a value."""
        return max(self.tags.get(_BITS, (1,)))

    @property
    def planes(self) -> int:
        """Return in how many parts bands lie apart: 1 where they alternate from value to value."""
        return self.samples if self._first(_PLANES, 1) == 2 else 1

    @property
    def orientation(self) -> int:
        """Return the orientation that the camera noted, 1 (upright) to 8."""
        noted = self._first(_ORIENTATION, 1)
        return noted if noted in range(1, 9) else 1

    @property
    def is_tiled(self) -> bool:
        """Tell whether pixels lie in tiles; else in strips as wide as the image."""
        return _TILES in self.tags

    @property
    def piece(self) -> tuple[int, int]:
        """Return height and width of a strip or tile."""
        if self.is_tiled:
            return self._first(_TILE_HEIGHT, 0), self._first(_TILE_WIDTH, 0)
        return min(self._first(_ROWS, self.height), self.height), self.width

    @property
    def across(self) -> int:
        """Return the pieces in a row of them."""
        return -(-self.width // self.piece[1])

    @property
    def down(self) -> int:
        """Return the rows of pieces."""
        return -(-self.height // self.piece[0])

    @property
    def offsets(self) -> tuple[int, ...]:
        """Return where each piece begins."""
        return self.tags.get(_TILES, ()) or self.tags.get(_STRIPS, ())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return how many bytes each piece has."""
        return self.tags.get(_TILE_SIZES, ()) or self.tags.get(_STRIP_SIZES, ())

    @property
    def is_divided(self) -> bool:
        """Tell whether a part can be decoded without the rest."""
        return self._first(_COMPRESSION, _UNPACKED) == _UNPACKED or self.across * self.down > 1

    @property
    def holds_plain_bands(self) -> bool:
        """Tell whether the bands are whole numbers of 8 or 16 bits, from 0 on, each by itself."""
        bits, forms = set(self.tags.get(_BITS, (1,))), set(self.tags.get(_SAMPLE_FORMAT, (1,)))
        apart = self._first(_COMPRESSION, _UNPACKED) in _PLAIN and self._first(_PREDICTOR, 1) in (1, 2)
        return bits in ({8}, {16}) and forms == {1} and apart and self._first(_COLORS, 1) != 3

    def part(self, stream: BinaryIO, top: int, left: int, bottom: int, right: int) -> Image.Image:
        """Return the pixels of a part, as a PIL image of the file's kind.

        Args:
            stream: the file.
            top: first row.
            left: first column.
            bottom: one behind the last row.
            right: one behind the last column.
        """
        (high, wide), split = self.piece, not self.is_tiled and self._first(_COMPRESSION, _UNPACKED) == _UNPACKED
        first, last = (top, bottom) if split else (top // high, -(-bottom // high))
        start, end = left // wide, -(-right // wide)
        rows = (first, last) if split else (first * high, min(last * high, self.height))
        columns = start * wide, min(end * wide, self.width)
        pieces = [
            content
            for plane in range(self.planes)
            for content in (
                self._rows(stream, plane, first, last)
                if split
                else self._pieces(stream, plane, first, last, start, end)
            )
        ]
        tags = {tag: self.tags[tag] for tag in _KEPT if tag in self.tags}
        tags |= {_HEIGHT: (rows[1] - rows[0],), _WIDTH: (columns[1] - columns[0],)}
        tags |= {_TILE_HEIGHT: (high,), _TILE_WIDTH: (wide,)} if self.is_tiled else {_ROWS: (high,)}
        if split:
            tags[_ROWS] = (rows[1] - rows[0],)
        image = Image.open(io.BytesIO(self._assembled(tags, pieces)))
        y, x = top - rows[0], left - columns[0]
        return image.crop((x, y, x + right - left, y + bottom - top))

    def band_rows(self, stream: BinaryIO, bands: Sequence[int], top: int, bottom: int) -> np.ndarray:
        """Return bands of some rows, uint8 or uint16 [rows, W, bands], where `holds_plain_bands`."""
        if self.planes > 1:
            return np.stack([self._plain_rows(stream, band, top, bottom)[..., 0] for band in bands], axis=-1)
        return self._plain_rows(stream, 0, top, bottom)[..., list(bands)]

    def bands(self, stream: BinaryIO, bands: Sequence[int]) -> np.ndarray:
        """Return bands of the image, uint8 or uint16 [H, W, bands], where `holds_plain_bands`."""
        step = max(self.piece[0], _BLOCK // (self.width * self.samples) // self.piece[0] * self.piece[0])
        return np.concatenate([
            self.band_rows(stream, bands, top, min(top + step, self.height)) for top in range(0, self.height, step)
        ])  # fmt: skip

    def _plain_rows(self, stream: BinaryIO, plane: int, top: int, bottom: int) -> np.ndarray:
        """Return rows of one plane, [rows, W, values of a pixel]: decoded as grey, a pixel's values side by side."""
        (high, wide), many = self.piece, self.samples // self.planes
        first, last = top // high, -(-bottom // high)
        rows = min(last * high, self.height) - first * high
        pieces = self._pieces(stream, plane, first, last, 0, self.across)
        tags = {_WIDTH: (self.width * many,), _HEIGHT: (rows,), _BITS: self.tags[_BITS][:1], _COLORS: (1,),
                _COMPRESSION: (self._first(_COMPRESSION, _UNPACKED),)}  # fmt: skip
        tags |= {266: self.tags[266]} if 266 in self.tags else {}
        tags |= {_TILE_HEIGHT: (high,), _TILE_WIDTH: (wide * many,)} if self.is_tiled else {_ROWS: (high,)}
        pixels = np.array(Image.open(io.BytesIO(self._assembled(tags, pieces))))
        pixels = pixels.astype(np.uint16 if pixels.dtype.itemsize == 2 else np.uint8).reshape(rows, self.width, many)
        if self._first(_PREDICTOR, 1) == 2 and self._first(_COMPRESSION, _UNPACKED) in _DIFFERENCED:
            for left in range(0, self.width, wide):
                part = pixels[:, left : left + wide]
                np.cumsum(part, axis=1, dtype=pixels.dtype, out=part)
        return pixels[top - first * high : bottom - first * high]

    def _pieces(self, stream: BinaryIO, plane: int, top: int, bottom: int, left: int, right: int) -> list[bytes]:
        """Return the encoded pieces of some rows and columns of pieces."""
        start = plane * self.across * self.down
        return [
            _bytes(stream, self.offsets[at], self.sizes[at])
            for row in range(top, bottom)
            for at in range(start + row * self.across + left, start + row * self.across + right)
        ]

    def _rows(self, stream: BinaryIO, plane: int, top: int, bottom: int) -> list[bytes]:
        """Return rows of uncompressed strips as one piece."""
        bits = self.tags.get(_BITS, (1,))
        row_bits = bits[min(plane, len(bits) - 1)] if self.planes > 1 else sum(bits) * (self.samples // len(bits) or 1)
        row, high, found = -(-self.width * row_bits // 8), self.piece[0], []
        for strip in range(top // high, -(-bottom // high)):
            first, last = max(top, strip * high), min(bottom, (strip + 1) * high)
            at = plane * self.down + strip
            found.append(_bytes(stream, self.offsets[at] + (first - strip * high) * row, (last - first) * row))
        return [b"".join(found)]

    def _assembled(self, tags: dict[int, tuple[int, ...]], pieces: Sequence[bytes]) -> bytes:
        """Return a TIFF of pieces and their directory."""
        starts = np.cumsum([8, *map(len, pieces)])
        places, sizes = (_TILES, _TILE_SIZES) if self.is_tiled else (_STRIPS, _STRIP_SIZES)
        tags = tags | {places: tuple(starts[:-1].tolist()), sizes: tuple(map(len, pieces))}
        entries = {tag: _packed(self.order, values) for tag, values in tags.items()}
        if self.tables:
            entries[_TABLES] = _UNDEFINED, len(self.tables), self.tables
        content = b"".join(pieces)
        content += b"\0" * (len(content) % 2)
        mark, place = (b"II*\0" if self.order == "<" else b"MM\0*"), 8 + len(content)
        directory, behind = struct.pack(f"{self.order}H", len(entries)), b""
        begin = place + 2 + 12 * len(entries) + 4
        for tag, (kind, count, values) in sorted(entries.items()):
            inside = values.ljust(4, b"\0")
            if len(values) > 4:
                inside, behind = struct.pack(f"{self.order}I", begin + len(behind)), behind + values
                behind += b"\0" * (len(behind) % 2)
            directory += struct.pack(f"{self.order}HHI", tag, kind, count) + inside
        return mark + struct.pack(f"{self.order}I", place) + content + directory + bytes(4) + behind


def _numbers(directory: TiffImagePlugin.ImageFileDirectory_v2) -> dict[int, tuple[int, ...]]:
    """Return the tags of a directory that hold whole numbers."""
    found = {}
    for tag in directory:
        values = directory[tag] if isinstance(directory[tag], tuple) else (directory[tag],)
        if all(isinstance(value, int) for value in values):
            found[tag] = tuple(values)
    return found


def _packed(order: str, values: Sequence[int]) -> tuple[int, int, bytes]:
    kind, letter = (_SHORT, "H") if max(values, default=0) < 1 << 16 else (_LONG, "I")
    return kind, len(values), struct.pack(f"{order}{len(values)}{letter}", *values)


def _bytes(stream: BinaryIO, start: int, count: int) -> bytes:
    stream.seek(start)
    content = stream.read(count)
    if len(content) < count:
        raise OSError("image file is truncated")
    return content


class BandedTiff(Image.Image):
    """A TIFF of several bands that PIL does not know, opened and not decoded: `layout` and `source` decode it.

    Args:
        source: the bytes, or the file.
        layout: of the file.
    """

    format = "TIFF"

    def __init__(self, source: bytes | Path, layout: TiffLayout) -> None:
        super().__init__()
        self.source, self.layout, self.n_frames = source, layout, layout.pages
        lies = layout.orientation >= 5
        # As PIL tells it: the size after turning.
        self._size = (layout.height, layout.width) if lies else (layout.width, layout.height)
        self._mode = f"{layout.samples} bands"

    def getexif(self) -> Image.Exif:
        """Return the orientation that is noted."""
        found = Image.Exif()
        found[_ORIENTATION] = self.layout.orientation
        return found

    def seek(self, frame: int) -> None:
        """Do nothing: pages are counted and not read."""

    def at(self, page: int) -> Self:
        """Return a whole page, counted from 0, which the file has.

        Raises:
            ValueError: it has another size or other bands than the first, or is of bands that are not plain.
        """
        with self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source) as stream:
            layout = TiffLayout.read(stream, page)
        first = self.layout
        alike = layout is not None and (layout.height, layout.width, layout.samples) == (
            first.height, first.width, first.samples)  # fmt: skip
        if layout is None or not alike or not layout.holds_plain_bands:
            raise ValueError(f"page {page} has another size or other bands than the first")
        return type(self)(self.source, layout)

    def chosen(self, bands: Sequence[int]) -> np.ndarray:
        """Decode bands, uint8 or uint16 [H, W, bands], as they are stored."""
        with self.source.open("rb") if isinstance(self.source, Path) else io.BytesIO(self.source) as stream:
            return self.layout.bands(stream, bands)


def banded_tiff(source: bytes | Path, least: int = 2) -> BandedTiff | None:
    """Return a TIFF of plain bands, opened, where it has at least so many; None: it is another file."""
    with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
        layout = TiffLayout.read(stream)
    return BandedTiff(source, layout) if layout and layout.samples >= least and layout.holds_plain_bands else None
