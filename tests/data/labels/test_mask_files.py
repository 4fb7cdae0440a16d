"""Masks are read as written: ids and colours come back exactly, and what is in no class list is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.labels.mask_files import read_mask
from ablata.data.labels.table import LabelTable, color_codes, default_palette, paint, read_table
from ablata.structures.segmentation import IGNORE


def _table(form: str = "ids") -> LabelTable:
    values = (0x8429F6, 0xE2A929, 0x3C1098) if form == "colors" else (7, 1000, 8)
    return LabelTable(
        form, ("land", "water", "house"), values, (0x9B9B9B if form == "colors" else -1,), ((1, 2, 3),) * 3
    )


def _labels() -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([0, 1, 2, IGNORE], np.uint8), (9, 13))


def _list(folder: Path, text: str) -> Path:
    (folder / "classes.txt").write_text(text)
    return folder / "classes.txt"


@pytest.mark.parametrize("form", ["ids", "colors"])
def test_labels_come_back_from_raw_values_exactly(form: str) -> None:
    table, labels = _table(form), _labels()
    raw = table.decode(labels)
    back = table.encode(raw, "here")
    assert np.array_equal(back, labels)
    assert back.dtype == np.uint8
    assert np.array_equal(table.decode(back), raw)


def test_labels_come_back_from_a_file_of_colors_exactly(tmp_path: Path) -> None:
    palette = default_palette(IGNORE)
    table = LabelTable("colors", tuple(map(str, range(IGNORE))), tuple(_code(c) for c in palette), (0,), palette)
    labels = np.arange(IGNORE + 1, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(paint(labels, palette)).save(tmp_path / "mask.png")
    assert np.array_equal(table.encode(read_mask(tmp_path / "mask.png", "colors"), "mask.png"), labels)


def _code(color: tuple[int, int, int]) -> int:
    return int(color_codes(np.array([[color]], np.uint8))[0, 0])


def test_the_first_colors_are_those_of_pascal_voc() -> None:
    assert default_palette(4) == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert default_palette(20)[-1] == (0, 64, 128)


def test_palettes_are_read_as_indices_or_as_colors(tmp_path: Path) -> None:
    indices = np.array([[0, 2], [1, 2]], np.uint8)
    palette = Image.new("P", (2, 2))
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    palette.putdata(indices.ravel().tolist())
    palette.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", "ids"), indices)
    colors = read_mask(tmp_path / "mask.png", "colors")
    assert colors.tolist() == [[0x0A141E, 0x46505A], [0x28323C, 0x46505A]]


def test_sixteen_bits_keep_their_values(tmp_path: Path) -> None:
    ids = np.array([[7, 1000], [8, 65535]], np.uint16)
    Image.fromarray(ids).save(tmp_path / "mask.png")
    raw = read_mask(tmp_path / "mask.png", "ids")
    assert np.array_equal(raw, ids)
    with pytest.raises(DataError, match=r"mask.png: 65535 \(1 pixels\)"):
        _table().encode(raw, "mask.png")


def test_unknown_values_are_named_with_file_and_count() -> None:
    raw = np.full((4, 5), 0x8429F6)
    raw[0, :3], raw[1, 0] = 0x000000, 0x123456
    with pytest.raises(DataError, match=r"masks/a.png: #000000 \(3 pixels\), #123456 \(1 pixels\)"):
        _table("colors").encode(raw, "masks/a.png")


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_masks_are_refused(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / f"mask.{suffix}")
    with pytest.raises(DataError, match="without loss"):
        read_mask(tmp_path / f"mask.{suffix}", "ids")


def test_colors_where_ids_are_expected_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask.png: RGB"):
        read_mask(tmp_path / "mask.png", "ids")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match="64 of them"):
        read_mask(tmp_path / "clear.png", "colors")


def test_a_damaged_mask_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (40, 40), dtype=np.uint8)).save(tmp_path / "mask.png")
    content = (tmp_path / "mask.png").read_bytes()
    (tmp_path / "mask.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"mask.png"):
        read_mask(tmp_path / "mask.png", "ids")


def test_a_class_list_holds_classes_in_order_and_ignored_ones(tmp_path: Path) -> None:
    table = read_table(_list(tmp_path, "4 road\n2 the sky\n\n9 Unlabelled\n"), ("unlabelled",))
    assert (table.form, table.names, table.values, table.ignored) == ("ids", ("road", "the sky"), (4, 2), (9,))
    colors = read_table(_list(tmp_path, "#8429F6 land\n#e2a929 water\n"), ())
    assert (colors.form, colors.values) == ("colors", (0x8429F6, 0xE2A929))
    assert colors.palette == ((0x84, 0x29, 0xF6), (0xE2, 0xA9, 0x29))


def test_a_wrong_class_list_is_refused(tmp_path: Path) -> None:
    for number, (text, ignored, message) in enumerate(
        (
            ("4 road\n2\n", (), "line 2: 2"),
            ("4 road\n#112233 sky\n", (), "both forms"),
            ("", (), "no classes"),
            ("4 road\n4 sky\n", (), "4 named more than once"),
            ("4 road\n", ("void",), "void; .*has road"),
            ("4 road\n", ("road",), "0 classes"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(DataError, match=message):
            read_table(_list(folder, text), ignored)


def test_ignored_pixels_can_be_a_class_of_their_own() -> None:
    table = LabelTable("ids", ("a", "b"), (0, 1), (-1, 255), default_palette(2)).with_void_class()
    assert table.names == ("a", "b", "void")
    assert table.encode(np.array([[0, 1, -1, 255]]), "here").tolist() == [[0, 1, 2, 2]]
    assert table.decode(np.array([[1, 2]])).tolist() == [[1, -1]]
