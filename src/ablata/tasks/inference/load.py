"""Building a trained network from a checkpoint or from what an export wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ablata.base.errors import CheckpointError
from ablata.base.user_code import CodeFolder
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint
from ablata.engine.predictor import Predictor
from ablata.tasks.any import recipe_class
from ablata.tasks.distillation.checkpoints import teacher_weights


def from_checkpoint(place: Path, which: str = "last", code: CodeFolder | None = None) -> Predictor:
    """Build the network of a checkpoint: averaged weights where the run averages, a student without its teacher.

    Args:
        place: a run's folder, or a checkpoint.
        which: `last` or `best`.
        code: copies of the users' files that the recipe refers to; None: there are none.

    Raises:
        CheckpointError: the file is missing or damaged.
        SettingsError: the run's task offers no predictions.
    """
    path = place / (BEST if which == "best" else LAST) if place.is_dir() else place
    saved = load_checkpoint(path)
    kept: dict[str, Any] = {key: saved.facts[key] for key in ("recipe", "seed", "step", "scores") if key in saved.facts}
    return assemble(kept["recipe"], saved.facts["contract"], teacher_weights(saved), kept, str(path), code)


def assemble(
    recipe: Mapping[str, Any],
    contract: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    source: str,
    code: CodeFolder | None = None,
) -> Predictor:
    """Build a network from a recipe's expanded settings and give it its weights.

    Args:
        recipe: the settings, of which those of the network and the data are used.
        contract: what the checkpoint promises.
        weights: the network's state.
        facts: recipe, run, seed, step, scores; JSON-safe.
        source: where all this comes from, for messages.
        code: copies of the users' files that the settings refer to; None: there are none.

    Raises:
        CheckpointError: the weights do not fit the network.
        SettingsError: the settings are of another version, or the task offers no predictions.
    """
    kind = recipe_class(recipe, source, code)
    predictor = kind.predictor_class()
    settings = kind.predictor_settings(recipe, source, code)
    network = predictor.build_network(settings, contract)
    known, extra = network.state_dict(), predictor.training_only
    needed = {name: value for name, value in weights.items() if name in known or not name.startswith(extra)}
    try:
        network.load_state_dict(needed)
    except RuntimeError as error:
        raise CheckpointError("Weights must fit the network", found=f"{source}: {error}") from None
    return predictor(network.eval(), settings, contract, facts, source)
