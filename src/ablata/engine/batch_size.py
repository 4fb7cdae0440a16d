"""The largest batch that fits the memory of this machine: `train.batch=auto`, measured by steps of growing batches.

Memory grows in proportion to the batch. Batches are doubled as long as a step is quick; what larger ones need follows
from the line through the last two. A GPU may be filled to 80% of what is free, a machine's memory to half.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from ablata.base.errors import DataError, SettingsError
from ablata.base.files import write_text
from ablata.base.quantities import quantity
from ablata.base.settings import settings_hash
from ablata.engine.hardware.memory import available_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.measuring import time_one_step
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext
from ablata.nn.single_values import SingleValueError

_FRACTION = {"cuda": 0.8}
_USUAL_FRACTION = 0.5
_FEWEST_STEPS = 8
"""Of an epoch: a batch is no larger than an eighth of the training set."""
_LARGEST = 1024
_QUICK = 3.0
"""Seconds in all: a slower machine is not asked for larger batches than it takes to see how memory grows."""
_POINTS = 2


@dataclass(frozen=True)
class FittingBatch:
    """A batch, and why.

    Attributes:
        batch: images in a step.
        memory: bytes that a step of it takes, measured or extrapolated.
        allowed: bytes that it may take.
        measured: the largest batch that was tried.
        bound: what it is bounded by: memory, or images (of the training set).
    """

    batch: int
    memory: float
    allowed: float
    measured: int
    bound: str

    def __str__(self) -> str:
        why = "a larger one would need more" if self.bound == "memory" else "larger ones leave an epoch few steps"
        tried = "" if self.measured >= self.batch else f", seen from batches up to {self.measured}"
        return (
            f"{self.batch}: takes {quantity(self.memory, 'B')} of the {quantity(self.allowed, 'B')} it may use{tried}; "
            f"{why}"
        )


def with_batch(recipe: Recipe, context: RunContext) -> tuple[Recipe, FittingBatch | None]:
    """Return a recipe whose batch is a number: that of `auto` is measured once in a lab, and kept in its cache.

    Args:
        recipe: any.
        context: cache folder, and one process alone.

    Returns:
        The recipe, and how its batch came about; None: it was a number.

    Raises:
        SettingsError: several processes train, or the recipe has a teacher.
        UserError: the recipe cannot be built.
    """
    if recipe.train.batch != "auto":
        return recipe, None
    if not context.group.is_single:
        raise SettingsError(
            "train.batch=auto is measured by one process", found=f"{context.group.world_size} processes",
            do="train.batch=N, the images in a step over all of them",
        )  # fmt: skip
    if recipe.parent() is not None:
        raise SettingsError(
            "train.batch=auto needs a recipe that starts from no other run",
            found="one with a teacher, which takes memory too", do="train.batch=N",
        )  # fmt: skip
    samples = recipe.training_samples(context.cache)
    device = choose_device(recipe.compute.device)
    path = context.cache / "batches" / f"{settings_hash(recipe)}-{samples}-{device.type}.json"
    found = _kept(path)
    if found is None:
        found = fitting_batch(recipe.effective(), samples, context)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(asdict(found)))
    return _with(recipe, found.batch), found


def fitting_batch(recipe: Recipe, samples: int | None, context: RunContext) -> FittingBatch:
    """Measure the largest batch that fits.

    Args:
        recipe: an effective one; its batch is not looked at.
        samples: of the training set; None: not known.
        context: device and cache folder.

    Raises:
        UserError: the recipe cannot be built, or not even the smallest batch fits.
    """
    unit = recipe.train.accumulate * getattr(getattr(getattr(recipe, "data", None), "sampling", None), "images", 1)
    most = unit
    while most * 2 <= min(_LARGEST, (samples or _LARGEST * _FEWEST_STEPS) // _FEWEST_STEPS):
        most *= 2
    allowed = _FRACTION.get(context.device.type, _USUAL_FRACTION) * available_memory(context.device)
    points: list[tuple[int, float]] = []
    spent, batch = 0.0, unit
    while batch <= most:
        memory, seconds = math.inf, 0.0
        try:
            # What the failed step held is free only once its error, whose traceback has it, is gone.
            with suppress(torch.OutOfMemoryError):
                memory, seconds = time_one_step(_with(recipe, batch), context)
        except SingleValueError:
            if batch > unit or batch * 2 > (samples or _LARGEST):
                raise
            batch *= 2
            most = max(most, batch)
            continue
        if math.isinf(memory):
            torch.cuda.empty_cache()
            if not points:
                raise _nothing_fits(batch, allowed)
            return FittingBatch(*points[-1], allowed, points[-1][0], "memory")
        points.append((batch, memory))
        spent += seconds
        if memory > allowed or (len(points) >= _POINTS and spent > _QUICK):
            break
        batch *= 2
    if points[0][1] > allowed:
        raise _nothing_fits(points[0][0], allowed)
    return _largest(points, most, allowed)


def _largest(points: list[tuple[int, float]], most: int, allowed: float) -> FittingBatch:
    """Return the largest batch within the line through the last two points."""
    measured = points[-1][0]
    fixed, each = points[0][1], 0.0
    if len(points) >= _POINTS:
        (small, less), (large, more) = points[-2:]
        each = max(0.0, (more - less) / (large - small))
        fixed = more - each * large
    batch = points[0][0]
    while batch * 2 <= most and fixed + each * batch * 2 <= allowed:
        batch *= 2
    memory = dict(points).get(batch, fixed + each * batch)
    return FittingBatch(batch, memory, allowed, measured, "images" if batch * 2 > most else "memory")


def _with(recipe: Recipe, batch: int) -> Recipe:
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"batch": batch})})


def _kept(path: Path) -> FittingBatch | None:
    try:
        return FittingBatch(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _nothing_fits(batch: int, allowed: float) -> DataError:
    return DataError(
        "A step must fit the memory of this machine",
        found=f"a batch of {batch} needs more than the {quantity(allowed, 'B')} it may use",
        do="use smaller images, a smaller network, or train.batch=N to try it all the same",
    )
