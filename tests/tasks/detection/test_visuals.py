"""A finished detector keeps images of its detections, of what boxes look at, and the score of every class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablata.engine.task import RunContext
from ablata.engine.train import train
from ablata.models.detection.base import ImageDetections
from ablata.models.detection.relations.spatial_relation import RegionAttention
from ablata.recipes.index import load_recipe
from ablata.records.run_folder.gallery import read_gallery
from ablata.structures.detection import Detections, Objects
from ablata.tasks.detection.task import Detect
from ablata.tasks.detection.visuals import IMAGES, attention_between, confident_rows, count_hits, visualize

QUICK = ["data.train=12", "data.val=9", "train.batch=4", "train.steps=2", "compute.threads=1", "compute.precision=fp32"]


def recipe(*more: str) -> Detect:
    found = load_recipe("relation_rcnn_scenes", [*QUICK, *more])
    assert isinstance(found, Detect)
    return found


def test_a_finished_run_keeps_images_relations_graph_and_the_classes_of_its_last_score(tmp_path: Path) -> None:
    outcome = train(recipe("model.score_threshold=0"), 0, tmp_path / "run", tmp_path / "cache")
    shown = read_gallery(tmp_path / "run")
    assert shown is not None
    assert (shown.split, shown.protocol, shown.class_metric, len(shown.images)) == ("val", "ap50", "ap", IMAGES)
    scores = [score for _, score in shown.classes if score is not None]
    assert np.mean(scores) == pytest.approx(outcome.scores["val/ap50/AP"])
    assert len(scores) == outcome.scores["val/ap50/classes"]
    assert [group.title for group in shown.groups] == ["Which boxes look at which", "Class graph"]
    looks, graph = (group.images for group in shown.groups)
    assert len(looks) == IMAGES
    assert graph[0].content.startswith(b"<svg")
    assert b"stacked square" in graph[0].content
    with Image.open(io.BytesIO(shown.images[0].content)) as image:
        assert image.size == (3 * 288 + 2 * 4, 288)
    with Image.open(io.BytesIO(looks[0].content)) as image:
        assert image.size == (576, 576)


def test_a_detector_without_relations_and_masks_shows_its_boxes_alone(tmp_path: Path) -> None:
    task = recipe("model.relations=null", "model.masks=null").build(0, RunContext(torch.device("cpu"), tmp_path))
    with torch.no_grad():
        shown = visualize(task, task.model.eval())
    assert shown.groups == ()
    assert shown.classes == ()  # nothing has been scored yet
    assert len(shown.images) == IMAGES
    assert shown.images[1].caption.startswith("image 2: 0 of ")


def test_sure_detections_are_drawn_or_the_first_few() -> None:
    def found(*scores: float) -> Detections:
        return Detections(torch.zeros(len(scores), 4), torch.zeros(len(scores)).long(), torch.tensor(scores))

    assert confident_rows(found(0.9, 0.5, 0.4)) == [0, 1]
    assert confident_rows(found(0.4, 0.3, 0.2, 0.1)) == [0, 1, 2]
    assert confident_rows(found()) == []


def test_weights_are_added_up_by_the_detection_that_a_region_overlaps_most() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [20, 1, 30, 11], [50, 50, 60, 60]])
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    found = ImageDetections(
        torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [70, 70, 90, 90]]), torch.tensor([0, 1, 1]),
        torch.tensor([0.9, 0.8, 0.7]), None, torch.tensor([0, 2, 3]),
    )  # fmt: skip
    rows, summed = attention_between(found, RegionAttention(boxes[None], weights[None]), [0, 1])
    assert rows == [0, 1]
    np.testing.assert_allclose(summed, [[0.1, 0.5, 0.4], [0.0, 1.0, 0.0]], atol=1e-6)


def test_an_object_is_found_once_by_the_surest_detection_of_its_class() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])
    objects = Objects(
        boxes, torch.tensor([0, 1, 1]), None, torch.arange(3), torch.tensor([False, False, True])
    )  # fmt: skip
    found = Detections(
        boxes[[0, 0, 1, 2]] + 1, torch.tensor([0, 0, 0, 1]), torch.tensor([0.9, 0.8, 0.7, 0.6])
    )  # fmt: skip
    assert count_hits(found, [0, 1, 2, 3], objects) == 1  # twice, of another class, a crowd
    assert count_hits(found, [], objects) == 0
