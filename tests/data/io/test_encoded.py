"""The short way round PIL's header gives what the long way gives, and leaves alone what is no ordinary JPEG."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io import encoded as encoded_file
from ablata.data.io.decode import ImageRules, open_image, to_rgb, upright_size
from ablata.data.io.encoded import Encoded, plain_jpeg_size


def image(mode: str = "RGB", height: int = 37, width: int = 61) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(mode: str = "RGB", kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image(mode).save(stream, kind, **options)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(exif=exif)


def adobe(content: bytes) -> bytes:
    return content[:2] + b"\xff\xee\x00\x0eAdobe" + bytes(7) + content[2:]


ORDINARY = {
    "color": encoded(),
    "grey": encoded("L"),
    "progressive": encoded(progressive=True),
    "not subsampled": encoded(subsampling=0),
    "with a profile": encoded(icc_profile=b"profile" * 1000),
    "with a comment": encoded(comment=b"\xff\xc0 no frame"),
    "followed by zeros": encoded() + bytes(3),
}
OTHERS = {
    "CMYK": encoded("CMYK"),
    "turned": turned(6),
    "upright, and says so": turned(1),
    "Adobe's": adobe(encoded()),
    "PNG": encoded(kind="PNG"),
    "cut short": encoded()[:-40],
    "two images": encoded(kind="MPO", save_all=True, append_images=[image()]),
}


def test_size_and_pixels_are_pils() -> None:
    for name in (*ORDINARY, *OTHERS):
        for orientation in ("applied", "ignored"):
            content = ORDINARY.get(name) or OTHERS[name]
            found = Encoded(content, "it", ImageRules(orientation))
            assert (plain_jpeg_size(content) is not None) == (name in ORDINARY)
            assert found.size == upright_size(open_image(content, "it"), orientation)
            if name == "cut short":
                with pytest.raises(DataError, match="it: "):
                    found.array("opencv")
                continue
            expected = np.asarray(to_rgb(open_image(content, "it"), "it", ImageRules(orientation)))
            for decoder in ("opencv", "pil"):
                assert np.array_equal(found.array(decoder), expected), decoder
            assert np.array_equal(np.asarray(found.image()), expected)


def test_a_bomb_is_left_to_pil(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_file, "QUIET_PIXELS", 61 * 37 // 3)
    assert plain_jpeg_size(encoded()) is None
    with pytest.raises(DataError, match="more pixels than the limit"):
        _ = Encoded(encoded(), "it", ImageRules(max_pixels=61 * 37 - 1)).size


@given(st.data())
def test_damaged_bytes_never_raise_and_never_tell_another_size_than_pil(data: st.DataObject) -> None:
    content = bytearray(ORDINARY[data.draw(st.sampled_from(sorted(ORDINARY)))])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    size = plain_jpeg_size(bytes(content))
    try:
        image = Image.open(io.BytesIO(bytes(content)))
    except Exception:
        return
    if size is not None and image.format == "JPEG":
        assert size == (image.height, image.width)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["hymenoptera", "imagenette"])
def test_real_files_have_the_size_that_pil_reads(name: str, data_home: Path) -> None:
    with zipfile.ZipFile(data_home / name / f"{name}.zip") as archive:
        members = [member for member in archive.namelist() if member.lower().endswith((".jpg", ".jpeg"))][::7]
        contents = {member: archive.read(member) for member in members}
    sizes = {member: plain_jpeg_size(content) for member, content in contents.items()}
    for member, size in sizes.items():
        image = Image.open(io.BytesIO(contents[member]))
        assert size in (None, (image.height, image.width)), member
    assert sum(size is not None for size in sizes.values()) > len(sizes) / 2 > 10
