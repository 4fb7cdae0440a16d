"""Drawings of label maps keep the labels: in files exactly, over images in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.data.drawing.segmentation import errors, index_image, legend, overlay, segmentation_sheet
from ablata.data.labels.mask_files import read_mask
from ablata.data.labels.table import default_palette
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.segmentation import JointAugment

PALETTE = default_palette(3)
LABELS = np.array([[0, 1, 2], [255, 0, 2]], dtype=np.uint8)


def test_a_file_of_indices_is_read_as_the_mask_it_was(tmp_path: Path) -> None:
    index_image(LABELS, PALETTE).save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", "ids"), LABELS)
    with Image.open(tmp_path / "mask.png") as mask:
        colors = np.asarray(mask.convert("RGB"))
    assert [tuple(colors[0, label]) for label in range(3)] == list(PALETTE)
    assert tuple(colors[1, 0]) == (0, 0, 0)


def test_an_overlay_mixes_by_its_share_and_leaves_ignored_pixels() -> None:
    pixels = np.full((2, 3, 3), 100, dtype=np.uint8)
    none, half, whole = (overlay(pixels, LABELS, PALETTE, fraction) for fraction in (0, 0.5, 1))
    assert np.array_equal(none, pixels)
    assert tuple(whole[0, 1]) == PALETTE[1]
    assert np.array_equal(half[0, 1], np.round((100 + np.array(PALETTE[1])) / 2))
    assert np.array_equal(whole[1, 0], pixels[1, 0])


def test_an_overlay_of_a_large_image_is_that_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random, palette = np.random.default_rng(0), default_palette(3)
    pixels = random.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    labels = random.choice(np.array([0, 1, 2, 255], dtype=np.uint8), (40, 30))
    whole = overlay(pixels, labels, palette)
    monkeypatch.setattr("ablata.data.drawing.segmentation._AT_ONCE", 100)
    assert np.array_equal(overlay(pixels, labels, palette), whole)


def test_errors_tell_right_wrong_and_ignored_apart() -> None:
    drawn = errors(np.zeros((2, 3), dtype=np.uint8), LABELS)
    right, wrong, ignored = drawn[0, 0], drawn[0, 1], drawn[1, 0]
    assert len({tuple(right), tuple(wrong), tuple(ignored)}) == 3
    assert np.array_equal(drawn[1, 1], right)
    assert np.array_equal(drawn[0, 2], wrong)


def test_a_legend_shows_every_color_in_the_order_of_the_labels() -> None:
    image = np.asarray(legend(["sky", "road", "car"], PALETTE))
    column = [tuple(pixel) for pixel in image[:, 15].tolist()]
    rows = [column.index(color) for color in PALETTE]
    assert rows == sorted(rows)


def test_image_label_and_blend_stand_side_by_side(tmp_path: Path) -> None:
    raw = np.array([[0, 0, 1, 9]] * 4, np.uint8)
    for split, grey in (("train", 200), ("val", 190)):
        for kind, pixels in (("images", np.full((4, 4, 3), grey, np.uint8)), ("labels", raw)):
            (tmp_path / "set" / kind / split).mkdir(parents=True)
            Image.fromarray(pixels).save(tmp_path / "set" / kind / split / "a.png")
    (tmp_path / "set" / "classes.txt").write_text("0 sky\n1 road\n9 other\n")
    settings = MaskFolder(root=str(tmp_path / "set"), ignored=("other",), augment=JointAugment())
    data = settings.build(tmp_path / "cache")
    loader = data.train_loader(0, 1)
    before = next(loader.batches(0, 1))
    sheet = np.asarray(segmentation_sheet(before, data, side=12))
    assert np.array_equal(np.asarray(segmentation_sheet(loader.augment(before, 0, 0), data, side=12)), sheet)
    row = sheet[6, 6:18].tolist()
    colors = [[128, 0, 0], [128, 0, 0], [0, 128, 0], [0, 0, 0]]
    assert row[:4] == [[200] * 3] * 4
    assert row[4:8] == colors
    assert row[8:] == [[(200 + value) // 2 for value in color] for color in colors]
