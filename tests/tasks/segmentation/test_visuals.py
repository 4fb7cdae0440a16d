"""A finished training keeps images of its predictions and the score of every class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records.run_folder.gallery import read_gallery
from ablata.tasks.segmentation.task import Segment
from ablata.tasks.segmentation.visuals import IMAGES, visualize

QUICK = [
    "data.train=16", "data.val=9", "train.batch=8", "train.epochs=null", "train.steps=1", "train.evaluate_every=0",
    "model.head.width=16", "model.context.width=16", "model.fusion.width=32",
]  # fmt: skip


def recipe(*more: str) -> Segment:
    found = load_recipe("bisenet_scenes", [*QUICK, *more])
    assert isinstance(found, Segment)
    return found


@pytest.mark.parametrize("averaged", [False, True])
def test_a_finished_run_keeps_images_and_the_classes_of_its_last_score(averaged: bool, tmp_path: Path) -> None:
    outcome = train(recipe(*(["ema=ema"] if averaged else [])), 0, tmp_path / "run", tmp_path / "cache")
    shown = read_gallery(tmp_path / "run")
    assert shown is not None
    assert (shown.split, shown.protocol, shown.class_metric, len(shown.images)) == ("val", "ss", "iou", IMAGES)
    scores = [score for _, score in shown.classes if score is not None]
    assert np.mean(scores) == pytest.approx(outcome.scores["val/ss/miou"])
    assert shown.key is not None
    for sample in shown.images:
        with Image.open(io.BytesIO(sample.content)) as image:
            assert image.size == (4 * 256 + 3 * 4, 256)


def test_images_are_spread_over_the_split_and_told_right_by_what_they_show(tmp_path: Path) -> None:
    task = recipe().build(0, RunContext(torch.device("cpu"), tmp_path))
    shown = visualize(task, task.model.eval())
    assert [image.caption.split(":")[0] for image in shown.images] == [
        f"image {number}" for number in (0, 2, 3, 5, 6, 8)
    ]
    assert shown.classes == ()  # nothing has been counted yet
    batch = next(iter(task.samples("val", np.array([3]))))
    with torch.no_grad():
        right = (task.predict(task.model, batch.images, "ss") == batch.labels).double().mean()
    assert shown.images[2].caption == f"image 3: {right:.1%} of the pixels right"
