"""Detectors on generated images, and what comes before them at other lengths."""

from __future__ import annotations

import json

import pytest

from ablata.data.detection.class_graph import Cooccurrence
from ablata.data.synthetic.scene_boxes import CLASSES
from ablata.recipes.index import load_recipe
from ablata.studies.chain import lineage
from ablata.tasks.detection.task import Detect

EARLIER = json.dumps([{"steps": 800, "changes": ["model.relations=null"]}, {"changes": []}], separators=(",", ":"))


def recipe(*changes: str, name: str = "relation_rcnn_fpn_coco") -> Detect:
    made = load_recipe(name, changes)
    assert isinstance(made, Detect)
    return made


def generated(made: Detect) -> Detect:
    return made.synthetic()


@pytest.mark.parametrize("name", ["mask_rcnn_c4_coco", "relation_rcnn_fpn_coco", "relation_rcnn_chest_xray"])
def test_a_detector_keeps_its_layers_and_sees_few_boxes(name: str) -> None:
    before = recipe("model.backbone.norm=frozen", "model.backbone.weights=absent.safetensors", name=name)
    made = generated(before)
    assert (made.data.kind, made.train.steps, made.train.batch, made.protocols) == ("scene_boxes", 2, 2, ("ap50",))
    assert made.data.augment.flip == before.data.augment.flip
    assert made.model.roi_sampling.batch_size_per_image < before.model.roi_sampling.batch_size_per_image
    drawn = before.model.backbone.model_copy(update={"weights": None, "norm": "batch", "frozen_stages": 0})
    fewer = ("rpn", "roi_sampling", "max_detections", "roi_pool_size", "masks")
    same = {name: getattr(before.model, name) for name in fewer}
    assert made.model.model_copy(update=same) == before.model.model_copy(update={"backbone": drawn})
    assert (made.optim, made.graph) == (before.optim, before.graph)


def test_chosen_classes_of_a_graph_become_those_of_the_scenes() -> None:
    made = generated(recipe("graph=random", "graph.of.classes=[car,bus]"))
    assert made.graph.of.classes == CLASSES[:2]  # type: ignore[union-attr]
    assert generated(recipe("graph=file", "graph.path=absent.json")).graph == Cooccurrence()


def test_what_comes_before_is_as_short_and_on_the_same_images() -> None:
    chain = lineage(generated(recipe(f"start.earlier={EARLIER}")))
    assert [one.train.steps for one in chain] == [2, 2, 2]
    assert all(isinstance(one, Detect) and one.data == chain[-1].data for one in chain)  # type: ignore[attr-defined]
    assert generated(recipe("start.run=absent")).start is None


def test_what_comes_before_is_shortened_alike() -> None:
    chain = lineage(recipe(f"start.earlier={EARLIER}", "train.steps=400").shortened(0.01))
    assert [one.train.steps for one in chain] == [8, 4, 4]
