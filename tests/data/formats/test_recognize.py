"""A folder of boxes is recognized by its layout, with the settings that read it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.detection.sets import write_coco, write_voc

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.data.any import AnyDetectionData
from ablata.data.detection.coco import ChestXray, Coco
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.voc import BloodCells, Voc
from ablata.data.formats.recognize import recognize
from ablata.data.synthetic.scene_boxes import SceneBoxes

KINDS = (ChestXray, Coco, PennFudan, BloodCells, Voc)


def _penn_fudan(root: Path) -> Path:
    random = np.random.default_rng(0)
    for folder in ("PNGImages", "PedMasks"):
        (root / folder).mkdir(parents=True)
    for number in range(8):
        mask = np.zeros((40, 50), np.uint8)
        mask[5:30, 10:30] = 1
        Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(root / f"PNGImages/{number}.png")
        Image.fromarray(mask).save(root / f"PedMasks/{number}_mask.png")
    return root


def _folders(tmp_path: Path) -> dict[str, Path]:
    write_coco(tmp_path / "coco")
    for kind, name in (("voc", "cow"), ("blood_cells", "RBC")):
        write_voc(tmp_path / kind)
        for file in (tmp_path / kind / "Annotations").iterdir():
            file.write_text(file.read_text().replace("<name>a<", f"<name>{name}<"))
    _penn_fudan(tmp_path / "penn_fudan")
    chest = tmp_path / "chest_xray"
    shutil.copytree(tmp_path / "coco", chest)
    for split in ("train", "val"):
        (chest / f"{split}.json").rename(chest / f"instances_{split}.json")
    (chest / "lung_gray").mkdir()
    return {kind().kind: tmp_path / kind().kind for kind in KINDS}


def test_each_folder_is_recognized_by_one_kind_and_read_with_the_settings_it_tells(tmp_path: Path) -> None:
    for name, folder in _folders(tmp_path).items():
        assert [kind().kind for kind in KINDS if kind.recognizes(folder)] == [name]
        found = recognize(str(folder), tmp_path / "cache")[0]
        assert (found.task, found.kind) == ("detect", name)
        kind = next(kind for kind in KINDS if kind().kind == name)
        assert list(found.settings) == [f"data.root={folder}", *(f"data.{one}" for one in kind.layout_settings(folder))]
        if name != "chest_xray":
            part = override(_Holder(), found.overrides).data
            assert len(part.build(tmp_path / "cache").entries("train")) > 0
    assert not any(kind.recognizes(tmp_path) for kind in KINDS)


def test_masks_of_numbers_are_read_as_masks_of_classes_are(tmp_path: Path) -> None:
    settings = PennFudan(root=str(_penn_fudan(tmp_path / "set")), val=2)
    note = tmp_path / "set/PedMasks/0_mask.png"
    mask = Image.open(note).copy()
    for name, options, told in (
        ("JPEG", {}, r"0_mask\.png is JPEG"),
        ("TIFF", {"save_all": True, "append_images": [mask]}, r"0_mask\.png: 2 pages"),
        ("TIFF", {"compression": "jpeg"}, r"0_mask\.png is JPEG inside TIFF"),
    ):
        mask.save(note, name, **options)
        with pytest.raises(DataError, match=told):
            settings.build(tmp_path / "cache")
    for bits in (1, 4):
        small = mask.convert("P") if bits == 4 else mask.point(lambda value: 255 * (value > 0)).convert("1")
        small.save(note, "PNG", bits=bits)
        entries = settings.read(tmp_path / "cache").sources["train"].entries
        assert {len(entry.objects) for entry in entries} == {1}


def test_a_name_that_no_file_can_have_is_that_of_a_missing_one(tmp_path: Path) -> None:
    write_coco(tmp_path, lambda train, val: train["images"][0].update(file_name="a" * 300))
    found = recognize(str(tmp_path), tmp_path / "cache")[0]
    data = override(_Holder(), found.overrides).data
    with pytest.raises(DataError, match=r"Every annotated image must exist\n.*train/aaa"):
        data.build(tmp_path / "cache")


class _Holder(Settings):
    data: AnyDetectionData = SceneBoxes()


def test_the_kind_and_its_settings_are_proposed_where_another_is_chosen(tmp_path: Path) -> None:
    folders = _folders(tmp_path)
    with pytest.raises(SettingsError, match=r"has the layout of coco: add data=coco data\.classes=2 data\.train_json="):
        override(_Holder(), [f"data.root={folders['coco']}"])
    with pytest.raises(DataError, match=r"has the layout of coco: data=coco data\.classes=2 data"):
        PennFudan(root=str(folders["coco"])).build(tmp_path / "cache")
    with pytest.raises(DataError, match=r"has the layout of penn_fudan: data=penn_fudan data\.val=2"):
        Coco(root=str(folders["penn_fudan"])).build(tmp_path / "cache")
    (folders["coco"] / "train.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"has the layout of coco: add data=coco$"):
        override(_Holder(), [f"data.root={folders['coco']}"])
