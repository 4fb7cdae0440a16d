"""Beginning a detector with the weights of an earlier run, its heads kept or drawn anew."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import Settings
from ablata.engine.checkpoints import BEST, LAST, Checkpoint, load_checkpoint
from ablata.records.home import lab_home

_HEADS = ("stages.heads.", "mask_predictor.")
"""What tells classes apart; the layers before it are kept whenever they fit."""


class StartFrom(Settings):
    """An earlier run's weights."""

    run: Annotated[str, Field(min_length=1)]
    """Its id, as `ablata runs list` has it; or a checkpoint, or the folder of a run."""
    checkpoint: Literal["last", "best"] = "last"
    """Which of its checkpoints."""
    step: Annotated[int, Field(ge=1)] | None = None
    """The step that the checkpoint must be of; null: whichever it is."""
    heads: Literal["keep", "retrain"] = "keep"
    """keep: all weights, and the classes must be the same; retrain: the layers that score classes begin anew."""

    def find(self) -> Path:
        """Return the checkpoint.

        Raises:
            CheckpointError: there is none.
        """
        place = Path(self.run).expanduser()
        if not place.exists():
            place = lab_home() / "runs" / self.run
        path = place / (BEST if self.checkpoint == "best" else LAST) if place.is_dir() else place
        if not path.is_file():
            raise CheckpointError(
                "A detector starts from a run's checkpoint",
                found=f"start.run={self.run}: no file {path}",
                do="give a run of `ablata runs list`, or a checkpoint",
            )
        return path

    def mark(self) -> str:
        """Return what the weights add to the fingerprint of the data."""
        saved, content = self._read(), hashlib.blake2b(digest_size=4)
        for name, tensor in sorted(saved.weights().items()):
            content.update(name.encode() + tensor.contiguous().flatten().view(-1).numpy().tobytes())
        return f"-{content.hexdigest()}"

    def load_into(self, model: nn.Module, classes: tuple[str, ...]) -> str:
        """Give a detector the run's weights.

        Args:
            model: the detector.
            classes: its class names.

        Returns:
            A sentence on what was taken.

        Raises:
            CheckpointError: the checkpoint is of another step or of other classes, or does not fit the model; both
                sides are named.
        """
        path, saved = self.find(), self._read()
        theirs = tuple(saved.facts.get("contract", {}).get("classes", ()))
        if self.heads == "keep" and theirs != classes:
            raise CheckpointError(
                "Heads can be kept for the same classes only",
                found=f"{path}: {len(theirs)} ({listing(theirs[:6])}); data: {len(classes)} ({listing(classes[:6])})",
                do="start.heads=retrain",
            )
        own = model.state_dict()
        weights = saved.weights()
        if self.heads == "retrain":
            weights = {name: tensor for name, tensor in weights.items() if not name.startswith(_HEADS)}
        wrong = [name for name in weights if name not in own or own[name].shape != weights[name].shape]
        lacking = [name for name in own if name not in weights]
        if wrong or (lacking and self.heads == "keep"):
            raise CheckpointError(
                "A run's weights must fit the detector that starts from them",
                found=f"{path}: {listing((wrong or lacking)[:3])} of {len(wrong) + len(lacking)}",
                do="build the same model; start.heads=retrain lets heads and added modules begin anew",
            )
        model.load_state_dict(weights, strict=False)
        return f"started from {path} at step {saved.facts.get('step')}; {len(lacking)} tensors begin anew"

    def _read(self) -> Checkpoint:
        path = self.find()
        saved = load_checkpoint(path)
        step = saved.facts.get("step")
        if self.step is not None and step != self.step:
            raise CheckpointError("start.step must be that of the checkpoint", found=f"{path} is of step {step}",
                                  do=f"start.step={step}, or null")  # fmt: skip
        return saved
