"""Damaged TIFF files: told in our words, and never by a line that a library writes to standard error."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import open_image, to_rgb


@pytest.mark.parametrize(
    ("compression", "words"), [("tiff_adobe_deflate", "data check"), ("tiff_lzw", "not yet in table")]
)
def test_what_libtiff_says_of_a_damaged_file_is_told_with_its_name(
    compression: str, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "TIFF", compression=compression)
    whole, damaged = stream.getvalue(), bytearray(stream.getvalue())
    damaged[2000:4000] = b"\xff" * 2000
    for _ in range(2):
        with pytest.raises(DataError, match=rf"(?s)bad\.tif: .*{words}"):
            to_rgb(open_image(bytes(damaged), "bad.tif"), "bad.tif")
    assert to_rgb(open_image(whole, "good.tif"), "good.tif").size == (64, 64)
    assert capfd.readouterr() == ("", "")
