"""A recipe under overrides, or at another scale: all its lengths shortened alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ablata.base.overrides import override
from ablata.data.transforms.segmentation import Crop
from ablata.engine.optim.schedules import Exponential, ScheduleSettings, Sgdr, Step
from ablata.engine.recipe import Recipe as Recipe
from ablata.recipes.index import load_recipe
from ablata.tasks.classification.task import Classify
from ablata.tasks.detection.task import Detect
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment


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
    if isinstance(recipe, Detect) and recipe.start is not None:
        update["start"] = recipe.start.lasting(lambda steps: max(1, round(steps * factor)))
    return recipe.model_copy(update=update)


def on_other_images(recipe: Recipe, data: str, crops: float) -> Recipe:
    """Return a segmentation on another data set, augmented and scored as before, but in smaller crops and windows.

    Args:
        recipe: of a segmentation.
        data: kind of the set, such as `camvid`.
        crops: factor on the sides of crops and windows, above 0.

    Raises:
        SettingsError: there is no such set.
        TypeError: it is no segmentation.
    """
    if not isinstance(recipe, Segment):
        raise TypeError(f"only segmentations change their images, found {type(recipe).__name__}")
    augment, window = recipe.data.augment, recipe.sliding_window
    if augment.crop is not None:
        sides = {side: round(getattr(augment.crop, side) * crops) for side in ("height", "width")}
        augment = augment.model_copy(update={"crop": Crop(**sides)})
    other = override(recipe, [f"data={data}"]).data
    both = type(recipe.data).model_fields.keys() & type(other).model_fields.keys()
    kept = {name: getattr(recipe.data, name) for name in ("minival", "split_seed", "void") if name in both}
    named = re.compile(r"(?<=sliding_window\.size=)\d+")
    return recipe.model_copy(
        update={
            "data": other.model_copy(update=kept | {"augment": augment}),
            "sliding_window": window.model_copy(update={"size": round(window.size * crops)}),
            "protocols": tuple(
                named.sub(lambda side: str(round(int(side[0]) * crops)), name) for name in recipe.protocols
            ),
        }
    )


def _of_schedule(schedule: ScheduleSettings, factor: float) -> dict[str, Any]:
    """Return what changes in a schedule; shares of the training stay."""
    update: dict[str, Any] = {}
    if schedule.warmup is not None and schedule.warmup.unit != "fraction":
        update["warmup"] = schedule.warmup.model_copy(update={"length": schedule.warmup.length * factor})
    if isinstance(schedule, Sgdr):
        update["first"] = schedule.first * factor
    if isinstance(schedule, Exponential):
        update["every"] = schedule.every * factor
    if isinstance(schedule, Step) and schedule.unit == "epoch":
        update["milestones"] = tuple(mark * factor for mark in schedule.milestones)
    return update
