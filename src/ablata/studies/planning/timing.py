"""What a run of a recipe will cost, from a few of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ablata.base.parts import users_mistakes
from ablata.engine.hardware.precision import choose_device
from ablata.engine.measuring import measure
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext


def time_steps(recipe: Recipe, cache: Path, threads: int | None = None) -> tuple[float, float, int]:
    """Estimate a run's cost from a few steps and a part of an evaluation; nothing is kept of them.

    Args:
        recipe: one that starts from nothing.
        cache: where decoded data may be kept.
        threads: processor threads, if the recipe does not ask for fewer; None: torch's choice.

    Returns:
        Seconds of a whole run, its peak memory in bytes, and how many steps were timed.

    Raises:
        UserError: the recipe cannot be built, or a part of the user's own fails.
    """
    recipe = recipe.effective()
    threads = threads or torch.get_num_threads()
    with _threads(min(threads, recipe.compute.threads or threads)), users_mistakes(recipe, "be timed"):
        cost = measure(recipe, 0, RunContext(choose_device(recipe.compute.device), cache))
    seconds = cost.total * cost.step + cost.evaluations * cost.evaluation
    if recipe.train.minutes is not None:
        seconds = 60 * recipe.train.minutes
    return seconds, cost.memory, cost.timed


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
