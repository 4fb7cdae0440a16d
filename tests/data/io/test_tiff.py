"""TIFFs of many bands give the bands that are chosen, and large ones a part of their pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import ImageRules, decode_rgb, open_image, to_rgb, upright_size
from ablata.data.io.windows import ImageWindows


def write_tiff(
    pixels: np.ndarray,
    *,
    order: str = "<",
    rows: int | None = None,
    tile: int | None = None,
    apart: bool = False,
    packed: bool = False,
    differenced: bool = False,
    colors: int = 1,
    orientation: int = 1,
    form: int = 1,
    pages: int = 1,
) -> bytes:
    """Encode [H, W, bands] as TIFF, of 8 or 16 bits."""
    height, width, bands = pixels.shape
    kind = np.dtype(pixels.dtype).newbyteorder("<" if order == "<" else ">")
    planes = [pixels[..., [band]] for band in range(bands)] if apart else [pixels]
    high, wide = (tile, tile) if tile else (rows or height, width)
    pieces = []
    for plane in planes:
        for top in range(0, height, high):
            for left in range(0, width, wide):
                part = plane[top : top + high, left : left + wide]
                if tile:
                    part = np.pad(part, ((0, high - part.shape[0]), (0, wide - part.shape[1]), (0, 0)))
                if differenced:
                    part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
                content = part.astype(kind).tobytes()
                pieces.append(zlib.compress(content) if packed else content)
    starts = np.cumsum([8, *map(len, pieces)]).tolist()
    bits = pixels.dtype.itemsize * 8
    tags: dict[int, Sequence[int]] = {
        256: [width], 257: [height], 258: [bits] * bands, 259: [8 if packed else 1], 262: [colors], 274: [orientation],
        277: [bands], 284: [2 if apart else 1], 317: [2 if differenced else 1], 339: [form] * bands,
        **({338: [0] * (bands - 3)} if colors == 2 and bands > 3 else {}),
        **({322: [wide], 323: [high], 324: starts[:-1], 325: [*map(len, pieces)]} if tile
           else {278: [high], 273: starts[:-1], 279: [*map(len, pieces)]}),
    }  # fmt: skip
    content, place = b"".join(pieces), starts[-1]
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", place)
    size = 2 + 12 * len(tags) + 4
    values = place + size * pages
    directory, behind = struct.pack(f"{order}H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        packed_numbers = struct.pack(f"{order}{len(numbers)}I", *numbers)
        inside = packed_numbers
        if len(packed_numbers) > 4:
            inside, behind = struct.pack(f"{order}I", values + len(behind)), behind + packed_numbers
        directory += struct.pack(f"{order}HHI", tag, 4, len(numbers)) + inside
    directories = [
        directory + struct.pack(f"{order}I", place + size * (number + 1) if number + 1 < pages else 0)
        for number in range(pages)
    ]
    return head + content + b"".join(directories) + behind


FORMS: dict[str, dict[str, Any]] = {
    "one strip": {},
    "strips": {"rows": 7},
    "deflate": {"rows": 7, "packed": True},
    "deflate with differences": {"rows": 7, "packed": True, "differenced": True},
    "tiles": {"tile": 16, "packed": True, "differenced": True},
    "bands apart": {"rows": 7, "apart": True, "packed": True, "differenced": True},
    "tiles of bands apart": {"tile": 16, "apart": True},
    "big endian": {"rows": 7, "order": ">", "packed": True, "differenced": True},
}


def _bands(count: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (37, 45, count), dtype=dtype)


def _rgb(content: bytes, **rules: Any) -> np.ndarray:
    return np.asarray(to_rgb(open_image(content, "it"), "it", ImageRules(**rules)))


@pytest.mark.parametrize("colors", [1, 2])
def test_bands_of_five_or_more_are_chosen_whatever_the_file_is_like(
    colors: int, caplog: pytest.LogCaptureFixture
) -> None:
    for count in (5, 8, 12):
        pixels = _bands(count)
        for name, form in FORMS.items():
            content = write_tiff(pixels, colors=colors, **form)
            assert np.array_equal(_rgb(content, bands=(4, 0, 2)), pixels[..., [4, 0, 2]]), name
            with pytest.raises(DataError, match=rf"it: {count} bands\n.*data\.bands=\[0,1,2\]"):
                _rgb(content)
            with pytest.raises(DataError, match=rf"data\.bands=\[0, 1, {count}\] of {count} bands"):
                _rgb(content, bands=(0, 1, count))
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_bands_of_sixteen_bits_are_scaled_by_the_bits_that_count() -> None:
    pixels = _bands(6, np.uint16) >> 4
    for name, form in FORMS.items():
        content = write_tiff(pixels, **form)
        expected = np.rint(pixels[..., [5, 1, 0]] / 4095 * 255)
        assert np.abs(_rgb(content, bands=(5, 1, 0), bits=12) - expected).max() <= 0.5, name
        _, facts = decode_rgb(open_image(content, "it"), "it", ImageRules(bands=(0, 1, 2)))
        assert facts.highest == pixels[..., :3].max()


def test_three_bands_that_are_not_called_colors_are_colors_and_two_or_four_are_chosen() -> None:
    pixels = _bands(4)
    assert np.array_equal(_rgb(write_tiff(np.ascontiguousarray(pixels[..., :3]))), pixels[..., :3])
    with pytest.raises(DataError, match=r"4 bands: is the last one infrared"):
        _rgb(write_tiff(pixels))
    assert np.array_equal(_rgb(write_tiff(pixels), bands=(3, 0, 1)), pixels[..., [3, 0, 1]])
    assert np.array_equal(_rgb(write_tiff(pixels[..., :2]), bands=(1, 1, 0)), pixels[..., [1, 1, 0]])


def test_bands_are_turned_as_the_camera_noted() -> None:
    pixels = _bands(5)
    image = open_image(write_tiff(pixels, orientation=6), "it")
    assert upright_size(image) == (45, 37)
    assert upright_size(image, "ignored") == (37, 45)
    turned = np.asarray(to_rgb(image, "it", ImageRules(bands=(0, 1, 2))))
    assert np.array_equal(turned, np.rot90(pixels[..., :3], -1))
    assert np.array_equal(
        _rgb(write_tiff(pixels, orientation=6), bands=(0, 1, 2), orientation="ignored"), pixels[..., :3]
    )


def test_bands_that_are_no_whole_numbers_pages_and_damage_are_refused_in_words() -> None:
    pixels = _bands(5)
    whole = write_tiff(pixels, rows=7, packed=True)
    for content, said in (
        (write_tiff(pixels, form=3), "a TIFF of bits or colours that Pillow does not know"),
        (write_tiff(pixels, pages=2), "2 pages or frames"),
        (whole[:8] + bytes(200) + whole[208:], ""),
        (whole[: len(whole) - 40], ""),
    ):
        with pytest.raises(DataError, match=f"it: {said}"):
            _rgb(content, bands=(0, 1, 2))
    with pytest.raises(DataError, match=r"it: 3,330 pixels, limit 3,000 \(data\.max_pixels\)"):
        open_image(write_tiff(_bands(8)), "it", 3000)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
def test_a_part_of_a_tiff_equals_that_part_of_the_whole(compression: str | None, mode: str, tmp_path: Path) -> None:
    if compression == "jpeg" and mode == "P":
        pytest.skip("JPEG holds no palette")
    image = Image.fromarray(_bands(3)).resize((300, 200)).convert(mode)
    file = tmp_path / "it.tif"
    image.save(file, compression=compression, strip_size=300 * 16)
    _check_parts(file, whole=False)


def test_parts_of_tiles_and_of_single_strips_are_read_by_themselves(tmp_path: Path) -> None:
    pixels, file = np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8), tmp_path / "it.tif"
    for name, form in FORMS.items():
        file.write_bytes(write_tiff(pixels, colors=2, **form))
        assert np.array_equal(_rgb(file.read_bytes()), pixels), name
        _check_parts(file, whole=False)
    file.write_bytes(write_tiff(pixels, colors=2, packed=True))
    _check_parts(file, whole=True)
    file.write_bytes(write_tiff(pixels, colors=2, orientation=6))
    _check_parts(file, whole=True)
    Image.fromarray(pixels).save(file, format="PNG")
    _check_parts(file, whole=True)


def _check_parts(file: Path, *, whole: bool) -> None:
    expected = _rgb(file.read_bytes())
    height, width = expected.shape[:2]
    with ImageWindows.open(file) as windows:
        assert windows.size == (height, width)
        assert windows.is_whole == whole
        for top, left, bottom, right in ((0, 0, 20, 30), (13, 17, 61, 64), (-5, 40, 33, 999), (33, 0, 999, 999)):
            part = windows.read(top, left, bottom, right)
            assert np.array_equal(part, expected[max(top, 0) : bottom, left:right])
        assert np.array_equal(windows.shrunk(7), expected[::7, ::7])


def test_a_part_needs_no_memory_for_the_whole(tmp_path: Path) -> None:
    file = tmp_path / "it.tif"
    with file.open("wb") as stream:
        content = write_tiff(np.zeros((2, 30_000, 3), dtype=np.uint8), colors=2)
        # 30,000 rows of which the file holds the first and last: the others are a hole.
        head = bytearray(content)
        start = struct.unpack("<I", head[4:8])[0]
        size = 30_000 * 30_000 * 3
        for at in range(start + 2, start + 2 + 12 * struct.unpack("<H", head[start : start + 2])[0], 12):
            tag = struct.unpack("<H", head[at : at + 2])[0]
            for wanted, value in ((257, 30_000), (278, 30_000), (279, size)):
                if tag == wanted:
                    head[at + 8 : at + 12] = struct.pack("<I", value)
        stream.write(head)
        stream.truncate(size + len(head))
    with ImageWindows.open(file, ImageRules(max_pixels=1 << 40)) as windows:
        assert windows.size == (30_000, 30_000)
        assert not windows.is_whole
        assert not windows.read(25_000, 100, 25_016, 900).any()


def test_a_part_that_is_cut_short_is_named(tmp_path: Path) -> None:
    file = tmp_path / "it.tif"
    stream = io.BytesIO()
    Image.fromarray(_bands(3)).save(stream, "TIFF", compression="tiff_lzw", strip_size=45 * 3 * 8)
    content = bytearray(stream.getvalue())
    file.write_bytes(content)
    with ImageWindows.open(file) as windows, file.open("r+b") as damaged:
        damaged.truncate(len(content) // 3)
        with pytest.raises(DataError, match=r"it\.tif: .*truncated"):
            windows.read(20, 0, 37, 45)
