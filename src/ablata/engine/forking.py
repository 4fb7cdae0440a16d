"""Forks: trainings that share a beginning, since what tells them apart acts only from some step on.

A fork goes on from the checkpoint of a training with other settings, as a resumed training goes on from its own. Where
the two would have been the same until then, it ends, to the bit, as if it had been trained from its first step.
"""

from __future__ import annotations

from ablata.base.settings import diff
from ablata.engine.evaluation import EvalSchedule
from ablata.engine.optim.ema import Ema
from ablata.engine.recipe import Recipe


def planned_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Return how many steps a recipe trains."""
    planned = recipe.train.total_steps(steps_per_epoch)
    total = planned + recipe.schedule.extra_steps(steps_per_epoch, planned)
    if recipe.train.stop_epochs is not None:
        total = min(total, max(1, round(recipe.train.stop_epochs * steps_per_epoch)))
    return total


def acts_from(control: Recipe, arm: Recipe, steps_per_epoch: int) -> int:
    """Return how many first steps of two recipes are the same, to the bit.

    Known are the learning rate's schedule, the EMA, `until_epoch` of augmentations, `freeze_epochs` and the statistics
    of an evaluation; any other setting acts from the start.

    Args:
        control, arm: of the same task, for one seed.
        steps_per_epoch: optimiser steps in an epoch, of both.

    Returns:
        Steps in [0, total]; the total where nothing differs that a training of this length does.
    """
    total = planned_steps(control, steps_per_epoch)
    if type(control) is not type(arm) or planned_steps(arm, steps_per_epoch) != total:
        return 0
    keys = {change.key for change in diff(control, arm)}
    steps = [total]
    for key in keys:
        part = key.partition(".")[0]
        if part == "schedule":
            steps.append(_same_rate(control, arm, steps_per_epoch, total))
        elif part == "ema":
            steps.append(_same_average(control.ema, arm.ema, total))
        elif key.startswith("train.precise_bn"):
            schedule = EvalSchedule(arm.train, steps_per_epoch, total)
            steps.append(min((schedule.interval or total), total) - 1)
        elif key == "freeze_epochs":
            # Until the first of them lets all learn, the same is frozen; what never learns is not in the optimizer.
            ends = [one.freeze_epochs or 0.0 for one in (control, arm)]
            steps.append(round(min(ends) * steps_per_epoch))
        elif key.endswith(".until_epoch"):
            ends = [end for recipe in (control, arm) if (end := _number(recipe, key)) is not None]
            steps.append(round(min(ends) * steps_per_epoch))
        else:
            return 0
    return max(min(steps), 0)


def _same_rate(control: Recipe, arm: Recipe, steps_per_epoch: int, total: int) -> int:
    rates = [
        recipe.schedule.build(
            recipe.optim.scaled_lr(recipe.train.batch_size)[0],
            recipe.train.total_steps(steps_per_epoch),
            steps_per_epoch,
        )
        for recipe in (control, arm)
    ]
    return next((step for step in range(total) if rates[0](step) != rates[1](step)), total)


def _same_average(control: Ema | None, arm: Ema | None, total: int) -> int:
    """An EMA that still follows the weights is the weights; one that has begun can be shared with its like alone."""
    if control is None or arm is None:
        one = control or arm
        return total if one is None else one.copy_steps
    first = min(control.copy_steps, arm.copy_steps)
    shared = ("every", "buffers", "weight_decay", "copy_steps")
    if any(getattr(control, name) != getattr(arm, name) for name in shared):
        return first
    return next((step for step in range(total) if control.decay_at(step) != arm.decay_at(step)), total)


def _number(recipe: Recipe, key: str) -> float | None:
    found: object = recipe
    for name in key.split("."):
        found = getattr(found, name, None)
    return float(found) if isinstance(found, int | float) else None


def beginning(control: Recipe, step: int, steps_per_epoch: int) -> Recipe:
    """Return the recipe whose training is the first steps of the control's.

    Args:
        control: the recipe.
        step: how many steps, at least 1.
        steps_per_epoch: optimiser steps in an epoch.
    """
    train = control.train.model_copy(update={"stop_epochs": step / steps_per_epoch})
    return control.model_copy(update={"train": train})
