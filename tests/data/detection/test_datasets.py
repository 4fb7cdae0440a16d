"""Sets of annotated images: what is read, what is repaired and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.detection.coco import Coco
from ablata.data.detection.dataset import DetectionDataset
from ablata.data.detection.rle import areas, decode, encode, from_polygons, from_runs, tight_box
from ablata.data.detection.views import View
from ablata.data.detection.voc import Voc
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.object_geometry import horizontal_flip, resize
from ablata.structures.detection import Objects, no_objects

from .sets import coco_at, draw, voc_object, voc_text, write_coco, write_voc
from .sets import coco_tree as plain_tree

Tree = dict[str, Any]


def coco_tree() -> Tree:
    """Two images of 12 x 16 with a polygon and a mask on the first, nothing on the second."""
    mask = np.zeros((12, 16), dtype=np.uint8)
    mask[2:5, 3:9] = 1
    packed = encode(mask[None])[0]
    objects = [
        {"id": 1, "image_id": 7, "category_id": 4, "bbox": [1, 1, 4, 5], "segmentation": [[1, 1, 5, 1, 5, 6, 1, 6]]},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [3, 2, 6, 3],
         "segmentation": {"size": [12, 16], "counts": packed.counts.decode()}},
    ]  # fmt: skip
    images = [{"id": number, "file_name": f"{number}.png", "height": 12, "width": 16} for number in (7, 8)]
    categories = [{"id": 4, "name": "Right Lung"}, {"id": 2, "name": "Left Lung"}]
    return {"images": images, "categories": categories, "annotations": objects}


def build(
    root: Path, change: Callable[[Tree], object] = lambda tree: None, on_invalid: str = "repair"
) -> DetectionDataset:
    tree = coco_tree()
    change(tree)
    root.mkdir(exist_ok=True)
    for place, folder in enumerate(("train", "val")):
        (root / folder).mkdir(exist_ok=True)
        for number in (7, 8):
            Image.fromarray(np.full((12, 16, 3), number + 10 * place, np.uint8)).save(root / folder / f"{number}.png")
    (root / "train.json").write_text(json.dumps(tree))
    (root / "val.json").write_text(json.dumps(coco_tree() | {"categories": tree["categories"]}))
    settings = Coco(
        root=str(root), train_json="train.json", val_json="val.json", train_images="train", val_images="val", classes=2,
        on_invalid="refuse" if on_invalid == "refuse" else "repair",
    )  # fmt: skip
    return settings.build(root / "cache")


def test_coco_classes_are_ordered_by_category_id_and_masks_have_their_pixels(tmp_path: Path) -> None:
    data = build(tmp_path)
    entry = data.entries("train")[0]
    assert data.classes == ("Left Lung", "Right Lung")
    assert entry.objects.labels.tolist() == [1, 0]
    assert entry.objects.boxes.tolist() == [[1, 1, 5, 6], [3, 2, 9, 5]]
    assert isinstance(entry.objects.masks, tuple)
    for mask, box in zip(decode(entry.objects.masks, 12, 16), entry.objects.boxes, strict=True):
        assert tight_box(mask.numpy()) == tuple(box.int().tolist())
    assert data.presence("train").tolist() == [[1, 1], [0, 0]]


def test_an_image_without_objects_is_trained_and_scored_on(tmp_path: Path) -> None:
    data = build(tmp_path)
    batch = next(data.train_loader(seed=0, batch_size=2).batches(0, 1))
    assert sorted(len(objects) for objects in batch.objects) == [0, 2]
    assert sum(len(one) for one in data.eval_loader("val", 1)) == 2
    assert any("without objects" in notice for notice in data.notices)


def first(tree: Tree, **values: Any) -> None:
    tree["annotations"][0].update(values)


REPAIRABLE: dict[str, tuple[Callable[[Tree], object], str, int]] = {
    "zero size": (lambda tree: first(tree, bbox=[1, 1, 0, 5]), "have an area", 1),
    "outside": (lambda tree: first(tree, bbox=[20, 1, 4, 4]), "in the image", 1),
    "partly outside": (
        lambda tree: first(tree, bbox=[10, 8, 20, 20], segmentation=[[10, 8, 16, 8, 16, 12, 10, 12]]), "in the image", 2
    ),
    "empty mask": (
        lambda tree: first(tree, segmentation={"size": [12, 16], "counts": [192]}), "have a pixel", 1
    ),
    "duplicate id": (lambda tree: first(tree, id=2), "an id of its own", 2),
}  # fmt: skip


def test_a_repairable_fault_is_repaired_and_listed_or_refused(tmp_path: Path) -> None:
    for number, fault in enumerate(REPAIRABLE):
        folder = tmp_path / str(number)
        folder.mkdir()
        change, must, left = REPAIRABLE[fault]
        data = build(folder, change)
        objects = data.entries("train")[0].objects
        assert len(objects) == left
        assert len(set(objects.ids.tolist())) == left
        assert bool((objects.boxes[:, 2:] > objects.boxes[:, :2]).all())
        assert bool((objects.boxes <= torch.tensor([16, 12, 16, 12])).all())
        assert any("train.json" in notice for notice in data.notices)
        with pytest.raises(DataError, match=must):
            build(folder, change, on_invalid="refuse")


REFUSED: dict[str, tuple[Callable[[Tree], object], str]] = {
    "category": (lambda tree: first(tree, category_id=9), "category_id=9"),
    "mask size": (
        lambda tree: first(tree, segmentation={"size": [10, 16], "counts": [100, 60]}), "mask 10x16, image 12x16"
    ),
    "missing image": (lambda tree: tree["images"][0].update(file_name="absent.png"), "absent.png"),
    "image of another size": (lambda tree: tree["images"][1].update(width=20), "annotated 12x20, is 12x16"),
    "object on no image": (lambda tree: first(tree, image_id=99), "annotation 1"),
    "two images of one number": (lambda tree: tree["images"][1].update(id=7), "image id 7"),
    "two categories of one name": (lambda tree: tree["categories"][1].update(name="Right Lung"), "Right Lung"),
    "no categories": (lambda tree: tree.pop("categories") and tree.update(categories={}), "COCO's JSON"),
}  # fmt: skip


def test_a_fault_that_nothing_can_repair_is_refused_by_name(tmp_path: Path) -> None:
    for number, fault in enumerate(REFUSED):
        folder = tmp_path / str(number)
        folder.mkdir()
        change, named = REFUSED[fault]
        with pytest.raises(DataError, match=named):
            build(folder, change)


def test_the_number_of_classes_must_be_that_of_the_file(tmp_path: Path) -> None:
    build(tmp_path)
    settings = Coco(
        root=str(tmp_path), train_json="train.json", val_json="val.json", train_images="train", val_images="val"
    )
    with pytest.raises(DataError, match=r"data\.classes=80, train\.json lists 2"):
        settings.build(tmp_path / "cache")


def voc(root: Path, boxes: list[tuple[str, int, int, int, int]]) -> DetectionDataset:
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for source in ("train", "val"):
        (root / "ImageSets" / "Main" / f"{source}.txt").write_text(f"{source}1\n")
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(root / "JPEGImages" / f"{source}1.jpg")
        objects = "".join(
            f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{a}</xmin><ymin>{b}</ymin>"
            f"<xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>"
            for name, a, b, c, d in boxes
        )
        size = "<size><width>30</width><height>20</height></size>"
        (root / "Annotations" / f"{source}1.xml").write_text(f"<annotation>{size}{objects}</annotation>")
    return Voc(root=str(root), classes=("cell", "other")).build(root / "cache")


def test_voc_boxes_count_from_one_and_hold_their_last_pixel(tmp_path: Path) -> None:
    data = voc(tmp_path, [("cell", 1, 1, 30, 20), ("other", 5, 6, 5, 6)])
    objects = data.entries("train")[0].objects
    assert objects.boxes.tolist() == [[0, 0, 30, 20]]
    assert objects.masks is None
    assert not data.has_masks
    assert any("train1.xml" in notice for notice in data.notices)


def test_a_voc_class_that_is_not_listed_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train1\.xml object 1: cel, nearest cell"):
        voc(tmp_path, [("cel", 1, 1, 30, 20)])


def some_objects(masks: torch.Tensor) -> Objects:
    boxes = torch.tensor([tight_box(mask.numpy()) for mask in masks], dtype=torch.float32)
    count = len(masks)
    return Objects(boxes, torch.arange(count), masks, torch.arange(count), torch.zeros(count, dtype=torch.bool))


def test_a_mirror_moves_boxes_with_masks_and_swaps_paired_classes() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (11, 14, 3), dtype=np.uint8)
    masks = torch.from_numpy(random.random((2, 11, 14)) < 0.05)
    swaps = DetectionAugment().swaps(("Left Lung", "Right Lung"))
    flipped, objects = horizontal_flip(pixels, some_objects(masks), swaps)
    assert np.array_equal(flipped, pixels[:, ::-1])
    assert objects.labels.tolist() == [1, 0]
    assert isinstance(objects.masks, torch.Tensor)
    assert objects.boxes.tolist() == [list(tight_box(mask.numpy())) for mask in objects.masks]
    again, back = horizontal_flip(flipped, objects, swaps)
    assert np.array_equal(again, pixels)
    assert torch.equal(back.boxes, some_objects(masks).boxes)


def test_a_resized_image_keeps_its_boxes_and_masks_together() -> None:
    masks = torch.zeros(1, 10, 20, dtype=torch.bool)
    masks[0, 2:6, 4:16] = True
    pixels, objects = resize(np.zeros((10, 20, 3), np.uint8), some_objects(masks), 2.0)
    assert pixels.shape == (20, 40, 3)
    assert isinstance(objects.masks, torch.Tensor)
    assert objects.boxes.tolist() == [list(tight_box(objects.masks[0].numpy()))] == [[8, 4, 32, 12]]


def test_an_image_without_objects_is_resized_too() -> None:
    nothing = some_objects(torch.zeros(0, 10, 20, dtype=torch.bool))
    pixels, objects = resize(np.zeros((10, 20, 3), np.uint8), replace(nothing, boxes=torch.zeros(0, 4)), 2.0)
    assert pixels.shape == (20, 40, 3)
    assert isinstance(objects.masks, torch.Tensor)
    assert objects.masks.shape == (0, 20, 40)


def test_the_shorter_side_is_reached_unless_the_longer_would_pass_its_limit() -> None:
    settings = DetectionAugment(min_size=(400, 800), max_size=1000)
    assert settings.scale(200, 250, True, 0.0) == 2
    assert settings.scale(200, 250, True, 0.9) == 4
    assert settings.scale(200, 500, False, 0.0) == 2


def test_pairs_of_a_mirror_must_be_classes() -> None:
    with pytest.raises(DataError, match="unknown: Port"):
        DetectionAugment(swap=(("Port", "Left Lung"),)).swaps(("Left Lung", "Right Lung"))
    assert DetectionAugment(swap=()).swaps(("Left Lung", "Right Lung")).tolist() == [0, 1]


def test_run_lengths_polygons_and_pixels_agree() -> None:
    mask = np.zeros((5, 6), dtype=np.uint8)
    mask[1:4, 2:5] = 1
    packed = encode(mask[None])[0]
    listed = from_runs((5, 6), [11, 3, 2, 3, 2, 3, 6])
    assert packed == listed == from_polygons([[2, 1, 5, 1, 5, 4, 2, 4]], (5, 6)) == from_runs((5, 6), packed.counts)
    assert areas([packed]).tolist() == [9]
    assert np.array_equal(decode([packed], 5, 6)[0].numpy(), mask)
    assert decode((), 5, 6).shape == (0, 5, 6)
    assert len(no_objects(masks=True)) == 0


def test_crowd_regions_are_no_objects_in_training_but_move_with_their_image(tmp_path: Path) -> None:
    data = build(tmp_path, lambda tree: first(tree, iscrowd=1))
    reader = data.reader("train", training=True, seed=0, device=torch.device("cpu"))
    for view, box in (
        (View(0), [1, 1, 5, 6]),
        (View(0, mirrored=True), [11, 1, 15, 6]),
        (View(0, scale=2), [2, 2, 10, 12]),
    ):
        _, objects = reader.one(view)
        assert len(objects) == 1
        assert objects.ignored is not None
        assert objects.ignored.tolist() == [box]
    scored = data.reader("val", training=False, seed=0, device=torch.device("cpu"))
    assert scored.one(View(0))[1].ignored is None


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_crowd_regions_alone_is_refused(tmp_path: Path, split: str) -> None:
    def crowded(train: dict[str, Any], val: dict[str, Any]) -> None:
        for one in (train if split == "train" else val)["annotations"]:
            one["iscrowd"] = 1

    with pytest.raises(DataError, match=r"6 crowd regions or difficult objects alone"):
        write_coco(tmp_path, crowded).build(tmp_path / "cache")


def test_a_split_without_objects_or_images_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for number, (emptied, words) in enumerate(
        (({"annotations": []}, "val: 3 images without any"), ({"annotations": [], "images": []}, "val: no images"))
    ):
        settings = write_coco(tmp_path / str(number), lambda train, val, emptied=emptied: val.update(emptied))  # type: ignore[misc]
        with pytest.raises(DataError, match=words):
            settings.build(tmp_path / "cache")


def test_a_minival_without_an_object_is_refused_with_the_setting_that_draws_another(tmp_path: Path) -> None:
    def bare(train: dict[str, Any], val: dict[str, Any]) -> None:
        train["annotations"] = [one for one in train["annotations"] if one["image_id"] != 1]

    write_coco(tmp_path, bare)
    outcomes = []
    for seed in range(12):
        try:
            coco_at(tmp_path, minival=1, split_seed=seed).build(tmp_path / "cache")
            outcomes.append("built")
        except DataError as error:
            outcomes.append(f"{error.found} {error.do}")
    assert "built" in outcomes
    assert any("minival: 1 image without any" in one and "data.split_seed" in one for one in outcomes)


def test_difficult_objects_are_ignored_in_training_and_in_scores(tmp_path: Path) -> None:
    data = write_voc(tmp_path, voc_text(voc_object(5, 6, 30, 40, difficult=1) + voc_object(1, 1, 9, 9))).build(
        tmp_path / "cache"
    )
    assert data.entries("train")[0].objects.crowd.tolist() == [True, False]
    _, objects = data.reader("train", training=True, seed=0, device=torch.device("cpu")).one(View(0))
    assert objects.boxes.tolist() == [[0, 0, 9, 9]]
    assert objects.ignored is not None
    assert objects.ignored.tolist() == [[4, 5, 30, 40]]


def test_a_test_split_has_its_own_categories_matched_by_name(tmp_path: Path) -> None:
    write_coco(tmp_path)
    other = plain_tree(9)
    other["categories"] = [{"id": 30, "name": "b"}, {"id": 40, "name": "a"}]
    for one in other["annotations"]:
        one["category_id"] = {1: 40, 2: 30}[one["category_id"]]
        one["image_id"] += 500
    for image in other["images"]:
        image["id"] += 500
    (tmp_path / "more").mkdir()
    for image in other["images"]:
        (tmp_path / "more" / image["file_name"]).write_bytes((tmp_path / "val" / image["file_name"]).read_bytes())
    (tmp_path / "more" / "other.json").write_text(json.dumps(other))
    for settings in ({"test_json": "more/other.json"}, {"test_json": str(tmp_path / "more/other.json")}):
        data = coco_at(tmp_path, **settings).build(tmp_path / "cache")
        assert data.image_ids("test") == [501, 502, 503]
        assert [entry.objects.labels.tolist() for entry in data.entries("test")] == [[0, 1]] * 3
        assert "test" not in data.splits
    with pytest.raises(DataError, match=r"must be one of train, val(?s:.*)set data.test_json=FILE"):
        coco_at(tmp_path).build(tmp_path / "cache").split("test")
    other["categories"][0]["name"] = "zebra"
    (tmp_path / "more" / "other.json").write_text(json.dumps(other))
    with pytest.raises(DataError, match="zebra"):
        coco_at(tmp_path, test_json="more/other.json").build(tmp_path / "cache").split("test")


def test_classes_in_another_order_are_matched_by_name(tmp_path: Path) -> None:
    data = write_coco(tmp_path).build(tmp_path / "cache")
    before = [[data.classes[label] for label in entry.objects.labels] for entry in data.entries("val")]
    data.match_classes(("b", "a"))
    assert (data.classes, data.category_ids) == (("b", "a"), (2, 1))
    assert [[data.classes[label] for label in entry.objects.labels] for entry in data.entries("val")] == before
    data.match_classes(("b", "c"))
    assert data.classes == ("b", "a")


def test_images_that_no_annotation_names_are_told_and_masks_of_others_are_not(tmp_path: Path) -> None:
    coco, voc = write_coco(tmp_path / "coco"), write_voc(tmp_path / "voc")
    for place in ("coco/train/extra.png", "coco/third/new.png", "coco/masks/1.png", "voc/JPEGImages/tested.png",
                  "voc/JPEGImages/left.png", "voc/SegmentationClass/one.png"):  # fmt: skip
        draw(tmp_path / place, 7)
    (tmp_path / "voc/ImageSets/Main/test.txt").write_text("tested\n")
    told = "images that no annotation and no list names are left out: "
    assert f"{told}third/new.png, train/extra.png" in coco.build(tmp_path / "c").notices
    assert f"{told}JPEGImages/left.png" in voc.build(tmp_path / "c").notices
