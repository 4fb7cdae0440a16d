"""A recipe at another scale: all its lengths shortened alike, or a few steps on generated pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ablata.base.overrides import override
from ablata.data.augment import Augment
from ablata.data.joint_augment import Crop, JointAugment
from ablata.data.persons import Persons
from ablata.data.scene_masks import SceneMasks
from ablata.data.scenes import Scenes, Streets
from ablata.engine.recipe import Recipe as Recipe
from ablata.engine.schedules import Exponential, ScheduleSettings, Sgdr, Step
from ablata.losses.focal import Focal
from ablata.losses.pixel_cross_entropy import PixelCrossEntropy
from ablata.recipes.index import load_recipe
from ablata.tasks.classify import Classify
from ablata.tasks.reidentify import Reidentify
from ablata.tasks.segment import Segment

_SMALL_SIDE = 40
"""Pictures up to this side are taken for small ones, as CIFAR's."""


def overridden(name: str, *steps: Sequence[str]) -> Recipe:
    """Return a recipe by name with overrides applied, one step after the other.

    Args:
        name: of the recipe.
        steps: lists of `key=value`; each is complete in itself, a later one changes what an earlier one made.

    Raises:
        SettingsError: a setting does not fit.
    """
    made = load_recipe(name)
    for step in steps:
        made = override(made, list(step))
    return made


def shortened(recipe: Recipe, factor: float) -> Recipe:
    """Return a recipe whose every length is multiplied: training, warm-up, cycles, milestones, rounds.

    Args:
        recipe: its lengths in epochs or steps.
        factor: above 0, such as 0.02 for four epochs in place of two hundred.
    """
    train, schedule = recipe.train, recipe.schedule
    lengths: dict[str, Any] = {}
    if train.epochs is not None:
        lengths["epochs"] = train.epochs * factor
    if train.steps is not None:
        lengths["steps"] = max(1, round(train.steps * factor))
    if train.stop_epochs is not None:
        lengths["stop_epochs"] = train.stop_epochs * factor
    update: dict[str, Any] = {
        "train": train.model_copy(update=lengths),
        "schedule": schedule.model_copy(update=_of_schedule(schedule, factor)),
    }
    if isinstance(recipe, Classify | Reidentify) and recipe.refine is not None:
        refine = recipe.refine
        rounds = {
            "epochs": tuple(epochs * factor for epochs in refine.epochs),
            "stop_epochs": None if refine.stop_epochs is None else refine.stop_epochs * factor,
        }
        update["refine"] = refine.model_copy(update=rounds)
    return recipe.model_copy(update=update)


def on_generated_data(recipe: Recipe, steps: int = 2, batch: int = 8) -> Recipe:
    """Return a recipe of a few steps on a few generated pictures, to see that it builds and learns at all.

    Networks, losses, schedules and augmentation stay as they are, but that crops shrink and weights of classes are made
    anew; chains keep at most two taught rounds.

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


def _of_schedule(schedule: ScheduleSettings, factor: float) -> dict[str, Any]:
    """Return what changes in a schedule; shares of the training stay."""
    update: dict[str, Any] = {}
    if schedule.warmup is not None and schedule.warmup.unit != "share":
        update["warmup"] = schedule.warmup.model_copy(update={"length": schedule.warmup.length * factor})
    if isinstance(schedule, Sgdr):
        update["first"] = schedule.first * factor
    if isinstance(schedule, Exponential):
        update["every"] = schedule.every * factor
    if isinstance(schedule, Step) and schedule.unit == "epoch":
        update["milestones"] = tuple(mark * factor for mark in schedule.milestones)
    return update


def _classes(data: Any) -> Scenes:
    side = 32 if max(data.nominal_shape().height, data.nominal_shape().width) <= _SMALL_SIDE else 64
    augment: Augment = data.augment
    if augment.policy is not None:
        # Only files are augmented picture by picture as they are read; these pictures are in memory.
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
    """Return a loss over pixels without weights of certain classes."""
    parts = {name: getattr(loss, name, None) for name in ("dense", "cross_entropy")}
    update = {name: _for_any_classes(part) for name, part in parts.items() if part is not None}
    if isinstance(loss, PixelCrossEntropy) and isinstance(loss.weights, tuple | dict):
        update["weights"] = "median"
    if isinstance(loss, Focal):
        update["alpha"] = None
    return loss.model_copy(update=update)
