"""Masks as tools export them are recognized, with the classes that the tool lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.formats.tools import draw

from ablata.base.errors import DataError
from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.data.any import AnySegmentationData
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.recognize import recognize
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.synthetic.scene_masks import SceneMasks

SIZE = (24, 32)


class _Holder(Settings):
    data: AnySegmentationData = SceneMasks()


def _mask(path: Path, values: tuple[object, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((*SIZE, *np.shape(values[0])), values[0], dtype=np.uint8)
    pixels[4:12, 4:12] = values[1]
    Image.fromarray(pixels).save(path)


def _read(root: Path, cache: Path) -> tuple[tuple[str, ...], list[int]]:
    found = next(one for one in recognize(str(root), cache) if one.task == "segment")
    crops = ["data.augment.crop.height=16", "data.augment.crop.width=16"]
    data = override(_Holder(), [*found.overrides, *crops]).data.build(cache)
    labels = next(iter(data.eval_loader("val", 1))).labels[0].numpy()
    return data.classes, [int((labels == value).sum()) for value in range(len(data.classes))]


def test_roboflows_masks_beside_their_images(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("valid", 10)):
        for number in range(3):
            draw(tmp_path / f"set/{split}/{number}_jpg.rf.{first}.jpg", first + number, SIZE)
            _mask(tmp_path / f"set/{split}/{number}_jpg.rf.{first}_mask.png", (0, 2))
        (tmp_path / f"set/{split}/_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cat\n2, dog\n")
    classes, pixels = _read(tmp_path / "set", tmp_path / "cache")
    assert (classes, pixels) == (("background", "cat", "dog"), [24 * 32 - 64, 0, 64])


def test_camvids_folders_with_a_list_of_colours(tmp_path: Path) -> None:
    """SegNet's CamVid, and CVAT's export in that form."""
    for split, first in (("train", 0), ("val", 10)):
        for number in range(2):
            draw(tmp_path / f"set/{split}/{number}.png", first + number, SIZE)
            _mask(tmp_path / f"set/{split}annot/{number}.png", ((0, 0, 0), (128, 0, 0)))
    (tmp_path / "set/label_colors.txt").write_text("0 0 0 background\n128 0 0 cell\n")
    assert _read(tmp_path / "set", tmp_path / "cache") == (("background", "cell"), [24 * 32 - 64, 64])


def test_a_table_of_colours(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 10)):
        for number in range(2):
            draw(tmp_path / f"set/{split}/images/{number}.png", first + number, SIZE)
            _mask(tmp_path / f"set/{split}/masks/{number}.png", ((60, 16, 152), (132, 41, 246)))
    (tmp_path / "set/class_dict.csv").write_text("name,r,g,b\nbuilding,60,16,152\nland,132,41,246\n")
    assert _read(tmp_path / "set", tmp_path / "cache") == (("building", "land"), [24 * 32 - 64, 64])


def _arrays(root: Path, values: np.ndarray) -> Path:
    for split, first in (("train", 0), ("val", 10)):
        for number in range(2):
            draw(root / f"images/{split}/{number}.png", first + number, SIZE)
            (root / f"masks/{split}").mkdir(parents=True, exist_ok=True)
            np.save(root / f"masks/{split}/{number}.npy", values)
    (root / "classes.txt").write_text("0 ground\n1 cell\n")
    return root


def test_arrays_of_any_whole_numbers_are_masks(tmp_path: Path) -> None:
    values = np.zeros(SIZE, np.int64)
    values[4:12, 4:12] = 1
    kinds = (values, values.astype(bool), values.astype(np.uint8)[..., None], values.astype(np.float64)[None])
    for number, kind in enumerate((*kinds, values.astype(np.uint16))):
        root = _arrays(tmp_path / str(number), kind)
        assert _read(root, tmp_path / "cache") == (("ground", "cell"), [24 * 32 - 64, 64]), kind.dtype


def test_arrays_that_are_no_masks_are_refused_by_file(tmp_path: Path) -> None:
    half, far, objects = np.full(SIZE, 0.5), np.full(SIZE, 1 << 40), np.array([{}])
    root = _arrays(tmp_path, half)
    for values, told in (
        (half, r"whole numbers\n.*0\.npy: floating point, 768 pixels"), (far, r"fit into 32 bits\n.*0\.npy"),
        (np.zeros((4, 5, 6, 7)), r"float64 \[4, 5, 6, 7\]"), (objects, r"must be readable\n.*0\.npy"),
        (np.zeros((24, 30), np.uint8), r"image's size.*\n.*0\.npy is 24x30"),
    ):  # fmt: skip
        np.save(root / "masks/train/0.npy", values, allow_pickle=True)
        np.save(root / "masks/train/1.npy", np.zeros(SIZE, np.uint8))
        with pytest.raises(DataError, match=told):
            MaskFolder(root=str(root)).build(tmp_path / "cache")
    (root / "masks/train/0.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(DataError, match=r"must be readable\n.*0\.npy"):
        MaskFolder(root=str(root)).build(tmp_path / "cache")


def test_masks_of_16_bits_are_of_classes_where_a_list_names_these(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for number in range(4):
        draw(root / f"images/{number}.png", number, SIZE)
        _mask(root / f"masks/{number}.png", (0, 1))
        Image.fromarray(np.asarray(Image.open(root / f"masks/{number}.png")).astype(np.uint16)).save(
            root / f"masks/{number}.png"
        )
    assert [found.kind for found in recognize(str(root), tmp_path / "c")] == ["boxes", "shapes", "mask_folder"]
    (root / "classes.txt").write_text("0 sky\n1 road\n")
    assert [found.kind for found in recognize(str(root), tmp_path / "c")] == ["mask_folder"]
    with pytest.raises(DataError, match="must"):
        BoxSet(root=str(root)).build(tmp_path / "c")
    assert len(BoxSet(root=str(root), format="instance_numbers").build(tmp_path / "c").classes) == 1


def test_numbers_that_tell_classes_beside_objects_are_no_numbers_of_one_class(tmp_path: Path) -> None:
    for name, code in {
        "a": lambda o: 1000 * (1 + o % 3) + o,
        "b": lambda o: 1 + o % 2 << 8 | o,
        "c": lambda o: o * 70 + 1,
    }.items():
        root = tmp_path / name
        for number in range(4):
            draw(root / f"images/{number}.png", number, SIZE)
            values = np.zeros(SIZE, np.uint16)
            for place in range(6):
                values[2 * place : 2 * place + 2] = code(place)
            (root / "masks").mkdir(exist_ok=True)
            Image.fromarray(values).save(root / f"masks/{number}.png")
        kinds = [found.kind for found in recognize(str(root), tmp_path / "c")]
        if name == "c":
            assert kinds == ["boxes", "shapes", "mask_folder"]
            continue
        assert kinds == ["mask_folder"]
        with pytest.raises(DataError, match=r"must not tell classes(.|\n)*--divide (1000|256)"):
            BoxSet(root=str(root), format="instance_numbers").build(tmp_path / "c")
