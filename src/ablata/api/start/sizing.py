"""Fitting a proposal to the machine and the time: batch by memory, image size and evaluations by measured seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ablata.api.start.choices import BATCHES, SIDES
from ablata.api.start.proposal import Proposal
from ablata.base.quantities import duration, quantity
from ablata.engine.batch_size import fitting_batch
from ablata.engine.hardware.precision import choose_device
from ablata.engine.length import steps_within
from ablata.engine.measuring import measure
from ablata.engine.task import RunContext

_SHARE = 0.15
"""Most of the time that evaluations on the way may take."""
_FEW_STEPS = 200
"""Fewer steps than this teach little: images are made smaller then."""
_LEAST_SIDE = {"classify": 64, "segment": 96, "detect": 160}
_UNIT = 32
_GPU = 4


def sized(made: Proposal, cache: Path, say: Callable[[str], None]) -> Proposal:
    """Measure a proposal, and fit batch, image size and evaluations to machine and time.

    Args:
        made: with the usual batch.
        cache: where prepared data is kept.
        say: is told what is being measured.
    """
    context = RunContext(choose_device("auto"), cache)
    where = "the GPU" if context.device.type == "cuda" else "this machine's processor"
    made = _with_batch(made, context, say, where)
    recipe = made.recipe().effective()
    batch, side = recipe.train.batch_size, _side_words(made)
    say(f"measuring on {where} (some 10 to 30 s): up to 8 training steps of {batch} images{side}, some images scored")
    cost = measure(recipe, 0, context)
    seconds, step, evaluation = 60 * recipe.train.minutes, cost.step, cost.evaluation
    made, factor = _smaller_images(made, steps_within(seconds, step, evaluation, 0))
    step, evaluation = step * factor, evaluation * factor
    epochs = evaluation / (_SHARE * step * cost.steps_per_epoch)
    if epochs > 1:
        reason = f"epochs: one takes {duration(step * cost.steps_per_epoch)}, an evaluation {duration(evaluation)}"
        made = made.with_choice(f"train.evaluate_every={max(1, round(epochs))}", reason)
    interval = round(made.recipe().train.evaluate_every * cost.steps_per_epoch)
    steps = steps_within(seconds, step, evaluation, interval)
    cautions = list(made.cautions)
    if evaluation > seconds / 2:
        cautions.append(f"Scoring once takes {duration(evaluation)}, most of the time that was asked for: give it more")
    elif steps < _FEW_STEPS / 2:
        cautions.append(f"{steps} steps teach little: give it more time, such as --minutes "
                        f"{max(1, round(_FEW_STEPS * step / 60)) + 1}")  # fmt: skip
    return replace(made, steps=steps, seconds_a_step=step, seconds_an_evaluation=evaluation, memory=cost.memory,
                   cautions=tuple(cautions))  # fmt: skip


def _with_batch(made: Proposal, context: RunContext, say: Callable[[str], None], where: str) -> Proposal:
    """Return the proposal with a batch that fits memory and training set."""
    recipe = made.recipe().effective()
    usual = BATCHES[made.found.task] * (_GPU if context.device.type == "cuda" else 1)
    samples = recipe.training_samples(context.cache)
    if context.device.type != "cuda":
        torch.set_num_threads(recipe.compute.threads or torch.get_num_threads())
    say(f"measuring how large a batch fits the memory of {where}")
    fits = fitting_batch(recipe, samples, context)
    batch = min(usual, fits.batch)
    if batch == fits.batch:
        why = "as much as fits the memory" if fits.bound == "memory" else "a larger one leaves an epoch few steps"
        reason = f"{why}: it takes {quantity(fits.memory, 'B')} of the {quantity(fits.allowed, 'B')} it may use"
    else:
        reason = f"the usual number; the memory here is enough for {fits.batch} (train.batch=auto)"
    made = made.with_choice(f"train.batch={batch}", reason)
    if made.found.task != "segment":
        made = made.with_choice(f"train.evaluate_batch={batch}", "as in training")
    return made


def _side_words(made: Proposal) -> str:
    side = _side(made)
    return f" of side {side}" if side else ""


def _side(made: Proposal) -> int:
    key = SIDES.get(made.found.task)
    told = next((one.setting.partition("=")[2] for one in made.choices if one.key == key), "")
    return int(told.strip("[]") or 0)


def _smaller_images(made: Proposal, steps: int) -> tuple[Proposal, float]:
    """Return the proposal with smaller images where few steps fit, and what a step takes of its time then.

    Most of a convolutional network's work is in proportion to the pixels, so that the time is, too.
    """
    side, task = _side(made), made.found.task
    if steps >= _FEW_STEPS or task not in _LEAST_SIDE or side <= _LEAST_SIDE[task]:
        return made, 1.0
    wanted = int(side * (steps / _FEW_STEPS) ** 0.5) // _UNIT * _UNIT
    small = max(_LEAST_SIDE[task], wanted)
    if small >= side:
        return made, 1.0
    reason = f"only {steps} steps of images of side {side} fit into the time; more steps of smaller ones teach more"
    if task == "classify":
        made = made.with_choice(f"data.size={small}", reason)
        made = made.with_choice(f"data.resize={round(small * 256 / 224)}", "scored on the middle, as is usual")
    elif task == "segment":
        made = made.with_choice(f"data.augment.crop.height={small}", reason)
        made = made.with_choice(f"data.augment.crop.width={small}", "as high as wide")
        return made, (small / side) ** 2
    else:
        made = made.with_choice(f"data.augment.min_size=[{small}]", reason)
        made = made.with_choice(f"data.augment.max_size={2 * small}", "a longer side is made no longer than this")
    return made, (small / side) ** 2
