"""Train one recipe with one seed in one folder: set up, run the loop, add up what it cost."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ablata.base.files import write_text
from ablata.base.generators import result_of
from ablata.base.parts import users_mistakes
from ablata.base.seeds import derive
from ablata.base.settings import as_text
from ablata.data.loading.worker_processes import killed_in_words
from ablata.engine.checkpoints import Attempt
from ablata.engine.hardware.memory import keep_memory, peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.hardware.process_group import ProcessGroup, process_group
from ablata.engine.length import with_steps
from ablata.engine.loop import Part, steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import NOBODY, TrainState
from ablata.nn.loaded_weights import loaded_weights


@dataclass(frozen=True)
class TrainResult:
    """What a training delivered.

    Args:
        scores: of the last evaluation, by `split/protocol/name`.
        cost: seconds, seconds_per_epoch (evaluations left out), images_per_second, evaluation_seconds,
            peak_memory_bytes (on a GPU again as peak_gpu_memory_bytes), parameters, flops, activations, steps,
            processes and processor threads; plain numbers. Of runs that were trained together (how many: together)
            seconds are each one's share of the group's time, and rates those of the group.
        best: which checkpoint was kept as best and why, or None.
    """

    scores: dict[str, float]
    cost: dict[str, float]
    best: dict[str, Any] | None


def train(
    recipe: Recipe,
    seed: int,
    folder: Path,
    cache: Path,
    reporter: Reporter | None = None,
    group: ProcessGroup | None = None,
    parent: Path | None = None,
    *,
    trust_code: bool = False,
    attempt: Attempt = NOBODY,
    fork: Path | None = None,
) -> TrainResult:
    """Train, evaluate and save; continue where `folder` already holds a checkpoint.

    Args:
        recipe: what to train.
        seed: drives initialisation, order, augmentation and model noise through independent streams.
        folder: where the run's files go; with several processes the writing one's counts.
        cache: where prepared data is kept between runs.
        reporter: who listens; nobody by default.
        group: this process's place among several; alone by default.
        parent: folder of the completed run of `recipe.parent()`, if there is one.
        trust_code: whether the code of a checkpoint that came from elsewhere may be run.
        attempt: which run this is, and the fence under which its files are put into place.
        fork: folder of the completed run that is this one's beginning; see `forking`.

    Raises:
        UserError: something does not fit; raised before the first step.
        RunError: the training ended early; see the subclasses.
    """
    return result_of(
        training(
            recipe, seed, folder, cache, reporter, group, parent, trust_code=trust_code, attempt=attempt, fork=fork
        )
    )


def training(
    recipe: Recipe,
    seed: int,
    folder: Path,
    cache: Path,
    reporter: Reporter | None = None,
    group: ProcessGroup | None = None,
    parent: Path | None = None,
    *,
    trust_code: bool = False,
    attempt: Attempt = NOBODY,
    fork: Path | None = None,
    together: bool = False,
) -> Generator[Part, None, TrainResult]:
    """Train as `train` does, whose arguments and errors it has; `together` is that of `loop.steps`."""
    recipe = recipe.effective()
    reporter, group = reporter or Reporter(), group or ProcessGroup()
    device = choose_device(recipe.compute.device, group.local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if recipe.compute.threads is not None:
        torch.set_num_threads(recipe.compute.threads)
    memory_note = keep_memory() if recipe.compute.keep_memory else "large freed blocks go back to the system"
    reset_peak_memory(device)
    with process_group(group, device):
        where = Path(group.broadcast_object(str(folder)))
        start = group.broadcast_object(str(parent) if parent else None)
        older = Path(start) if start else None
        context = RunContext(device, cache, group, recipe.compute.channels_last, older, trust_code)
        with users_mistakes(recipe, "be timed"):
            recipe, budget = with_steps(recipe, seed, where, context, attempt)
        torch.manual_seed(derive(seed, "init"))
        with users_mistakes(recipe, "be built"):
            writer = replace(attempt, run=group.broadcast_object(attempt.run))
            begun = group.broadcast_object(str(fork) if fork else None)
            state = TrainState(recipe, seed, where, context, reporter, writer, Path(begun) if begun else None)
            state.budget = budget
            complexity = state.complexity()
        _tell_start(state, complexity.as_dict() | {"allocator": memory_note})
        if group.is_main:
            _write_start(state, where)
        if not state.finished():
            _check_first_batch(state)
            state.train_mode()
            with users_mistakes(recipe, "run through every step"), killed_in_words():
                yield from steps(state, together=together)
        with users_mistakes(recipe, "show its predictions"):
            state.save_items()
            state.save_gallery()
        return TrainResult(state.scores, complexity.as_dict() | _cost(state), state.best)


def _tell_start(state: TrainState, facts: Mapping[str, Any]) -> None:
    """Report what the training begins with: its facts, and notices of data and weights."""
    state.reporter.rewind(state.step)
    state.reporter.start({**_facts(state), **facts})
    for notice in state.task.notices:
        state.reporter.event("info", "data", notice)
    loaded = loaded_weights(state.model)
    for one in loaded:
        state.reporter.event("info", "weights", str(one))
    for notice in state.task.weights_notices(loaded):
        state.reporter.event("warning", "weights", notice)


def _write_start(state: TrainState, folder: Path) -> None:
    """Write what a run's folder holds before the first step: the recipe, its splits, where weights came from."""
    folder.mkdir(parents=True, exist_ok=True)
    held = state.attempt.held
    write_text(folder / "recipe.txt", as_text(state.recipe), held)
    if record := state.task.split_record():
        write_text(folder / "splits.json", json.dumps(record), held)
    if loaded := loaded_weights(state.model):
        write_text(folder / "weights.json", json.dumps([one.as_dict() for one in loaded], indent=1), held)


def _check_first_batch(state: TrainState) -> None:
    with users_mistakes(state.recipe, "fit the first batch"):
        warnings = state.check_first_batch()
    for warning in warnings:
        state.reporter.event("warning", "outputs", warning)


def _cost(state: TrainState) -> dict[str, float]:
    """Return what the training took: seconds, rates, bytes, and on how many processes and threads."""
    # In the time of one of its steps a group does as many as it has members.
    rate, peak = state.timer.steps_per_second() * state.together, float(peak_memory(state.device))
    cost = {
        "seconds": state.seconds(),
        "images_per_second": rate * state.recipe.train.batch_size,
        "evaluation_seconds": state.timer.evaluation_seconds(),
        "peak_memory_bytes": peak,
        "steps": float(state.step),
        "processes": float(state.group.world_size),
        "threads": float(torch.get_num_threads()),
    }
    if state.device.type == "cuda":
        cost["peak_gpu_memory_bytes"] = peak
    if rate:
        cost["seconds_per_epoch"] = state.task.steps_per_epoch / rate
    if state.together > 1:
        cost["together"] = float(state.together)
    if state.forked_at:
        cost["first_step"] = float(state.forked_at)
    return cost


def _facts(state: TrainState) -> dict[str, Any]:
    """Return what a person wants to know before the first step."""
    return {
        "device": str(state.device),
        "precision": f"{state.precision.name} ({state.precision.why})",
        "processes": state.group.world_size,
        "step": state.step,
        "total": state.total,
        "steps_per_epoch": state.task.steps_per_epoch,
        "learning_rate": state.lr_note,
    }
