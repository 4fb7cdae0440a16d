"""Sets of boxes from the command line: checked, counted, drawn, trained on, scored under their own ids."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.data.drawing.detection import object_palette

from .conftest import Answer

Ablata = Callable[..., Answer]
SMALL = (
    "model.backbone=small", "model.rpn.sizes=[[16,32]]", "model.head_width=16", "model.masks=null",
    "model.score_threshold=0", "model.max_detections=5", 'protocols=["ap50"]', "train.batch=2",
    "train.evaluate_batch=2", "train.evaluate_every=0", "train.steps=2", "compute.threads=1", "compute.precision=fp32",
)  # fmt: skip
HEIGHT, WIDTH = 64, 96


def write_split(root: Path, split: str, first: int, ids: dict[str, int]) -> None:
    """Write SPLIT.json and SPLIT/ with three images, numbered from `first`, and the categories of these ids."""
    random = np.random.default_rng(first)
    (root / split).mkdir(parents=True)
    images, objects = [], []
    for number in range(first, first + 3):
        pixels = random.integers(90, 130, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        for place, category in enumerate(ids.values()):
            x, y = 8 + 40 * place, int(random.integers(4, 30))
            pixels[y : y + 24, x : x + 24] = (220, 40, 40) if place else (40, 60, 220)
            objects.append(
                {"id": len(objects) + 1, "image_id": number, "category_id": category, "bbox": [x, y, 24, 24]}
            )
        Image.fromarray(pixels).save(root / split / f"{split}{number}.png")
        images.append({"id": number, "file_name": f"{split}{number}.png", "height": HEIGHT, "width": WIDTH})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    (root / f"{split}.json").write_text(
        json.dumps({"images": images, "annotations": objects, "categories": categories})
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "set"
    write_split(place, "train", 100, {"cat": 3, "dog": 8})
    write_split(place, "val", 200, {"cat": 3, "dog": 8})
    write_split(place, "test", 300, {"dog": 1, "cat": 2})
    return place


def test_a_folder_is_recognised_checked_counted_and_drawn(ablata: Ablata, root: Path, tmp_path: Path) -> None:
    answer = ablata("data", "check", str(root))
    assert (answer.status, "no problems" in answer.out) == (0, True)
    answer = ablata("data", "stats", str(root))
    assert answer.status == 0
    for split in ("train", "val", "test"):
        assert f"{split} 3 on 3 images (3 small, 0 medium, 0 large)" in answer.out
    told = json.loads(ablata("data", "stats", str(root), "--json").out)
    assert told["splits"]["val"]["classes"]["dog"]["objects"] == 3
    sheet = tmp_path / "sheet.png"
    assert ablata("data", "preview", str(root), "--output", str(sheet)).status == 0
    with Image.open(sheet) as drawn:
        colors = {pixel for _, pixel in drawn.convert("RGB").getcolors(1 << 20)}
    assert set(object_palette(2)) <= colors
    assert ablata("data", "graph", str(root)).status == 0


def test_a_check_names_every_fault_by_file_and_annotation(ablata: Ablata, root: Path) -> None:
    tree = json.loads((root / "train.json").read_text())
    tree["annotations"][0]["bbox"] = [1, 2, 3]
    tree["annotations"][1]["bbox"] = [1, 2, 0, 3]
    tree["images"][2]["file_name"] = "absent.png"
    (root / "train.json").write_text(json.dumps(tree))
    (root / "val" / "val200.png").write_bytes((root / "val" / "val200.png").read_bytes()[:700])
    answer = ablata("data", "check", str(root))
    assert answer.status == 1
    first, second = "train100.png annotation 1 bbox=[1, 2, 3]", "train100.png annotation 2 [1, 2, 1, 5]"
    for words in (first, second, "absent.png", "val200.png"):
        assert words in answer.out
    assert ablata("data", "check", str(root), "--json").status == 1


def test_what_training_repairs_is_a_note_and_no_problem(ablata: Ablata, root: Path) -> None:
    tree = json.loads((root / "train.json").read_text())
    tree["annotations"][1]["bbox"] = [1, 2, 0, 3]
    (root / "train.json").write_text(json.dumps(tree))
    answer = ablata("data", "check", str(root))
    assert answer.status == 0
    assert "note: boxes without area left out: " in answer.out
    assert "no problems" in answer.out
    refused = ablata("data", "check", str(root), "data.on_invalid=refuse")
    assert refused.status == 1
    assert "1 problem\n" in refused.out


def test_test_images_that_are_trained_on_and_a_yolo_folder_without_images_are_told(
    ablata: Ablata, root: Path, tmp_path: Path
) -> None:
    (root / "test" / "test300.png").write_bytes((root / "train" / "train100.png").read_bytes())
    answer = ablata("data", "check", str(root))
    assert (answer.status, "in two splits: " in answer.out) == (1, True)
    for place in ("images/train", "labels/train"):
        (tmp_path / "yolo" / place).mkdir(parents=True)
    (tmp_path / "yolo/labels/train/0.txt").write_text("0 0.2 0.3 0.2 0.3\n")
    for command in ("check", "graph"):
        answer = ablata("data", command, str(tmp_path / "yolo"))
        assert (answer.status, "Every label file must have its image" in answer.err) == (2, True)


def test_a_recipe_on_generated_scenes_is_checked_and_drawn(ablata: Ablata, tmp_path: Path) -> None:
    few = ("relation_rcnn_scenes", "data.train=8", "data.val=4")
    assert ablata("data", "check", *few).status == 0
    assert ablata("data", "stats", *few).status == 0
    assert ablata("data", "preview", *few, "--output", str(tmp_path / "a.png")).status == 0
    assert (tmp_path / "a.png").is_file()


@pytest.fixture
def run(ablata: Ablata, root: Path) -> str:
    files = ("data.train_json=train.json", "data.val_json=val.json", "data.train_images=train", "data.val_images=val")
    place = (f"data.root={root}", "data.classes=2")
    answer = ablata("train", "mask_rcnn_penn_fudan", "data=coco", *place, *files, *SMALL, "--json")
    assert answer.status == 0, answer.err
    return str(json.loads(answer.out)["run"])


def ids_in(file: Path) -> tuple[set[object], set[object]]:
    rows = json.loads(file.read_text())
    return {row["image_id"] for row in rows}, {row["category_id"] for row in rows}


def test_results_are_written_under_the_set_s_own_ids(ablata: Ablata, run: str, root: Path, tmp_path: Path) -> None:
    answer = ablata("evaluate", run, "--save-predictions", str(tmp_path / "found.json"), "--score", "0")
    assert answer.status == 0
    for name in ("val/ap50/AR", "val/ap50/recall", "val/ap50/precision", "score_threshold = 0", "missed", "no object"):
        assert name in answer.out
    images, categories = ids_in(tmp_path / "found.json")
    assert images == {200, 201, 202}
    assert categories <= {3, 8}
    told = json.loads(ablata("evaluate", run, "--json").out)
    assert told["confusion_classes"] == ["cat", "dog", "background"]
    assert np.array(told["confusion"])[:2].sum(1).tolist() == [3, 3]
    assert set(told["class_recall"]) == {"cat", "dog"}
    assert ablata("predict", run, str(root / "val"), "--output", str(tmp_path / "out"), "--score", "0").status == 0
    assert ids_in(tmp_path / "out" / "results.json")[0] == {200, 201, 202}
    assert [one["id"] for one in json.loads((tmp_path / "out" / "images.json").read_text())["images"]] == [
        200,
        201,
        202,
    ]
    listed = ("--annotations", str(root / "test.json"), "--output", str(tmp_path / "other"))
    assert ablata("predict", run, str(root / "test"), *listed).status == 0
    assert ids_in(tmp_path / "other" / "results.json")[0] == {300, 301, 302}
    answer = ablata("predict", run, str(root / "val"), *listed)
    assert (answer.status, "must be listed" in answer.err) == (2, True)


def test_a_test_split_and_another_set_of_the_same_classes_are_scored(
    ablata: Ablata, run: str, root: Path, tmp_path: Path
) -> None:
    assert "must be one of train, val" in ablata("evaluate", run, "--split", "test").err
    test = ("data.test_json=test.json", "data.test_images=test")
    found = tmp_path / "found.json"
    answer = ablata("evaluate", run, "--split", "test", *test, "--save-predictions", str(found))
    assert answer.status == 0, answer.err
    assert "test/ap50/AP" in answer.out
    images, categories = ids_in(found)
    assert images == {300, 301, 302}
    other = tmp_path / "other"
    for split, first in (("train", 1), ("val", 7)):
        write_split(other, split, first, {"dog": 5, "cat": 6})
    answer = ablata("evaluate", run, f"data.root={other}", "--save-predictions", str(found), "--score", "0")
    assert answer.status == 0, answer.err
    images, categories = ids_in(found)
    assert images == {7, 8, 9}
    assert categories <= {5, 6}
    write_split(tmp_path / "third", "train", 1, {"dog": 5, "cow": 6})
    write_split(tmp_path / "third", "val", 7, {"dog": 5, "cow": 6})
    answer = ablata("evaluate", run, f"data.root={tmp_path / 'third'}")
    assert (answer.status, "cow" in answer.err) == (2, True)


def test_what_cannot_be_scored_is_refused_before_the_first_step(ablata: Ablata, root: Path) -> None:
    tree = json.loads((root / "val.json").read_text())
    for one in tree["annotations"]:
        one["iscrowd"] = 1
    (root / "val.json").write_text(json.dumps(tree))
    answer = ablata("train", "mask_rcnn_penn_fudan", "data=coco", f"data.root={root}", "data.classes=2",
                    "data.train_json=train.json", "data.val_json=val.json", "data.train_images=train",
                    "data.val_images=val", *SMALL)  # fmt: skip
    assert answer.status == 2
    assert "val: 3 images with 6 crowd regions" in answer.err
