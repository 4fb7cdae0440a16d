"""What a run of a recipe will cost, from a few of its steps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ablata.engine.hardware.memory import peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.loop import train_steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState

_TIMED_STEPS = 8


def time_steps(recipe: Recipe, cache: Path, threads: int | None = None) -> tuple[float, float, int]:
    """Estimate a run's cost from a few steps and one evaluation; nothing is kept of them.

    Args:
        recipe: one that starts from nothing.
        cache: where decoded data may be kept.
        threads: processor threads, if the recipe does not ask for fewer; None: torch's choice.

    Returns:
        Seconds of a whole run, its peak memory in bytes, and how many steps were timed.

    Raises:
        UserError: the recipe cannot be built.
    """
    recipe, device = recipe.effective(), choose_device(recipe.compute.device)
    threads = threads or torch.get_num_threads()
    torch.manual_seed(0)
    reset_peak_memory(device)
    with _threads(min(threads, recipe.compute.threads or threads)), tempfile.TemporaryDirectory() as folder:
        state = TrainState(recipe, 0, Path(folder), RunContext(device, cache), Reporter())
        total, evaluations = state.total, state.evaluations_left()
        state.total = min(_TIMED_STEPS, total)
        state.train_mode()
        train_steps(state)
        timer = state.timer
    rate = timer.steps_per_second() or state.total / timer.seconds()
    seconds = total / rate + evaluations * timer.evaluation_seconds()
    if recipe.train.minutes is not None:
        seconds = 60 * recipe.train.minutes
    return seconds, float(peak_memory(device)), state.total


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
