"""The length of a training that is given in minutes: measured once, on a few steps, and kept with the run.

A training that goes on, on this machine or another, keeps the number of steps that was measured first, so that its
schedule and its end are those of a training that was not interrupted.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch

from ablata.base.files import write_text
from ablata.engine.checkpoints import Attempt
from ablata.engine.loop import train_steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState

LENGTH = "length.json"
_TIMED_STEPS = 8


def with_steps(recipe: Recipe, seed: int, folder: Path, context: RunContext, attempt: Attempt) -> Recipe:
    """Return a recipe whose length is a number of steps, those that fit into its minutes; others as they are.

    Args:
        recipe: an effective one.
        seed: the run's.
        folder: the run's, where the length is kept.
        context: device, cache, processes.
        attempt: who writes.
    """
    if recipe.train.minutes is None:
        return recipe
    path, group = folder / LENGTH, context.group
    kept = group.broadcast_object(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None)
    if kept is None:
        kept = group.broadcast_object(measured(recipe, seed, context))
        if group.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(kept), attempt.held)
    train = recipe.train.model_copy(update={"minutes": None, "steps": int(kept["steps"])})
    return recipe.model_copy(update={"train": train})


def measured(recipe: Recipe, seed: int, context: RunContext) -> dict[str, float]:
    """Train a few steps and evaluate once, of which nothing is kept.

    Args:
        recipe: an effective one, with `train.minutes`.
        seed: of its random numbers.
        context: device, cache, processes.

    Returns:
        `steps` that fit into its minutes, `seconds_a_step`, `seconds_an_evaluation`, `steps_an_epoch`.
    """
    short = recipe.train.model_copy(update={"minutes": None, "steps": _TIMED_STEPS})
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as place:
        state = TrainState(recipe.model_copy(update={"train": short}), seed, Path(place), context, Reporter())
        state.train_mode()
        train_steps(state)
    timer = state.timer
    step = 1 / (timer.steps_per_second() or state.total / timer.seconds())
    interval = recipe.train.evaluate_every * state.task.steps_per_epoch
    evaluation = timer.evaluation_seconds()
    budget = 60 * (recipe.train.minutes or 0) - evaluation
    steps = max(1, int(budget / (step + (evaluation / max(1, round(interval)) if interval else 0))))
    return {
        "steps": steps,
        "seconds_a_step": step,
        "seconds_an_evaluation": evaluation,
        "steps_an_epoch": state.task.steps_per_epoch,
    }
