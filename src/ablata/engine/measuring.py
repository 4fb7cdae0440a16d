"""What a training costs here: a few steps and a part of an evaluation, timed, of which nothing is kept.

Whatever the network, the timed part takes about `_SECONDS`, or two steps and eight evaluated samples where these take
longer: a step that is slow enough to matter needs no mean of many.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from ablata.base.errors import StoppedError
from ablata.engine.evaluation import EvalSchedule
from ablata.engine.hardware.memory import peak_memory, reset_peak_memory
from ablata.engine.loop import train_steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState

_STEPS = 8
_SECONDS = 8.0
"""Of steps; a second one is taken in any case, since the first is slower than the others."""
_SAMPLES, _MORE = 8, 8
"""Samples that are evaluated at first, and how many times more where that took no second."""


@dataclass(frozen=True)
class MeasuredCost:
    """What was measured.

    Attributes:
        step: seconds of an optimiser step.
        evaluation: seconds of an evaluation of all splits, extrapolated from a part.
        memory: peak of the process, or of the GPU, in bytes.
        steps_per_epoch: of the training set.
        total: optimiser steps of the whole training.
        evaluations: of the whole training.
        interval: steps between two evaluations; 0: there is none on the way.
        timed: steps that were timed.
    """

    step: float
    evaluation: float
    memory: float
    steps_per_epoch: int
    total: int
    evaluations: int
    interval: int
    timed: int


def measure(recipe: Recipe, seed: int, context: RunContext) -> MeasuredCost:
    """Train a few steps and evaluate a few samples.

    Args:
        recipe: an effective one.
        seed: of its random numbers.
        context: device, cache, processes.

    Raises:
        UserError: the recipe cannot be built, or a step fails.
    """
    reset_peak_memory(context.device)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as place:
        clock = _Clock()
        state = TrainState(recipe, seed, Path(place), context, clock)
        schedule, total, evaluations = state.eval_schedule, state.total, state.evaluations_left()
        clock.begin(min(_STEPS, total))
        _time_steps_alone(state)
        state.train_mode()
        with suppress(StoppedError):
            train_steps(state)
        step = context.group.broadcast_object(clock.seconds_a_step())
        memory = float(peak_memory(context.device))
        evaluation = _evaluation_seconds(state)
    return MeasuredCost(step, evaluation, memory, state.task.steps_per_epoch, total, evaluations, schedule.interval,
                len(clock.marks))  # fmt: skip


def time_one_step(recipe: Recipe, context: RunContext) -> tuple[float, float]:
    """Take one step of a recipe.

    Args:
        recipe: an effective one.
        context: device and cache folder.

    Returns:
        Peak memory in bytes, of the process or the GPU, and seconds.

    Raises:
        UserError: the recipe cannot be built, or the step fails.
    """
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        clock = _Clock()
        state = TrainState(recipe, 0, Path(place), context, clock)
        clock.begin(1)
        _time_steps_alone(state)
        state.train_mode()
        reset_peak_memory(context.device)
        with suppress(StoppedError):
            train_steps(state)
        return float(peak_memory(context.device)), clock.seconds_a_step()


class _Clock(Reporter):
    """Notes when each step ended, and stops the training once enough were."""

    def __init__(self) -> None:
        self.marks: list[float] = []
        self.begin(_STEPS)

    def begin(self, steps: int) -> None:
        """Count the time from now on, for so many steps at most."""
        self.begun, self.steps = time.perf_counter(), steps

    def stop_reason(self) -> str | None:
        """Note the end of a step; see `Reporter.stop_reason`."""
        self.marks.append(time.perf_counter())
        late = len(self.marks) > 1 and self.marks[-1] - self.begun > _SECONDS
        return "timed" if late or len(self.marks) >= self.steps else None

    def seconds_a_step(self) -> float:
        """Return the mean time of a step, without the first."""
        if len(self.marks) < 2:
            return (self.marks[0] if self.marks else time.perf_counter()) - self.begun
        return (self.marks[-1] - self.marks[0]) / (len(self.marks) - 1)


def _time_steps_alone(state: TrainState) -> None:
    """Let a training take the timed steps alone, without an evaluation, asked after each of them."""
    alone = {"evaluate_every": 0.0, "patience": None, "log_every": 1}
    state.recipe = state.recipe.model_copy(update={"train": state.recipe.train.model_copy(update=alone)})
    state.total = _STEPS + 1
    state.eval_schedule = EvalSchedule(state.recipe.train, state.task.steps_per_epoch, state.total)


def _evaluation_seconds(state: TrainState) -> float:
    """Return the seconds of an evaluation, from as few samples as tell it."""
    samples = _SAMPLES
    while True:
        begun = time.perf_counter()
        with state.task.evaluating_part(samples) as fraction, torch.no_grad(), state.precision.autocast():
            state.model.eval()
            state.evaluator.scores(state.step)
        taken: float = state.group.broadcast_object(time.perf_counter() - begun)
        if fraction >= 1 or taken > 1:
            return taken / fraction
        samples *= _MORE
