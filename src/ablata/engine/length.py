"""The length of a training that is given in minutes: measured once, on a few steps, and kept with the run.

A training that goes on, on this machine or another, keeps the number of steps that was measured first, so that its
schedule and its end are those of a training that was not interrupted. Where the machine became slower than it was when
it was measured, the time ends the training before its last step.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from ablata.base.files import write_text
from ablata.engine.checkpoints import Attempt
from ablata.engine.hardware.timer import TimeBudget
from ablata.engine.measuring import measure
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext

LENGTH = "length.json"
_PLANNED = 0.95
"""Fraction of the time that is planned for: the rest is for what no measurement of a few steps tells."""


def with_steps(
    recipe: Recipe, seed: int, folder: Path, context: RunContext, attempt: Attempt
) -> tuple[Recipe, TimeBudget | None]:
    """Return a recipe whose length is a number of steps, those that fit into its minutes, and its time; others as they
    are, without a time.

    Args:
        recipe: an effective one.
        seed: the run's.
        folder: the run's, where the length is kept.
        context: device, cache, processes.
        attempt: who writes.
    """
    if recipe.train.minutes is None:
        return recipe, None
    begun = time.monotonic()
    path, group = folder / LENGTH, context.group
    kept = group.broadcast_object(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None)
    if kept is None:
        cost = measure(recipe, seed, context)
        kept = group.broadcast_object({
            "steps": steps_within(60 * recipe.train.minutes, cost.step, cost.evaluation, cost.interval),
            "seconds": 60 * recipe.train.minutes,
            "seconds_a_step": cost.step,
            "seconds_an_evaluation": cost.evaluation,
            "steps_an_epoch": cost.steps_per_epoch,
        })  # fmt: skip
        if group.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(kept), attempt.held)
    train = recipe.train.model_copy(update={"minutes": None, "steps": int(kept["steps"])})
    budget = TimeBudget(float(kept["seconds"]), float(kept["seconds_an_evaluation"]), begun)
    return recipe.model_copy(update={"train": train}), budget


def steps_within(seconds: float, step: float, evaluation: float, interval: int) -> int:
    """Return how many optimiser steps fit into a time, a twentieth of it kept for what was not measured; at least 1.

    Args:
        seconds: the time.
        step: seconds of a step.
        evaluation: seconds of an evaluation; one follows the last step.
        interval: steps between two evaluations; 0: there is none on the way.
    """
    return max(1, int((_PLANNED * seconds - evaluation) / (step + (evaluation / interval if interval else 0))))
