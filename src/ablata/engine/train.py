"""Train one recipe with one seed in one folder: set up, run the loop, add up what it cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ablata.base.files import write_text
from ablata.base.seeds import derive
from ablata.base.settings import as_text
from ablata.engine.hardware.allocator import keep_memory
from ablata.engine.hardware.memory import peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.hardware.process_group import Distribution, process_group
from ablata.engine.loop import train_steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.session import Session
from ablata.engine.task import Site


@dataclass(frozen=True)
class Outcome:
    """What a training delivered.

    Args:
        scores: of the last evaluation, by `split/protocol/name`.
        cost: seconds, images_per_second, evaluation_seconds, peak_memory_bytes, parameters, flops, activations,
            steps, processes and processor threads; plain numbers.
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
    distribution: Distribution | None = None,
    parent: Path | None = None,
) -> Outcome:
    """Train, evaluate and save; continue where `folder` already holds a checkpoint.

    Args:
        recipe: what to train.
        seed: drives initialisation, order, augmentation and model noise through independent streams.
        folder: where the run's files go; with several processes the writing one's counts.
        cache: where prepared data is kept between runs.
        reporter: who listens; nobody by default.
        distribution: this process's place among several; alone by default.
        parent: folder of the completed run of `recipe.parent()`, if there is one.

    Raises:
        UserError: something does not fit; raised before the first step.
        RunError: the training ended early; see the subclasses.
    """
    recipe = recipe.effective()
    reporter, distribution = reporter or Reporter(), distribution or Distribution()
    device = choose_device(recipe.compute.device, distribution.local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if recipe.compute.threads is not None:
        torch.set_num_threads(recipe.compute.threads)
    memory_note = keep_memory() if recipe.compute.keep_memory else "large freed blocks go back to the system"
    reset_peak_memory(device)
    with process_group(distribution, device):
        where = Path(distribution.share(str(folder)))
        start = distribution.share(str(parent) if parent else None)
        site = Site(device, cache, distribution, recipe.compute.channels_last, Path(start) if start else None)
        torch.manual_seed(derive(seed, "init"))
        session = Session(recipe, seed, where, site, reporter)
        complexity = session.complexity()
        session.reporter.rewind(session.step)
        session.reporter.start(_facts(session) | complexity.as_dict() | {"allocator": memory_note})
        for notice in session.task.notices:
            session.reporter.event("info", "data", notice)
        if distribution.writes:
            where.mkdir(parents=True, exist_ok=True)
            write_text(where / "recipe.txt", as_text(recipe))
            if record := session.task.split_record():
                write_text(where / "splits.json", json.dumps(record))
        if session.step < session.total:
            session.task.check(session.task.augment(next(session.task.batches(0, 1)).to(device), 0))
            session.model.train()
            train_steps(session)
        session.keep_shown()
        cost = complexity.as_dict() | {
            "seconds": session.seconds(),
            "images_per_second": session.clock.steps_per_second() * recipe.train.batch,
            "evaluation_seconds": session.clock.evaluation_seconds(),
            "peak_memory_bytes": float(peak_memory(device)),
            "steps": float(session.total),
            "processes": float(distribution.world),
            "threads": float(torch.get_num_threads()),
        }
        return Outcome(session.scores, cost, session.best)


def _facts(session: Session) -> dict[str, Any]:
    """Return what a person wants to know before the first step."""
    return {
        "device": str(session.device),
        "precision": f"{session.precision.name} ({session.precision.why})",
        "processes": session.distribution.world,
        "step": session.step,
        "total": session.total,
        "steps_per_epoch": session.task.steps_per_epoch,
        "learning_rate": session.lr_note,
    }
