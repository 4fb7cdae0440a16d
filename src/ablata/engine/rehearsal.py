"""Rehearsal: first batches and scores of a training with parts of the user's own, before anything is recorded."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from pathlib import Path

import torch

from ablata.base.errors import AblataError, SettingsError
from ablata.base.parts import users_mistakes
from ablata.base.seeds import derive
from ablata.engine.freezing import Frozen
from ablata.engine.hardware.precision import choose_device
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState
from ablata.nn.single_values import single_values_in_words

_BATCHES = 2
"""Batches without any gradient before a loss is refused: of one, all triplets may lie apart already."""
_SAMPLES, _MORE = 8, 8
"""Samples that are scored at first, and how many times more where that took no second."""


def refuse_unknown_parameters(recipe: Recipe) -> None:
    """Refuse patterns of parameters' names, to be frozen or with rates of their own, that fit none of the network.

    Raises:
        SettingsError: names the pattern, and what names there are.
    """
    groups = getattr(recipe.optim, "groups", None)
    patterns = groups is not None and bool(groups.multipliers)
    if not recipe.frozen() and not patterns:
        return
    model = recipe.effective().nominal_network()
    if model is None:
        return
    Frozen(model, recipe.frozen(), None)
    if groups is not None and patterns:
        groups.build(model, 0.0)


def refuse_unfit_network(recipe: Recipe, cache: Path) -> None:
    """Refuse a network that cannot be built as it is set, or does not take the images of a step, before it is trained.

    It runs without values: a second of the processor's time at most.

    Args:
        recipe: of parts of our own.
        cache: where prepared data is kept.

    Raises:
        UserError: what the network refuses, in its words.
    """
    images = recipe.nominal_batch(cache)
    model = None if images is None else recipe.effective().nominal_network()
    if model is None:
        return
    # An operation may have no form for meta.
    with torch.no_grad(), torch.device("meta"), suppress(NotImplementedError), single_values_in_words():
        model.train()(images)


def rehearse(recipe: Recipe, seed: int, cache: Path) -> None:
    """Build what a recipe describes, take a step, and score a few samples; nothing is kept.

    Args:
        recipe: one that starts from no other run.
        seed: of the run.
        cache: where prepared data is kept.

    Raises:
        UserError: something does not fit, a part of the user's own fails, or the loss teaches nothing.
    """
    recipe = recipe.effective()
    device = choose_device(recipe.compute.device)
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(derive(seed, "init"))
        context = RunContext(device, cache, channels_last=recipe.compute.channels_last)
        with users_mistakes(recipe, "be built"):
            state = TrainState(recipe, seed, Path(folder), context, Reporter())
        with users_mistakes(recipe, "fit the first batch"):
            if not any(_teaches(state, step) for step in range(_BATCHES)):
                raise SettingsError(
                    "The loss must change with the network's outputs",
                    found=f"a gradient of exactly zero, at every parameter, for the first {_BATCHES} batches",
                    do="see what it computes: a term times 0, a comparison, or a constant has no gradient",
                )
            state.set_learning_rate()
            state.optimiser.step()
        with users_mistakes(recipe, "score the first samples"):
            _score(state)


def _teaches(state: TrainState, step: int) -> bool:
    """Compute the loss of a step's batch and its gradient; tell whether any of it is other than zero."""
    batch = state.task.augment(next(state.task.batches(step, step + 1)).to(state.device), step)
    state.task.check(batch)
    state.train_mode()
    torch.manual_seed(derive(state.seed, "model", step, 0))
    part = batch.chunk(state.recipe.train.accumulate)[0]
    with state.precision.autocast(), single_values_in_words():
        loss = torch.stack(list(state.task.loss(state.model, part).values())).sum()
    state.check_first_loss(loss)
    torch.autograd.backward(loss)
    gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
    return any(bool(gradient.any()) for gradient in gradients)


def _score(state: TrainState) -> None:
    """Score a part of each split: for a second, or all of it."""
    samples = _SAMPLES
    while True:
        begun, failed = time.monotonic(), None
        with state.task.evaluating_part(samples) as fraction, torch.no_grad(), state.precision.autocast():
            state.model.eval()
            try:
                state.evaluator.scores(state.step)
            except AblataError:
                raise
            except Exception as error:  # a metric may need what a part of a split does not have: every class
                failed = error
        if fraction >= 1 and failed is not None:
            raise failed
        if fraction >= 1 or time.monotonic() - begun > 1:
            return
        samples *= _MORE
