"""Segmentation sets of every kind: pairs stay pairs, every sample comes once, and what is wrong is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.segmentation.camvid import CamVid, hold_out_ends
from ablata.data.segmentation.cityscapes import TABLE, Cityscapes
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.segmentation import Crop, JointAugment, ScaleRange
from ablata.structures.segmentation import IGNORE

CROP = JointAugment(flip=True, scale=ScaleRange(), crop=Crop(height=12, width=16))
SIZES = ((10, 14), (9, 20))
CLASSES = "0 sky\n5 road\n9 Unlabelled\n"


def _write(image: Path, mask: Path, random: np.random.Generator, size: tuple[int, int], ids: list[int]) -> None:
    for file in (image, mask):
        file.parent.mkdir(parents=True, exist_ok=True)
    raw = random.choice(np.array(ids, np.uint8), size)
    Image.fromarray(raw).save(mask)
    Image.fromarray(np.stack([raw, raw, 255 - raw], -1)).save(image)


def _folder(root: Path, masks: str = "labels") -> Path:
    """Write images of two sizes whose first channel is the raw id."""
    random = np.random.default_rng(1)
    for split, count in (("train", 9), ("val", 5)):
        for number in range(count):
            name = f"{'ab'[number % 2]}_{number:02}.png"
            where = root / "images" / split / name, root / masks / split / name
            _write(*where, random, SIZES[number % 2], [0, 5, 9])
    (root / "classes.txt").write_text(CLASSES)
    return root


def _built(root: Path, **settings: object) -> SegmentationDataset:
    chosen = {"augment": CROP, "ignored": ("unlabelled",)} | settings
    return MaskFolder(root=str(root), **chosen).build(root.parent / "cache")


def test_labels_belong_to_their_images(tmp_path: Path) -> None:
    data = _built(_folder(tmp_path / "set", masks="masks"))
    assert (data.classes, data.image_size) == (("sky", "road"), (12, 16))
    batches = list(data.train_loader(0, 4).batches(0, 4))
    for batch in [*batches, *data.train_loader(0, 9).batches(0, 1)]:
        for image, labels, (height, width) in zip(batch.images, batch.labels, batch.sizes.tolist(), strict=True):
            raw = data.table.decode(labels.numpy())
            assert np.array_equal(raw[:height, :width], image[0, :height, :width].numpy())
            assert torch.all(labels[height:] == IGNORE)
            assert torch.all(labels[:, width:] == IGNORE)


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_sees_every_image_once_at_its_own_size(tmp_path: Path, world_size: int) -> None:
    data = _built(_folder(tmp_path / "set"), minival=3)
    for split in ("val", "minival", "train"):
        loaders = [data.eval_loader(split, 2, rank, world_size) for rank in range(world_size)]
        batches = [batch for loader in loaders for batch in loader]
        assert sum(map(len, loaders)) == len(batches)
        seen = sorted(index for batch in batches for index in batch.index.tolist())
        assert seen == data.split_indices()[split]
        for batch in batches:
            assert batch.sizes.tolist() == [list(batch.labels.shape[-2:])] * len(batch)
            assert (batch.images.dtype, batch.labels.dtype) == (torch.float32, torch.uint8)


def test_pixels_are_counted_by_class(tmp_path: Path) -> None:
    data = _built(_folder(tmp_path / "set"))
    labels = torch.cat([batch.labels.flatten() for batch in data.eval_loader("val", 1)])
    counts = torch.bincount(labels.long(), minlength=256)
    assert data.pixel_counts("val").tolist() == [*counts[:2].tolist(), int(counts[IGNORE])]
    with_void = _built(tmp_path / "set", void="class")
    assert with_void.classes == ("sky", "road", "void")
    assert with_void.pixel_counts("val").tolist() == [*data.pixel_counts("val").tolist(), 0]


def test_another_pixel_or_class_list_is_another_fingerprint(tmp_path: Path) -> None:
    root = _folder(tmp_path / "set")
    first = _built(root)
    assert _built(root).fingerprint == first.fingerprint
    (root / "classes.txt").write_text(CLASSES.replace("sky", "air"))
    second = _built(root)
    assert second.fingerprint != first.fingerprint
    Image.fromarray(np.zeros(SIZES[0], np.uint8)).save(root / "labels" / "val" / "a_00.png")
    assert _built(root).fingerprint not in (first.fingerprint, second.fingerprint)


def test_images_of_several_sizes_must_be_cut_for_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 sizes .*9x20, 10x14"):
        _built(_folder(tmp_path / "set"), augment=JointAugment(flip=True))


def test_a_mask_of_another_size_is_named_with_both(tmp_path: Path) -> None:
    root = _folder(tmp_path / "set")
    Image.fromarray(np.zeros((9, 14), np.uint8)).save(root / "labels" / "train" / "a_00.png")
    with pytest.raises(DataError, match=r"a_00.png is 9x14, .*a_00.png is 10x14"):
        _built(root)


def test_an_unknown_value_is_named_with_its_file(tmp_path: Path) -> None:
    root = _folder(tmp_path / "set")
    Image.fromarray(np.full(SIZES[0], 7, np.uint8)).save(root / "labels" / "val" / "a_02.png")
    with pytest.raises(DataError, match=r"val/a_02.png: 7 \(140 pixels\)"):
        _built(root)


def test_a_file_that_stands_alone_is_named(tmp_path: Path) -> None:
    root = _folder(tmp_path / "set")
    (root / "labels" / "train" / "a_00.png").unlink()
    (root / "images" / "train" / "b_01.png").unlink()
    with pytest.raises(DataError, match="a_00 has no mask, b_01 has no image"):
        _built(root)


def test_ends_of_videos_are_held_out() -> None:
    videos = ["a"] * 10 + ["b"] * 30
    remaining, held = hold_out_ends(videos, 0.2)
    assert held.tolist() == [8, 9, *range(34, 40)]
    assert sorted([*remaining, *held]) == list(range(40))
    assert [len(hold_out_ends(videos, amount)[1]) for amount in (0, 1, 7)] == [0, 1, 7]
    for wrong in (-1, 2.5, 40):
        with pytest.raises(DataError, match=r"data\.minival"):
            hold_out_ends(videos, wrong)


def test_cityscapes_has_19_classes_and_ignores_the_rest(tmp_path: Path) -> None:
    root, random = tmp_path / "cityscapes", np.random.default_rng(0)
    for split, city in (("train", "aachen"), ("train", "bochum"), ("val", "lindau")):
        for number in range(3):
            stem = f"{city}_{number:06}_000019"
            image = root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png"
            mask = root / "gtFine" / split / city / f"{stem}_gtFine_labelIds.png"
            _write(image, mask, random, (16, 32), [*range(34), 255])
            Image.fromarray(np.zeros((16, 32, 4), np.uint8)).save(mask.with_name(f"{stem}_gtFine_color.png"))
    data = Cityscapes(root=str(root), minival=2).build(tmp_path / "cache")
    assert (data.sizes, len(data.classes)) == ({"train": 4, "val": 3, "minival": 2}, 19)
    trained = torch.unique(torch.cat([batch.labels for batch in data.eval_loader("val", 3)]))
    assert trained.tolist() == [*range(19), IGNORE]
    assert {data.split_indices()["minival"][0] < 3, data.split_indices()["minival"][1] < 3} == {True, False}
    next(root.glob("gtFine/val/*/*_labelIds.png")).unlink()
    with pytest.raises(DataError, match=r"1 missing: .*lindau_000000_000019_gtFine_labelIds.png"):
        Cityscapes(root=str(root)).build(tmp_path / "cache")


def test_train_ids_of_cityscapes_go_back_to_ids() -> None:
    ids = np.array([[7, 8, 11, 33, -1, 255, 0, 30]])
    assert TABLE.encode(ids, "here").tolist() == [[0, 1, 2, 18, *[IGNORE] * 4]]
    assert sorted({*TABLE.values, *TABLE.ignored}) == [*range(-1, 34), 255]
    labels = np.arange(19)[None]
    assert np.array_equal(TABLE.encode(TABLE.decode(labels), "here"), labels)


@pytest.mark.realdata
def test_camvid_as_it_lies_there(data_home: Path, shared_cache: Path) -> None:
    data = CamVid(root=str(data_home / "camvid"), minival=0.1).build(shared_cache)
    assert data.sizes == {"train": 330, "val": 101, "minival": 37}
    assert (len(data.classes), data.image_size) == (11, (360, 480))
    whole = data.pixel_counts("train") + data.pixel_counts("val") + data.pixel_counts("minival")
    assert int(whole.sum()) == 468 * 360 * 480
    assert int(whole[-1]) == 2801266


def test_images_of_train_that_are_in_val_too_are_told_and_a_copy_of_train_as_val_is_refused(tmp_path: Path) -> None:
    root = _folder(tmp_path / "set")
    assert not any("in train and val both" in notice for notice in _built(root).notices)
    for kind in ("images", "labels"):
        shutil.copy(root / kind / "train/a_02.png", root / kind / "val/a_00.png")
    (told,) = (notice for notice in _built(root).notices if "in train and val both (scores flatter)" in notice)
    assert "val/a_00.png has the content of " in told
    for kind in ("images", "labels"):
        shutil.rmtree(root / kind / "val")
        shutil.copytree(root / kind / "train", root / kind / "val")
    with pytest.raises(DataError, match="9 of 9 are in both"):
        _built(root)
    for kind in ("images", "labels"):
        shutil.rmtree(root / kind / "val")
        (root / kind / "val").symlink_to(root / kind / "train")
    with pytest.raises(DataError, match="9 of 9 are in both"):
        _built(root)


def test_a_folder_without_splits_is_divided_and_films_stay_whole(tmp_path: Path) -> None:
    root, random = tmp_path / "set", np.random.default_rng(0)
    for film in range(4):
        for number in range(3):
            name = f"film{film}_{number}.png"
            _write(root / "images" / name, root / "labels" / name, random, SIZES[0], [0, 5, 9])
    (root / "classes.txt").write_text(CLASSES)
    data = _built(root)
    assert data.sizes == {"train": 10, "val": 2}
    assert any("no validation split: 2 of 12" in notice for notice in data.notices)
    (root / "films.csv").write_text("image,film\n" + "".join(f"film{n // 3}_{n % 3}.png,{n // 3}\n" for n in range(12)))
    for settings in ({"group": r"film\d"}, {"group_column": "film"}):
        whole = _built(root, **settings)
        assert whole.sizes == {"train": 9, "val": 3}, settings
        assert len({name[:12] for name in whole.item_names("val", whole.splits["val"].index)}) == 1
    assert _built(root, val_match="film3").sizes == {"train": 9, "val": 3}
    with pytest.raises(DataError, match=r"data\.group_column must be a column"):
        _built(root, group_column="patient")
