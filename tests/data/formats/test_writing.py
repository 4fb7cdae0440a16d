"""Sets are written in another format, and there and back again they are the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.data.detection.sets import write_voc
from tests.data.formats.tools import HEIGHT, WIDTH, draw
from tests.data.formats.tools import write_yolo as make_yolo

from ablata.base.errors import DataError, SettingsError
from ablata.base.overrides import override
from ablata.base.settings import Settings
from ablata.data.any import AnyDetectionData
from ablata.data.detection.files import DetectionFileSettings
from ablata.data.detection.rle import decode, encode, from_polygons
from ablata.data.formats.outlines import loops, outlines
from ablata.data.formats.recognize import recognize
from ablata.data.formats.write_coco import write_coco
from ablata.data.formats.write_yolo import joined, write_yolo
from ablata.data.formats.writing import convert_boxes
from ablata.data.synthetic.scene_boxes import SceneBoxes


class _Holder(Settings):
    data: AnyDetectionData = SceneBoxes()


def _settings(root: Path, *more: str) -> DetectionFileSettings:
    data = override(_Holder(), [*recognize(str(root), root.parent / "cache")[0].overrides, *more]).data
    assert isinstance(data, DetectionFileSettings)
    return data


def _there_and_back(root: Path, ways: tuple[Any, ...]) -> Path:
    for number, way in enumerate(ways):
        made = root.parent / f"{root.name}-{number}"
        convert_boxes(_settings(root), root.parent / "cache", made, way)
        root = made
    return root


def _labels(root: Path) -> dict[str, str]:
    return {file.relative_to(root).as_posix(): file.read_text() for file in sorted((root / "labels").rglob("*.txt"))}


def test_yolo_is_the_same_text_after_coco(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    boxes = "".join(
        f"{number % 2} {x:.6g} {y:.6g} {w:.6g} {h:.6g}\n"
        for number, (x, y, w, h) in enumerate(random.uniform(0.2, 0.3, (200, 4)).tolist())
    )
    polygon = "1 " + " ".join(f"{value:.8g}" for value in random.uniform(0.1, 0.9, 14).tolist()) + "\n"
    for name, lines, size in (("boxes", boxes, (HEIGHT, WIDTH)), ("polygons", polygon, (333, 375))):
        root = make_yolo(tmp_path / name, lines=(lines, lines, ""))
        for number, place in enumerate(sorted((root / "images").rglob("*.jpg"))):
            draw(place, number, size)
        assert _labels(_there_and_back(root, (write_coco, write_yolo))) == _labels(root)


def _coco(root: Path) -> dict[str, Any]:
    """Write a set with what only COCO has: ids of its own, several polygons, run lengths with a hole."""
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[10:40, 60:100] = True
    ring[20:30, 70:90] = False
    counts = encode(ring[None])[0].counts.decode()
    parts = [[5.25, 5, 30, 5, 30, 40.5, 5.25, 40.5], [40, 50, 55.125, 50, 55.125, 70]]
    objects = [
        {"category_id": 7, "bbox": [5, 5, 51, 66], "segmentation": parts, "iscrowd": 0},
        {"category_id": 3, "bbox": [60, 10, 40, 30], "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts},
         "iscrowd": 0},
        {"category_id": 3, "bbox": [1.5, 70.25, 20.1, 10.3], "segmentation": [[1.5, 70.25, 21.6, 70.25, 21.6, 80.55]],
         "iscrowd": 0},
    ]  # fmt: skip
    trees = {}
    for split, first in (("train", 10), ("val", 40)):
        images = [{"id": first + n, "file_name": f"{split}{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(2)]
        drawn = [
            {"id": number + 1, "image_id": image["id"], **one}
            for number, (image, one) in enumerate((image, one) for image in images for one in objects)
        ]
        for image in images:
            draw(root / split / str(image["file_name"]), int(str(image["id"])))
        trees[split] = {"images": images, "annotations": drawn,
                        "categories": [{"id": 3, "name": "ring"}, {"id": 7, "name": "two parts"}]}  # fmt: skip
        (root / f"{split}.json").write_text(json.dumps(trees[split]))
    return trees


def test_coco_is_the_same_tree_after_coco_and_the_same_pixels_after_yolo(tmp_path: Path) -> None:
    trees = _coco(tmp_path / "set")
    again = _there_and_back(tmp_path / "set", (write_coco,))
    for split, tree in trees.items():
        made = json.loads((again / f"{split}.json").read_text())
        assert all(one.pop("area") > 0 for one in made["annotations"])
        assert made == tree
    yolo = _there_and_back(again, (write_yolo, write_coco))
    entries = [_settings(root).build(tmp_path / "cache").entries("train") for root in (tmp_path / "set", yolo)]
    for first, second in zip(*entries, strict=True):
        assert first.objects.masks == second.objects.masks
        assert (first.objects.labels == second.objects.labels).all()


def test_boxes_of_voc_are_the_same_after_yolo(tmp_path: Path) -> None:
    write_voc(tmp_path / "voc")
    made = _there_and_back(tmp_path / "voc", (write_yolo, write_coco, write_yolo))
    entries = [
        _settings(root, *more).build(tmp_path / "cache").entries("train")
        for root, more in ((tmp_path / "voc", ('data.classes=["a"]',)), (made, ()))
    ]
    assert [one.objects.boxes.tolist() for one in entries[0]] == [one.objects.boxes.tolist() for one in entries[1]]
    assert [one.objects.boxes.tolist() for one in entries[1]] == [[[4.0, 5.0, 30.0, 40.0]]] * 3


def test_what_a_format_cannot_hold_is_told(tmp_path: Path) -> None:
    trees = _coco(tmp_path / "set")
    trees["train"]["annotations"][2]["iscrowd"] = 1
    trees["train"]["annotations"][1]["bbox"] = [58, 8, 44, 34]
    (tmp_path / "set/train.json").write_text(json.dumps(trees["train"]))
    done = convert_boxes(_settings(tmp_path / "set"), tmp_path / "cache", tmp_path / "made", write_yolo)
    told = "\n".join(done.notices)
    for words in ("1 crowd regions or difficult objects are left", "4 objects of several polygons", "4 masks of pixels",
                  "boxes differ from their masks' extents"):  # fmt: skip
        assert words in told
    assert done.objects == {"train": 5, "val": 6}


def test_polygons_over_one_another_keep_what_they_cover(tmp_path: Path) -> None:
    trees = _coco(tmp_path / "set")
    for tree in trees.values():
        tree["annotations"][0]["segmentation"] = [[5, 5, 30, 5, 30, 40, 5, 40], [20, 20, 56, 20, 56, 71, 20, 71]]
    (tmp_path / "set/train.json").write_text(json.dumps(trees["train"]))
    yolo = _there_and_back(tmp_path / "set", (write_yolo,))
    first, second = (
        _settings(root).build(tmp_path / "cache").entries("train")[0].objects.masks for root in (tmp_path / "set", yolo)
    )
    assert first == second


def test_nothing_is_overwritten_and_names_must_differ(tmp_path: Path) -> None:
    root = make_yolo(tmp_path / "set")
    cache = tmp_path / "cache"
    for output in (root, root / "inside", tmp_path):
        with pytest.raises(SettingsError, match="folder to make must"):
            convert_boxes(_settings(root), cache, output, write_yolo)
    shutil.copyfile(root / "images/train/0.jpg", root / "images/train/0.png")
    with pytest.raises(DataError, match=r"must have different names.*\n.*images/train/0"):
        convert_boxes(_settings(root), cache, tmp_path / "made", write_yolo)
    assert not (tmp_path / "made").exists()


def test_outlines_filled_are_the_same_pixels() -> None:
    random = np.random.default_rng(1)
    for size in ((1, 1), (2, 3), (7, 9), (12, 10)):
        for share in (0.3, 0.6, 0.9):
            mask = random.random(size) < share
            if not mask.any():
                continue
            packed = encode(mask[None])[0]
            together = from_polygons([joined(outlines(packed))], size)
            assert (decode([together], *size)[0].numpy() == mask).all()
    square = np.zeros((4, 4), bool)
    square[1:3, 1:3] = True
    assert [sorted(loop) for loop in loops(square)] == [[(1, 1), (1, 3), (3, 1), (3, 3)]]
