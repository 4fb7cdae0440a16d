"""Drawn objects are painted into masks of classes, and trained on like any others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.formats.samples import sample
from tests.data.formats.tools import HEIGHT, WIDTH, draw

from ablata.base.errors import DataError
from ablata.data.formats.recognize import recognize
from ablata.data.formats.shapes import Shapes
from ablata.data.formats.write_masks import convert_masks
from ablata.data.segmentation.mask_folder import MaskFolder
from ablata.data.transforms.segmentation import JointAugment

PLAIN = JointAugment(crop=None, flip=False)


def _labels(data: object, split: str = "train") -> np.ndarray:
    loader = data.eval_loader(split, 1)  # type: ignore[attr-defined]
    return next(iter(loader)).labels[0].numpy()


def _labelme(root: Path, shapes: list[dict[str, object]]) -> Path:
    for number in range(4):
        file = draw(root / f"{number}.png", number)
        tree = {"flags": {}, "shapes": shapes, "imagePath": file.name, "imageData": None}
        file.with_suffix(".json").write_text(json.dumps(tree))
    return root


def _square(label: str, left: int, top: int, side: int) -> dict[str, object]:
    right, bottom = left + side, top + side
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return {"label": label, "points": points, "shape_type": "polygon"}


def test_polygons_become_classes_with_a_background(tmp_path: Path) -> None:
    root = _labelme(tmp_path / "set", [_square("a", 10, 10, 40), _square("b", 30, 30, 10)])
    data = Shapes(root=str(root), augment=PLAIN).build(tmp_path / "cache")
    assert data.classes == ("background", "a", "b")
    labels = _labels(data)
    assert labels.shape == (HEIGHT, WIDTH)
    assert [int((labels == value).sum()) for value in range(3)] == [HEIGHT * WIDTH - 1600, 1500, 100]
    assert any("400 pixels are covered by several objects" in notice for notice in data.notices)


def test_more_classes_than_a_mask_holds_are_refused(tmp_path: Path) -> None:
    root = _labelme(tmp_path / "set", [_square(str(number), number % 80, 10, 5) for number in range(255)])
    with pytest.raises(DataError, match=r"fewer than 255 of them\n.*255 classes"):
        Shapes(root=str(root), augment=PLAIN).build(tmp_path / "cache")


def test_what_lies_on_top_and_what_is_unlabelled_are_settings(tmp_path: Path) -> None:
    root = _labelme(tmp_path / "set", [_square("b", 30, 30, 10), _square("a", 10, 10, 40)])
    for settings, counts in (
        ({}, {1: 1600}), ({"on_top": "smallest"}, {1: 1500, 2: 100}),
        ({"unlabelled": "ignore", "on_top": "smallest"}, {0: 1500, 1: 100, 255: HEIGHT * WIDTH - 1600}),
    ):  # fmt: skip
        made = Shapes.model_validate({"root": str(root), "augment": PLAIN, **settings})
        labels = _labels(made.build(tmp_path / "cache"))
        assert {value: int((labels == value).sum()) for value in counts} == counts, settings


def test_a_class_called_background_is_what_nothing_is_drawn_on(tmp_path: Path) -> None:
    root = _labelme(tmp_path / "set", [_square("a", 10, 10, 40), _square("_background_", 30, 30, 10)])
    data = Shapes(root=str(root), augment=PLAIN).build(tmp_path / "cache")
    assert data.classes == ("_background_", "a")
    assert int((_labels(data) == 1).sum()) == 1500


def test_boxes_alone_are_refused_or_filled(tmp_path: Path) -> None:
    root = sample("labelme", tmp_path / "set")
    with pytest.raises(DataError, match=r"must have a polygon or a mask\n.*4 have a box alone: 0\.json, shape 1"):
        Shapes(root=str(root), augment=PLAIN).build(tmp_path / "cache")
    data = Shapes(root=str(root), augment=PLAIN, rectangles="fill").build(tmp_path / "cache")
    labels = _labels(data)
    assert (labels[20:60, 10:50] == 1).all()
    assert (labels[30:80, 64:104] == 2).all()
    assert int((labels > 0).sum()) == 1600 + 2000


def test_one_mask_an_object_is_segmented_against_the_background(tmp_path: Path) -> None:
    root = sample("mask_files", tmp_path / "set")
    found = recognize(str(root), tmp_path / "cache", ("segment",))[0]
    assert (found.kind, found.masks, found.faults) == ("shapes", True, ())
    data = Shapes(root=str(root), augment=PLAIN).build(tmp_path / "cache")
    assert data.classes == ("background", "object")
    assert int((_labels(data) == 1).sum()) == 1600 + 2000


def test_painted_masks_are_written_and_read_as_the_same_pixels(tmp_path: Path) -> None:
    root = _labelme(tmp_path / "set", [_square("a", 10, 10, 40), _square("b", 30, 30, 10)])
    settings = Shapes(root=str(root), augment=PLAIN)
    done = convert_masks(settings, tmp_path / "cache", tmp_path / "made")
    assert done.images == {"train": 3, "val": 1}
    data = MaskFolder(root=str(tmp_path / "made"), augment=PLAIN).build(tmp_path / "cache")
    assert data.classes == ("background", "a", "b")
    assert (_labels(data) == _labels(settings.build(tmp_path / "cache"))).all()
    ignoring = Shapes(root=str(root), augment=PLAIN, unlabelled="ignore")
    convert_masks(ignoring, tmp_path / "cache", tmp_path / "other")
    data = MaskFolder(root=str(tmp_path / "other"), augment=PLAIN).build(tmp_path / "cache")
    assert data.classes == ("a", "b")
    assert (_labels(data) == _labels(ignoring.build(tmp_path / "cache"))).all()
