"""Masks are read as written: ids and colours come back exactly, and what is in no class list is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.decode import ImageRules
from ablata.data.labels.mask_files import Leniency, Palettes, read_mask
from ablata.data.labels.table import TRANSPARENT, LabelTable, color_codes, default_palette, paint, read_table
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


def test_greys_that_are_the_indices_in_another_order_are_asked_about() -> None:
    for greys, told in (
        ({0: 2, 1: 1, 2: 0}, "index 0 is grey 2, index 2 is grey 0"),
        ({0: 0, 1: 1, 2: 2}, ""),
        ({0: 0, 1: 128, 2: 255}, ""),
    ):
        palettes = Palettes()
        palettes.add({index: 0x10101 * grey for index, grey in greys.items()}, "a.png")
        assert palettes.conflict == (f"the greys are the indices in another order: {told}" if told else "")
    palettes.add({1: 0x123456}, "b.png")
    with pytest.raises(DataError, match=r"index 1 is #808080 in a\.png and #123456 in b\.png"):
        palettes.refuse("set")


def test_sixteen_bits_keep_their_values(tmp_path: Path) -> None:
    ids = np.array([[7, 1000], [8, 65535]], np.uint16)
    Image.fromarray(ids).save(tmp_path / "mask.png")
    raw = read_mask(tmp_path / "mask.png", "ids")
    assert np.array_equal(raw, ids)
    with pytest.raises(DataError, match=r"mask.png: 65535 \(1 pixel\)"):
        _table().encode(raw, "mask.png")


def test_unknown_values_are_named_with_file_and_count() -> None:
    raw = np.full((4, 5), 0x8429F6)
    raw[0, :3], raw[1, 0] = 0x000000, 0x123456
    with pytest.raises(DataError, match=r"masks/a.png: #000000 \(3 pixels\), #123456 \(1 pixel\)"):
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


def test_transparent_pixels_are_a_value_and_half_transparent_ones_a_fault(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[0] = (255, 0, 0, 255)
    pixels[1, 0] = (9, 9, 9, 255)
    for name, image in (("colors", Image.fromarray(pixels)), ("palette", Image.fromarray(pixels).quantize(4))):
        image.save(tmp_path / f"{name}.png")
        raw = read_mask(tmp_path / f"{name}.png", "colors")
        assert raw.tolist() == [[0xFF0000] * 3, [0x090909, TRANSPARENT, TRANSPARENT]]
    ids = np.dstack([np.full((2, 3), 7, np.uint8), pixels[..., 3]])
    Image.fromarray(ids).save(tmp_path / "ids.png")
    assert read_mask(tmp_path / "ids.png", "ids").tolist() == [[7, 7, 7], [7, TRANSPARENT, TRANSPARENT]]
    table = read_table(_list(tmp_path, "#FF0000 disc\ntransparent ground\n#090909 box\n"), ())
    assert table.encode(raw, "it").tolist() == [[0, 0, 0], [2, 1, 1]]
    with pytest.raises(DataError, match=r"transparent \(2 pixels\)"):
        _table("colors").encode(np.where(raw == TRANSPARENT, raw, 0x8429F6), "it")
    pixels[1, 1, 3] = 100
    Image.fromarray(pixels).save(tmp_path / "half.png")
    with pytest.raises(DataError, match="1 are half transparent"):
        read_mask(tmp_path / "half.png", "colors")
    lenient = read_mask(tmp_path / "half.png", "colors", Leniency(lossy=True))
    assert lenient[1].tolist() == [0x090909, TRANSPARENT, TRANSPARENT]


def test_whole_numbers_are_read_from_every_kind_of_greyscale(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (7, 9)).astype(np.uint8)
    Image.fromarray(ids.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(ids.astype(np.int32)).save(tmp_path / "long.tif")
    Image.merge("LA", [Image.fromarray(ids), Image.new("L", (9, 7), 255)]).save(tmp_path / "alpha.png")
    for bits, factor in ((2, 85), (4, 17)):
        Image.fromarray(ids * factor).save(tmp_path / f"bits{bits}.png", bits=bits)
    for file in tmp_path.iterdir():
        assert np.array_equal(read_mask(file, "ids"), ids), file.name
    Image.fromarray(ids.astype(np.float32) + 0.5).save(tmp_path / "half.tif")
    with pytest.raises(DataError, match="floating point, 63 pixels with a fraction"):
        read_mask(tmp_path / "half.tif", "ids")


def test_what_loses_nothing_is_read_and_jpeg_inside_tiff_is_not(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (16, 16)).astype(np.uint8)
    pixels = np.dstack([ids * 60] * 3)
    Image.fromarray(pixels).save(tmp_path / "mask.webp", lossless=True)
    assert np.array_equal(read_mask(tmp_path / "mask.webp", "colors"), color_codes(pixels))
    Image.fromarray(pixels).save(tmp_path / "mask.tif", compression="jpeg")
    with pytest.raises(DataError, match="JPEG inside TIFF"):
        read_mask(tmp_path / "mask.tif", "colors")
    Image.fromarray(ids).save(tmp_path / "stack.tif", save_all=True, append_images=[Image.fromarray(ids)])
    with pytest.raises(DataError, match="2 pages"):
        read_mask(tmp_path / "stack.tif", "ids")


def test_a_mask_is_turned_as_its_own_note_says(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 4, (5, 8)).astype(np.uint8)
    for suffix in ("png", "tif"):
        for note, upright in ((3, ids[::-1, ::-1]), (6, np.rot90(ids, -1)), (8, np.rot90(ids, 1))):
            exif = Image.Exif()
            exif[0x0112] = note
            Image.fromarray(ids).save(tmp_path / f"mask.{suffix}", exif=exif)
            assert np.array_equal(read_mask(tmp_path / f"mask.{suffix}", "ids"), upright)
            stored = read_mask(tmp_path / f"mask.{suffix}", "ids", rules=ImageRules("ignored"))
            assert np.array_equal(stored, ids)


def test_class_lists_are_read_as_editors_write_them(tmp_path: Path) -> None:
    text = "0 ground\r\n1 disc\r\n"
    for content in (text.encode(), b"\xef\xbb\xbf" + text.encode(), text.encode("utf-16"), b"ground\ndisc\n",
                    b"0: ground\n1: disc", b"0,ground\n1,disc\n", b"# classes\n0\tground\n1\tdisc\n"):  # fmt: skip
        (tmp_path / "classes.txt").write_bytes(content)
        table = read_table(tmp_path / "classes.txt", ())
        assert (table.names, table.values) == (("ground", "disc"), (0, 1)), content
    (tmp_path / "classes.txt").write_bytes("0 größe\n".encode("latin-1"))
    with pytest.raises(DataError, match="save it as UTF-8"):
        read_table(tmp_path / "classes.txt", ())


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
            ("4 road\n5 road\n", (), "4 and 5 are road"),
            (f"4 road\n{'9' * 400} sky\n", (), "10 digits at most"),
            ("road\nroad\n", (), "0 and 1 are road"),
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
