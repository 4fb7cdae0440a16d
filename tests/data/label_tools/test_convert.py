"""Conversion: by a proposed map, exact both ways, with sources untouched and nothing overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ablata.base.errors import DataError, SettingsError
from ablata.base.files import digest
from ablata.data.label_tools.convert import Conversion, Converted, convert, divide, nearest_values
from ablata.data.label_tools.propose_map import propose
from ablata.data.labels.layout import USUAL, find_labeled_folder
from ablata.data.labels.map import MAP_FILE, Label, LabelMap, read_label_map
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.segmentation import JointAugment

from ..label_sets import blocks, checked, small_set, write

COLORS = np.array([[0x84, 0x29, 0xF6], [0xE2, 0xA9, 0x29], [0x9B, 0x9B, 0x9B], [0, 0, 0]], np.uint8)
GREY = LabelMap("ids", tuple(Label(value, at, f"c{at}") for at, value in enumerate((0, 74, 128, 145))))
PAINTED = LabelMap(
    "colors",
    (
        Label(0x8429F6, 0, "land"),
        Label(0xE2A929, 1, "water"),
        Label(0x9B9B9B, 255, "unlabelled", True),
        Label(0, 254, "unknown", True),
    ),
)


def _painted(root: Path, split: tuple[str, ...] = ("train", "val")) -> Path:
    """Write a set of colour masks."""
    for place in split:
        for number in range(6):
            file = write(root, place, f"s{number % 2}/p{number}", blocks([0, 1, 2, 3], number), number + 9 * len(place))
            with Image.open(file) as mask:
                indices = np.asarray(mask)
            Image.fromarray(COLORS[indices]).save(file)
    return root


def _converted(root: Path, how: Conversion, name: str = "new", workers: int | None = None) -> tuple[Path, Converted]:
    labelled = find_labeled_folder(str(root), USUAL, root.parent / "cache")
    return root.parent / name, convert(labelled, how, root.parent / name, workers=workers)


def _contents(root: Path) -> dict[str, str]:
    return {file.relative_to(root).as_posix(): digest(file) for file in sorted(root.rglob("*")) if file.is_file()}


def _masks(root: Path) -> dict[str, np.ndarray]:
    found = {}
    for file in sorted((root / "labels").rglob("*.png")):
        with Image.open(file) as mask:
            found[file.relative_to(root).as_posix()] = np.asarray(mask)
    return found


def test_colors_become_ids_and_come_back_exactly(tmp_path: Path) -> None:
    root = _painted(tmp_path / "set")
    before = _contents(root)
    new, done = _converted(root, Conversion(PAINTED))
    assert done.pairs == {"train": 6, "val": 6}
    assert {mask.dtype for mask in _masks(new).values()} == {np.dtype(np.uint8)}
    assert set(np.unique(np.stack(list(_masks(new).values()))).tolist()) == {0, 1, 254, 255}
    back, _ = _converted(new, Conversion(PAINTED, reverse=True), "back")
    raw = _masks(root)
    assert raw.keys() == _masks(back).keys()
    for name, mask in _masks(back).items():
        assert np.array_equal(mask, raw[name])
    assert _contents(root) == before
    images = {name: content for name, content in before.items() if name.startswith("images")}
    assert images.items() <= _contents(new).items()


def test_values_with_gaps_become_contiguous_and_come_back_exactly(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    new, done = _converted(root, Conversion(GREY), workers=2)
    assert done.pixels[1] == sum(int((mask == 74).sum()) for mask in _masks(root).values())
    assert checked(new).problems == ()
    back, _ = _converted(new, Conversion(read_label_map_of(GREY, tmp_path), reverse=True), "back")
    for name, mask in _masks(back).items():
        assert np.array_equal(mask, _masks(root)[name])


def read_label_map_of(label_map: LabelMap, folder: Path) -> LabelMap:
    """Return a map after it was a file."""
    (folder / "map.yaml").write_text(label_map.as_text())
    return read_label_map(folder / "map.yaml")


def test_what_is_converted_can_be_trained_on_and_ignores_what_the_map_ignores(tmp_path: Path) -> None:
    new, _ = _converted(_painted(tmp_path / "set"), Conversion(PAINTED))
    data = MaskFolder(root=str(new), augment=JointAugment(flip=True)).build(tmp_path / "cache")
    assert (data.classes, data.sizes) == (("land", "water"), {"train": 6, "val": 6})
    raw = np.stack(list(_masks(new).values()))
    counts = data.pixel_counts("train") + data.pixel_counts("val")
    assert counts.tolist() == [int((raw == 0).sum()), int((raw == 1).sum()), int((raw >= 254).sum())]
    assert data.table.palette == ((0x84, 0x29, 0xF6), (0xE2, 0xA9, 0x29))


def test_a_proposed_map_converts_what_it_was_proposed_for(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    mask = blocks([0, 74, 128, 145], 0)
    mask[0, 0] = 99
    write(root, "train", "p03", mask, 3)
    label_map, text = propose(checked(root).survey, None)
    (tmp_path / "map.yaml").write_text(text)
    again = read_label_map(tmp_path / "map.yaml")
    assert [(one.value, one.id, one.name, one.ignore) for one in again.labels] == [
        (one.value, one.id, one.name, one.ignore) for one in label_map.labels
    ]
    assert {one.value: one.ignore for one in again.labels} == {0: False, 74: False, 99: True, 128: False, 145: False}
    assert "in 1 of 12 files: ignored?" in text
    new, _ = _converted(root, Conversion(again))
    assert checked(new).problems == ()


def test_the_folders_own_list_names_what_it_knows_in_a_proposed_map(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 1, 7, 255])
    known = LabelMap(
        "ids", (Label(0, 0, "sky"), Label(1, 1, "road"), Label(3, 2, "car"), Label(255, 255, "void", True))
    )
    label_map, _ = propose(checked(root).survey, known)
    assert [(one.value, one.name, one.ignore) for one in label_map.labels] == [
        (0, "sky", False), (1, "road", False), (7, "class_7", False), (255, "void", True), (3, "car", False)
    ]  # fmt: skip


def test_255_is_proposed_to_be_ignored_beside_contiguous_values_and_not_as_white_of_a_drawing(
    tmp_path: Path,
) -> None:
    beside, _ = propose(checked(small_set(tmp_path / "a", [0, 1, 2, 255])).survey, None)
    drawn, _ = propose(checked(small_set(tmp_path / "b", [0, 255])).survey, None)
    assert {one.value: one.ignore for one in beside.labels} == {0: False, 1: False, 2: False, 255: True}
    assert {one.value: one.ignore for one in drawn.labels} == {0: False, 255: False}


def test_a_value_that_the_map_has_not_stops_the_conversion_and_leaves_nothing(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    write(root, "train", "p03", blocks([0, 74, 99], 0), 3)
    with pytest.raises(DataError, match=r"labels/train/p03.png: 99 \("):
        _converted(root, Conversion(GREY))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["set"]


def test_jpeg_label_files_take_the_nearest_values(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 200])
    for file in sorted(root.glob("labels/train/*.png")):
        with Image.open(file) as mask:
            mask.save(file.with_suffix(".jpg"), quality=95)
        file.unlink()
    three = LabelMap("ids", tuple(Label(value, at, f"c{at}") for at, value in enumerate((0, 74, 200))))
    with pytest.raises(DataError, match="--nearest"):
        _converted(root, Conversion(three))
    new, done = _converted(root, Conversion(three, nearest=True))
    assert done.moved > 0
    assert 0 < done.furthest < 74 / 2
    for number in range(8):
        assert np.array_equal(_masks(new)[f"labels/train/p{number:02}.png"], blocks([0, 1, 2], number))


def test_the_nearest_color_is_by_distance_and_known_ones_stay() -> None:
    raw = np.array([[0x8429F6, 0x8429F0, 0xE0A92B, 0x000001]])
    fixed, moved, furthest = nearest_values(raw, PAINTED)
    assert fixed.tolist() == [[0x8429F6, 0x8429F6, 0xE2A929, 0x000000]]
    assert (moved, furthest) == (3, 6.0)


def test_palette_files_among_grey_ones_can_be_taken_by_their_grey(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    indices = blocks([0, 1, 2, 3], 4)
    palette = Image.frombytes("P", (16, 12), indices.tobytes())
    palette.putpalette([0, 0, 0, 74, 74, 74, 128, 128, 128, 145, 145, 145])
    palette.save(root / "labels/train/p04.png")
    with pytest.raises(DataError, match="p04"):
        _converted(root, Conversion(GREY))
    new, _ = _converted(root, Conversion(GREY, palette="grey"))
    assert np.array_equal(_masks(new)["labels/train/p04.png"], indices)


def test_grey_color_files_and_sixteen_bits_are_read_for_their_values(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    mask = blocks([0, 74, 128, 145], 1)
    Image.fromarray(np.stack([mask] * 3, -1)).save(root / "labels/train/p01.png")
    Image.fromarray(blocks([0, 74, 128, 145], 2).astype(np.uint16)).save(root / "labels/train/p02.png")
    new, _ = _converted(root, Conversion(GREY))
    assert np.array_equal(_masks(new)["labels/train/p01.png"], blocks([0, 1, 2, 3], 1))
    assert np.array_equal(_masks(new)["labels/train/p02.png"], blocks([0, 1, 2, 3], 2))


def test_values_above_255_come_back_in_sixteen_bits(tmp_path: Path) -> None:
    deep = LabelMap("ids", (Label(0, 0, "sky"), Label(1000, 1, "road")))
    root = small_set(tmp_path / "set", [0, 1])
    for file in root.glob("labels/*/*.png"):
        with Image.open(file) as mask:
            values = np.asarray(mask).astype(np.uint16) * 1000
        Image.fromarray(values).save(file)
    new, _ = _converted(root, Conversion(deep))
    back, _ = _converted(new, Conversion(deep, reverse=True), "back")
    for name, mask in _masks(back).items():
        assert np.array_equal(mask, _masks(root)[name])


def test_what_stands_alone_is_refused_or_left_out(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    (root / "labels/train/p04.png").unlink()
    with pytest.raises(DataError, match=r"images/train/p04.png[^*]*--paired-only"):
        _converted(root, Conversion(GREY))
    new, done = _converted(root, Conversion(GREY, paired_only=True))
    assert done.pairs == {"train": 7, "val": 4}
    assert checked(new).problems == ()


def test_nothing_is_overwritten_and_sources_stay_apart(tmp_path: Path) -> None:
    root = small_set(tmp_path / "set", [0, 74, 128, 145])
    (tmp_path / "new").mkdir()
    for place in ("new", "set/inside", "set"):
        with pytest.raises(SettingsError, match="--output"):
            _converted(root, Conversion(GREY), place)
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_is_not_split_is_split_and_a_split_one_can_be_split_anew(tmp_path: Path) -> None:
    flat = _painted(tmp_path / "set", ("",))
    new, done = _converted(flat, Conversion(PAINTED))
    assert done.pairs == {"train": 5, "val": 1}
    assert (new / MAP_FILE).is_file()
    again, done = _converted(_painted(tmp_path / "both"), Conversion(PAINTED, val=0.5), "again")
    assert done.pairs == {"train": 6, "val": 6}
    names = {file.relative_to(again).as_posix() for file in again.glob("images/*/*/*/*.png")}
    assert len(names) == 12
    assert checked(again).problems == ()


def test_the_split_is_the_same_for_a_seed_and_another_for_another() -> None:
    holds = np.ones((40, 3), bool)
    one, same, other = (divide(holds, ["a"] * 40, 0.25, seed) for seed in (0, 0, 1))
    assert one.sum() == 10
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 40), st.integers(1, 8), st.floats(0.05, 0.6), st.integers(0, 5))
def test_every_class_of_two_images_is_on_both_sides(count: int, classes: int, fraction: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    holds = random.random((count, classes)) < random.uniform(0.05, 0.9, classes)
    folders = [("a", "b")[number % 2] for number in range(count)]
    chosen = divide(holds, folders, fraction, seed)
    assert 0 < chosen.sum() < count
    for label in np.flatnonzero(holds.sum(axis=0) == 2):
        assert holds[:, label][chosen].sum() == 1 or _shared(holds, int(label))
    plenty = holds.sum(axis=0) > classes + 2
    assert holds[chosen][:, plenty].any(axis=0).all()
    assert holds[~chosen][:, plenty].any(axis=0).all()


def _shared(holds: np.ndarray, label: int) -> bool:
    """Tell whether a rarer class, or one as rare, lies in the same images, so that not both can be parted."""
    rows = np.flatnonzero(holds[:, label])
    rare = holds.sum(axis=0) <= len(rows)
    rare[label] = False
    return bool(holds[rows][:, rare].any())


def test_small_classes_give_their_share_as_large_ones_do() -> None:
    counts = (12, 12, 30, 300)
    holds = np.repeat(np.eye(4, dtype=bool), counts, axis=0)
    for seed in range(5):
        given = holds[divide(holds, [""] * sum(counts), 0.25, seed)].sum(axis=0)
        assert np.abs(given - np.array(counts) * 0.25).max() <= 1


def test_source_folders_give_their_share(tmp_path: Path) -> None:
    folders = ["a"] * 60 + ["b"] * 20
    chosen = divide(np.ones((80, 2), bool), folders, 0.25, 0)
    assert (int(chosen[:60].sum()), int(chosen[60:].sum())) == (15, 5)


def test_a_map_with_shared_ids_is_told_to_lose_the_way_back(tmp_path: Path) -> None:
    merged = LabelMap("ids", (Label(0, 0, "a"), Label(74, 0, "a"), Label(128, 1, "b"), Label(145, 2, "c")))
    new, _ = _converted(small_set(tmp_path / "set", [0, 74, 128, 145]), Conversion(merged))
    back, done = _converted(new, Conversion(replace(merged), reverse=True), "back")
    assert "several values of the label map have one id: the first of these values is written" in done.notices
    assert set(np.unique(np.stack(list(_masks(back).values()))).tolist()) == {0, 128, 145}


def test_an_image_that_is_a_link_to_nowhere_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    root = _painted(tmp_path / "set")
    image = sorted((root / "images").rglob("*.png"))[0]
    for goal in (image, tmp_path / "nowhere.png"):
        image.unlink()
        image.symlink_to(goal)
        with pytest.raises(DataError, match=f"must be readable\n.*{image.name}"):
            _converted(root, Conversion(PAINTED))
        assert not (tmp_path / "new").exists()
