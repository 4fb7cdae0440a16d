"""What a training may go on from: a checkpoint of its own, or one of the training whose fork it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import diff, restore, settings_hash
from ablata.engine.forking import acts_from
from ablata.engine.recipe import Recipe


def refuse_other_training(path: Path, facts: dict[str, Any], recipe: Recipe, seed: int, total: int) -> None:
    """Refuse a checkpoint that a training with other settings wrote.

    Args:
        path: the checkpoint's, for the message.
        facts: what it says of itself.
        recipe, seed, total: of the training that is to go on, its length in steps.

    Raises:
        CheckpointError: recipe, seed or length differ.
    """
    if facts["recipe_hash"] != settings_hash(recipe):
        changes = diff(restore(type(recipe), facts["recipe"], source=str(path)), recipe)
        raise CheckpointError(
            "A run must be resumed with its own recipe",
            found=f"from {path} to what is asked for: {listing(str(change) for change in changes)}",
            do="train the changed recipe as a run of its own",
        )
    for key, here in (("seed", seed), ("total", total)):
        if facts[key] != here:
            raise CheckpointError(
                f"A run must be resumed with its own {key}",
                found=f"{path} has {facts[key]}, asked for {here}",
                do="resume it with the settings it has, or train without --resume",
            )


def refuse_other_beginning(path: Path, facts: dict[str, Any], recipe: Recipe, seed: int, steps_per_epoch: int) -> None:
    """Refuse a checkpoint from which a fork would not go on as if it were its own.

    Args:
        path: the checkpoint's, for the message.
        facts: what it says of itself.
        recipe, seed, steps_per_epoch: of the fork.

    Raises:
        CheckpointError: the seed differs, or the settings act before the checkpoint's step.
    """
    older = restore(type(recipe), facts["recipe"], source=str(path))
    full = older.train.model_copy(update={"stop_epochs": recipe.train.stop_epochs})
    shared = acts_from(older.model_copy(update={"train": full}), recipe, steps_per_epoch)
    if facts["seed"] != seed or shared < facts["step"]:
        raise CheckpointError(
            "A fork must have been the same training until where it begins",
            found=f"{path}: seed {facts['seed']}, step {facts['step']}; asked for seed {seed}, and the "
            f"settings act from step {shared}",
            do="run the study with --fork never",
        )
