"""Initialising a detector with the weights of an earlier training, its heads kept or initialised anew.

The earlier training is a run at hand, or one that is described here: it is trained first, and shared by all recipes
that describe the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import ON_DISK, Settings
from ablata.engine.checkpoints import BEST, LAST, Checkpoint, load_checkpoint
from ablata.records.home import lab_home

_HEADS = ("stages.heads.", "mask_predictor.")
"""What tells classes apart; the layers before it are kept whenever they fit."""
_GRAPH = "stages.relations.classes.graph"
"""Set by the recipe itself, whatever the earlier training used."""
_SEEING = "backbone."
"""What must be the same on both sides, whatever else begins anew."""


Heads = Literal["keep", "retrain", "fit"]


class Earlier(Settings):
    """An earlier training, given as overrides of the one that follows it."""

    steps: Annotated[int, Field(ge=1)] | None = None
    """Its optimiser steps; null: as many as the training that follows."""
    changes: tuple[str, ...] = ()
    """Overrides of the training that follows, such as model.relations=null; not of its length."""
    heads: Heads = "fit"
    """What becomes of the heads of the one before it, as below; the first one has none before it."""


class StartFrom(Settings):
    """An earlier training's weights; give `run` or `earlier`."""

    run: Annotated[Annotated[str, Field(min_length=1)] | None, ON_DISK] = None
    """A run's id, as `ablata runs list` has it; or a checkpoint, or the folder of a run."""
    earlier: tuple[Earlier, ...] = ()
    """Trainings that come before this one, the first one first; they are trained where they have not been."""
    checkpoint: Literal["last", "best"] = "last"
    """Which of its checkpoints."""
    step: Annotated[int, Field(ge=1)] | None = None
    """The step that the checkpoint must be of: that one of last and best is taken; null: whichever it is."""
    heads: Heads = "keep"
    """keep: all weights, and the model and its classes must be the same; fit: what both models have, the rest begins
    anew, as do the layers that score classes where those differ; retrain: those layers begin anew in any case."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.run is None) == (not self.earlier):
            raise ValueError("give either start.run or start.earlier")
        return self

    def before(self) -> Earlier | None:
        """Return the training that comes right before; None for a run that is at hand."""
        return self.earlier[-1] if self.earlier else None

    def before_that(self) -> StartFrom | None:
        """Return where the training right before starts from; None: nowhere."""
        if len(self.earlier) < 2:
            return None
        return StartFrom(earlier=self.earlier[:-1], checkpoint=self.checkpoint, heads=self.earlier[-1].heads)

    def lasting(self, steps: Callable[[int], int]) -> StartFrom:
        """Return the same with other lengths of what comes before.

        Args:
            steps: from a length that is given to the one in its place.
        """
        earlier = tuple(
            one if one.steps is None else one.model_copy(update={"steps": steps(one.steps)}) for one in self.earlier
        )
        return self.model_copy(update={"earlier": earlier, "step": None})

    def find(self, parent: Path | None = None) -> Path:
        """Return the checkpoint.

        Args:
            parent: folder of the training that `before` describes.

        Raises:
            CheckpointError: there is none.
        """
        place = parent if self.run is None else Path(self.run).expanduser()
        if place is None:
            raise CheckpointError("A training that comes before must have been trained", found="no folder of it",
                                  do="train the whole chain: ablata train RECIPE")  # fmt: skip
        if self.run is not None and not place.exists():
            place = lab_home() / "runs" / self.run
        kept = (BEST, LAST) if self.checkpoint == "best" else (LAST, BEST)
        path = place
        if place.is_dir():
            path = place / kept[0] if self.step is None else self._of_step([place / name for name in kept])
        if not path.is_file():
            raise CheckpointError(
                "A detector starts from a run's checkpoint",
                found=f"{f'start.run={self.run}' if self.run else 'the training before'}: no file {path}",
                do="give a run of `ablata runs list`, or a checkpoint",
            )
        return path

    def _of_step(self, paths: list[Path]) -> Path:
        """Return the first of a run's checkpoints that is of the step asked for; else the first there is."""
        there = [path for path in paths if path.is_file()]
        return next((path for path in there if _step(path) == self.step), (there or paths)[0])

    def mark(self) -> str:
        """Return what the weights of a run add to the fingerprint of the data; those that come before add nothing."""
        if self.run is None:
            return ""
        saved, content = self._read(self.find()), hashlib.blake2b(digest_size=4)
        for name, tensor in sorted(saved.weights().items()):
            content.update(name.encode() + tensor.contiguous().flatten().view(-1).numpy().tobytes())
        return f"-{content.hexdigest()}"

    def load_into(self, model: nn.Module, classes: tuple[str, ...], parent: Path | None = None) -> str:
        """Give a detector the earlier training's weights.

        Args:
            model: the detector.
            classes: its class names.
            parent: folder of the training that `before` describes.

        Returns:
            A sentence on what was taken.

        Raises:
            CheckpointError: the checkpoint is of another step or of other classes, or does not fit the model; both
                sides are named.
        """
        path = self.find(parent)
        saved = self._read(path)
        theirs = tuple(saved.facts.get("contract", {}).get("classes", ()))
        if self.heads == "keep" and theirs != classes:
            raise CheckpointError(
                "Heads can be kept for the same classes only",
                found=f"{path}: {len(theirs)} ({listing(theirs[:6])}); data: {len(classes)} ({listing(classes[:6])})",
                do="start.heads=retrain",
            )
        own, weights = model.state_dict(), saved.weights()
        for tensors in (own, weights):
            tensors.pop(_GRAPH, None)
        if self.heads == "retrain" or theirs != classes:
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith(_HEADS)}
        fitting = {name: one for name, one in weights.items() if name in own and own[name].shape == one.shape}
        wrong = [name for name in weights if name not in fitting]
        lacking = [name for name in own if name not in fitting]
        if self.heads != "keep":
            wrong, lacking = ([name for name in names if name.startswith(_SEEING)] for names in (wrong, lacking))
        if wrong or lacking:
            raise CheckpointError(
                "A run's weights must fit the detector that starts from them",
                found=f"{path}: {listing((wrong or lacking)[:3])} of {len(wrong) + len(lacking)}",
                do="build the same backbone" if self.heads != "keep" else "build the same model, or start.heads=fit",
            )
        model.load_state_dict(fitting, strict=False)
        return f"started from {path} at step {saved.facts.get('step')}; {len(own) - len(fitting)} tensors begin anew"

    def _read(self, path: Path) -> Checkpoint:
        saved = load_checkpoint(path)
        if self.step is not None and saved.facts.get("step") != self.step:
            kept = [path.with_name(name) for name in (LAST, BEST)] if path.name in (LAST, BEST) else [path]
            steps = {one.name: _step(one) for one in kept if one.is_file()}
            raise CheckpointError(
                "start.step must be the step of a checkpoint that is kept",
                found=f"start.step={self.step}; {path.parent} keeps "
                + listing(f"{name} of step {step}" for name, step in steps.items()),
                do=f"start.step={next(iter(steps.values()))}, or null",
            )
        return saved


def _step(path: Path) -> int | None:
    """Return the step at which a checkpoint was written."""
    step: int | None = load_checkpoint(path).facts.get("step")
    return step
