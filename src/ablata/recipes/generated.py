"""A recipe with a few steps on a few generated images, to see that it builds and learns at all."""

from __future__ import annotations

from typing import Any

from ablata.data.detection.class_graph import Cooccurrence, GraphFile, IdentityGraph, RandomGraph
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_boxes import CLASSES, SceneBoxes
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.data.transforms.detection import DetectionAugment
from ablata.data.transforms.segmentation import Crop, JointAugment
from ablata.engine.recipe import Recipe
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.focal import Focal
from ablata.models.detection.backbones import C4, Small
from ablata.tasks.classification.task import Classify
from ablata.tasks.detection.task import Detect
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment

_SMALL_SIDE = 40
"""Images up to this side are taken for small ones, as CIFAR's."""
_REMEMBERED = 100
"""Most vectors that a contrast's memory keeps of a class."""


def on_generated_data(recipe: Recipe, steps: int = 2, batch: int = 8) -> Recipe:
    """Return a recipe of a few steps on a few generated images, to see that it builds and learns at all.

    Networks, losses, schedules and augmentation stay as they are, but that crops shrink and weights of classes are made
    anew and memories are short; chains keep at most two taught rounds. A detector proposes and finds few boxes, and its
    backbone begins without the weights of a file.

    Args:
        recipe: of any task that has generated data.
        steps: optimiser steps.
        batch: images in a step.

    Raises:
        TypeError: there is no generated data for such a recipe.
    """
    train = recipe.train.model_copy(
        update={
            "epochs": None,
            "steps": steps,
            "stop_epochs": None,
            "batch": batch,
            "accumulate": 1,
            "evaluate_every": 0,
        }
    )
    schedule = recipe.schedule.model_copy(update={"warmup": None})
    compute = recipe.compute.model_copy(update={"precision": "fp32", "compile": False, "threads": 1})
    update: dict[str, Any] = {"train": train, "schedule": schedule, "compute": compute}
    if isinstance(recipe, Segment):
        return recipe.model_copy(update=update | _segmentation(recipe))
    if isinstance(recipe, Detect):
        update["train"] = train.model_copy(update={"batch": min(batch, 2)})
        return recipe.model_copy(update=update | _detection(recipe, steps))
    if not isinstance(recipe, Classify | Reidentify):
        raise TypeError(f"there is no generated data for {type(recipe).__name__}")
    update["data"] = _classes(recipe.data) if isinstance(recipe, Classify) else _persons(recipe.data)
    if isinstance(recipe, Classify):
        update["protocols"] = ("plain",)
    if isinstance(recipe, Classify) and recipe.labelled is not None:
        update["labelled"] = recipe.labelled.model_copy(update={"per_class": 2})
    if recipe.refine is not None:
        refine = recipe.refine
        target = None if refine.target is None else _persons(refine.target)
        update["refine"] = refine.model_copy(
            update={"rounds": min(refine.rounds, 2), "epochs": (), "stop_epochs": None, "target": target}
        )
    return recipe.model_copy(update=update)


def _classes(data: Any) -> Scenes:
    side = 32 if max(data.nominal_shape().height, data.nominal_shape().width) <= _SMALL_SIDE else 64
    augment: Augment = data.augment
    if augment.policy is not None:
        # Only files are augmented image by image as they are read; these images are in memory.
        augment = augment.model_copy(update={"policy": augment.policy.model_copy(update={"where": "batch"})})
    return Scenes(train=48, val=16, streets=Streets(height=side, width=side), augment=augment)


def _persons(data: Any) -> Persons:
    domain = data.domain if isinstance(data, Persons) else "winter"
    return Persons(domain=domain, train=8, val=4, augment=data.augment)


def _segmentation(recipe: Segment) -> dict[str, Any]:
    augment: JointAugment = recipe.data.augment
    if augment.crop is not None:
        shrink = 64 / min(augment.crop.height, augment.crop.width)
        crop = Crop(height=round(augment.crop.height * shrink), width=round(augment.crop.width * shrink))
        augment = augment.model_copy(update={"crop": crop})
    data = SceneMasks(train=16, val=4, augment=augment)
    return {"data": data, "loss": _for_any_classes(recipe.loss), "protocols": ("ss",)}


def _for_any_classes(loss: Any) -> Any:
    """Return a loss over pixels without weights of certain classes, and with a short memory."""
    parts = {name: getattr(loss, name, None) for name in ("dense", "cross_entropy")}
    update = {name: _for_any_classes(part) for name, part in parts.items() if part is not None}
    if isinstance(loss, PixelCrossEntropy) and isinstance(loss.weights, tuple | dict):
        update["weights"] = "median"
    if isinstance(loss, Focal):
        update["alpha"] = None
    if isinstance(loss, PixelContrast) and loss.memory is not None:
        lengths = {name: min(getattr(loss.memory, name), _REMEMBERED) for name in ("pixels", "regions")}
        update["memory"] = loss.memory.model_copy(update=lengths)
    return loss.model_copy(update=update)


def _detection(recipe: Detect, steps: int) -> dict[str, Any]:
    model, data = recipe.model, recipe.data
    fewer = {
        "pre_nms_top_n_train": 200,
        "pre_nms_top_n_test": 200,
        "post_nms_top_n_train": 32,
        "post_nms_top_n_test": 8,
    }
    most = {name: min(count, getattr(model.rpn, name)) for name, count in fewer.items()}
    update: dict[str, Any] = {
        "rpn": model.rpn.model_copy(update=most),
        "roi_sampling": model.roi_sampling.model_copy(
            update={"batch_size_per_image": min(model.roi_sampling.batch_size_per_image, 8)}
        ),
        "max_detections": min(model.max_detections, 4),
    }
    if isinstance(model.backbone, C4):
        # Its last stage works on every region: a quarter of the cells, a quarter of the time.
        update["roi_pool_size"] = min(model.roi_pool_size, 7)
        update["masks"] = model.masks and model.masks.model_copy(
            update={"roi_pool_size": min(model.masks.roi_pool_size, 7)}
        )
    if not isinstance(model.backbone, Small):
        # Statistics that weights came with are no use without them.
        drawn = {"weights": None, "norm": "batch", "frozen_stages": 0}
        update["backbone"] = model.backbone.model_copy(update=drawn)
    start = recipe.start
    return {
        "data": SceneBoxes(train=16, val=2, augment=DetectionAugment(flip=data.augment.flip)),
        "model": model.model_copy(update=update),
        "graph": _for_scenes(recipe.graph),
        "protocols": ("ap50",),
        "start": start.lasting(lambda _: steps) if start is not None and start.run is None else None,
    }


def _for_scenes(graph: Cooccurrence | IdentityGraph | RandomGraph | GraphFile) -> Any:
    """Return a graph over the classes of made scenes."""
    if isinstance(graph, GraphFile):
        return Cooccurrence()
    if isinstance(graph, RandomGraph):
        return graph.model_copy(update={"of": _for_scenes(graph.of)})
    if isinstance(graph, Cooccurrence) and graph.classes is not None:
        return graph.model_copy(update={"classes": CLASSES[: len(graph.classes)]})
    return graph
