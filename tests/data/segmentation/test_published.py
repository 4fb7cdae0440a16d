"""Readers of published sets: raw values become the classes of their papers, and zero is taken away once."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.segmentation import ade20k, coco_stuff, pascal_context
from ablata.data.segmentation.ade20k import Ade20k
from ablata.data.segmentation.coco_stuff import CocoStuff
from ablata.data.segmentation.mask_folder import SegmentationFileSettings
from ablata.data.segmentation.pascal_context import PascalContext
from ablata.data.transforms.segmentation import JointAugment
from ablata.structures.segmentation import IGNORE

from ..label_sets import image

PLAIN = JointAugment()


def _pairs(root: Path, images: str, labels: str, values: list[int], count: int = 2) -> None:
    for number in range(count):
        for folder in (images, labels):
            (root / folder).mkdir(parents=True, exist_ok=True)
        mask = np.resize(np.array(values, np.uint8), (8, 12))
        Image.fromarray(mask).save(root / labels / f"{number}.png")
        chance = zlib.crc32(f"{images}/{number}".encode())
        image(chance, (8, 12)).save(root / images / f"{number}.jpg")


def _labels(settings: SegmentationFileSettings, cache: Path) -> list[int]:
    data = settings.build(cache)
    return sorted(torch.unique(torch.cat([batch.labels for batch in data.eval_loader("val", 2)])).tolist())


def test_ade_has_150_classes_and_loses_its_zero_once(tmp_path: Path) -> None:
    for split in ("training", "validation"):
        _pairs(tmp_path / "ade", f"images/{split}", f"annotations/{split}", [0, 1, 2, 150])
    assert len(ade20k.NAMES) == len(set(ade20k.NAMES)) == 150
    assert (ade20k.NAMES[0], ade20k.NAMES[12], ade20k.NAMES[149]) == ("wall", "person", "flag")
    settings = Ade20k(root=str(tmp_path / "ade"), augment=PLAIN)
    assert _labels(settings, tmp_path / "cache") == [0, 1, 149, IGNORE]
    assert settings.nominal_shape().classes == 150


@pytest.mark.parametrize(
    ("version", "splits", "values"),
    [
        ("164k", ("train2017", "val2017"), [0, 12, 91, 181, 255]),
        ("10k", ("train2014", "test2014"), [1, 13, 92, 182, 0]),
    ],
)
def test_coco_stuff_has_171_classes_in_both_versions(
    tmp_path: Path, version: str, splits: tuple[str, ...], values: list[int]
) -> None:
    for split in splits:
        _pairs(tmp_path / "coco", f"images/{split}", f"annotations/{split}", values)
    assert len(coco_stuff.NAMES) == len(set(coco_stuff.NAMES)) == len(coco_stuff.IDS) == 171
    names = dict(zip(coco_stuff.IDS, coco_stuff.NAMES, strict=True))
    assert [names[number] for number in (1, 13, 90, 92, 159, 182)] == [
        "person", "stop sign", "toothbrush", "banner", "snow", "wood"
    ]  # fmt: skip
    settings = CocoStuff.model_validate({"root": str(tmp_path / "coco"), "version": version, "augment": PLAIN})
    assert _labels(settings, tmp_path / "cache") == [0, 11, 80, 170, IGNORE]


def test_an_id_that_coco_never_used_is_named(tmp_path: Path) -> None:
    for split in ("train2017", "val2017"):
        _pairs(tmp_path / "coco", f"images/{split}", f"annotations/{split}", [0, 11])
    with pytest.raises(DataError, match=r"annotations/train2017/0.png: 11 \(48 pixels\)"):
        CocoStuff(root=str(tmp_path / "coco"), augment=PLAIN).build(tmp_path / "cache")


def _context(root: Path) -> Path:
    _pairs(root, "JPEGImages", "SegmentationClassContext", [0, 1, 15, 59], count=5)
    (root / "ImageSets/SegmentationContext").mkdir(parents=True)
    (root / "ImageSets/SegmentationContext/train.txt").write_text("0\n2\n4\n")
    (root / "ImageSets/SegmentationContext/val.txt").write_text("3\n1\n")
    return root


def test_pascal_context_has_59_classes_or_60_and_its_own_lists(tmp_path: Path) -> None:
    root = _context(tmp_path / "VOC2010")
    assert len(pascal_context.NAMES) == len(set(pascal_context.NAMES)) == 59
    settings = PascalContext(root=str(root), augment=PLAIN)
    assert _labels(settings, tmp_path / "cache") == [0, 14, 58, IGNORE]
    assert settings.build(tmp_path / "cache").sizes == {"train": 3, "val": 2}
    whole = PascalContext(root=str(root), augment=PLAIN, background="class")
    assert _labels(whole, tmp_path / "cache") == [0, 1, 15, 59]
    assert whole.table().names[15] == "person"


def test_an_image_without_its_mask_is_named(tmp_path: Path) -> None:
    root = _context(tmp_path / "VOC2010")
    (root / "SegmentationClassContext/2.png").unlink()
    with pytest.raises(DataError, match=r"1 of train have none: .*JPEGImages/2.jpg"):
        PascalContext(root=str(root)).build(tmp_path / "cache")


def test_the_folders_of_openseg_are_understood_too(tmp_path: Path) -> None:
    for split in ("train", "val"):
        _pairs(tmp_path / "set", f"{split}/image", f"{split}/label", [0, 1, 59])
    assert _labels(PascalContext(root=str(tmp_path / "set"), augment=PLAIN), tmp_path / "cache") == [0, 58, IGNORE]


def test_a_folder_of_another_set_is_refused_with_the_layout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images/training, images/validation"):
        Ade20k(root=str(tmp_path)).build(tmp_path / "cache")
