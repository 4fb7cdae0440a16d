"""Stacks by page, values by a range, one band of several: read alike for images, and pages of masks too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from ablata.base.errors import DataError
from ablata.data.io.decode import ImageRules, decode_rgb, open_image
from ablata.data.io.masks import load_mask, open_mask
from ablata.data.io.read_settings import ImageReadSettings


def read(file: Path, **settings: object) -> np.ndarray:
    rules = ImageReadSettings.model_validate(settings).image_rules()
    return np.asarray(decode_rgb(open_image(file.read_bytes(), str(file)), str(file), rules)[0])


def stack(file: Path, *pages: np.ndarray) -> Path:
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(file, save_all=True, append_images=rest)
    return file


def test_a_page_of_a_stack_is_read_and_masks_follow(tmp_path: Path) -> None:
    pages = [np.full((4, 6), 40 * number, np.uint8) for number in range(3)]
    file = stack(tmp_path / "a.tif", *pages)
    for number in range(3):
        assert np.array_equal(read(file, page=number)[..., 0], pages[number])
        mask = load_mask(open_mask(file), file, ImageRules(page=number))
        assert np.array_equal(np.asarray(mask), pages[number])
    with pytest.raises(DataError, match=r"3 pages or frames\n.*data\.page=0"):
        read(file)
    with pytest.raises(DataError, match=r"page of every file.*\n.*3 of them, data\.page=3"):
        read(file, page=3)
    with pytest.raises(DataError, match=r"data\.page"):
        load_mask(open_mask(file), file)
    single = stack(tmp_path / "single.tif", pages[1])
    assert np.array_equal(read(single, page=0)[..., 0], pages[1])
    uneven = stack(tmp_path / "uneven.tif", pages[0], np.zeros((5, 6), np.uint8))
    with pytest.raises(DataError, match="one size"):
        read(uneven, page=1)


def test_a_page_of_many_bands(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    values = np.random.default_rng(0).integers(0, 65536, (2, 5, 7, 6), dtype=np.uint16)
    file = tmp_path / "bands.tif"
    with tifffile.TiffWriter(file) as writer:
        for page in values:
            writer.write(page, photometric="minisblack", planarconfig="contig", metadata=None)
    for page in range(2):
        expected = (values[page][..., [5, 0, 2]].astype(int) * 255 + 32767) // 65535
        assert np.array_equal(read(file, page=page, bands=(5, 0, 2)), expected)


def test_values_of_a_range_become_black_to_white(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 2000], [3000, 4000, 65535]], np.uint16)
    expected = np.array([[0, 0, 85], [170, 255, 255]])
    deep, flat = tmp_path / "deep.png", tmp_path / "flat.tif"
    Image.fromarray(values).save(deep)
    Image.fromarray(values.astype(np.float32)).save(flat)
    for file in (deep, flat):
        assert np.array_equal(read(file, span=(1000.0, 4000.0))[..., 1], expected), file
    with pytest.raises(DataError, match=r"data\.span"):
        read(flat)
    shallow = tmp_path / "shallow.png"
    Image.fromarray(np.full((2, 2), 9, np.uint8)).save(shallow)
    assert (read(shallow, span=(1000.0, 4000.0)) == 9).all(), "images of 8 bits stay as they are"
    for wrong in ({"span": (4.0, 4.0)}, {"span": (0.0, 9.0), "bits": 12}):
        with pytest.raises(ValidationError, match="span"):
            ImageReadSettings.model_validate(wrong)


def test_one_band_is_shown_grey(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png", bands=(2,)), np.repeat(pixels[..., 2:], 3, axis=2))


def test_other_rules_are_other_decoded_files() -> None:
    rules = [ImageRules(), ImageRules(page=0), ImageRules(page=1), ImageRules(span=(0, 9)), ImageRules(bits=12)]
    assert len({rule.key() for rule in rules}) == len(rules)
