"""Initialising a detector with the weights of an earlier training, its heads kept or initialised anew.

The earlier training is a run at hand, or one that is described here: it is trained first, and shared by all recipes
that describe the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import Settings
from ablata.engine.start import Start, load_earlier, other_classes, saved_classes

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


class StartFrom(Start):
    """An earlier training's weights; give `run` or `earlier`."""

    earlier: tuple[Earlier, ...] = ()
    """Trainings that come before this one, the first one first; they are trained where they have not been."""
    heads: Heads = "keep"
    """keep: all weights, and the model and its classes must be the same; fit: what both models have, the rest begins
    anew, as do the layers that score classes where those differ; retrain: those layers begin anew in any case."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.run is not None, bool(self.earlier), self.first is not None].count(True) != 1:
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

    def load_into(self, model: nn.Module, classes: Sequence[str], parent: Path | None = None) -> str:
        """Give a detector the earlier training's weights, as `heads` says; see `Start.load_into`.

        Raises:
            CheckpointError: classes or shapes differ.
        """
        path = self.find(parent)
        saved = load_earlier(path)
        theirs = saved_classes(saved)
        if self.heads == "keep" and theirs != tuple(classes):
            raise other_classes(path, theirs, classes, "start.heads=retrain")
        own, weights = model.state_dict(), saved.weights()
        for tensors in (own, weights):
            tensors.pop(_GRAPH, None)
        if self.heads == "retrain" or theirs != tuple(classes):
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
