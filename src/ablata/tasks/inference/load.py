"""Building a trained network from a checkpoint or from what an export wrote."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ablata.base.errors import CheckpointError
from ablata.base.user_code import CodeFolder
from ablata.engine.checkpoints import BEST, LAST, load_checkpoint, refuse_other_run
from ablata.engine.predictor import Predictor
from ablata.records.run_folder.code import check_trust
from ablata.tasks.any import recipe_class
from ablata.tasks.distillation.checkpoints import teacher_weights

FindCode = Callable[[Mapping[str, Any]], CodeFolder | None]
"""Given a recipe's expanded settings, returns the copies of the users' files that they refer to."""


def from_checkpoint(
    source: Path, which: str = "last", find_code: FindCode | None = None, runs: Collection[str] = ()
) -> Predictor:
    """Build the network of a checkpoint: averaged weights where the run averages, a student without its teacher.

    Args:
        source: the folder of a run, or a checkpoint.
        which: `last` or `best`.
        find_code: returns the copies of the users' files that the checkpoint's settings refer to, or refuses them;
            None: a checkpoint that refers to such files is refused.
        runs: ids of the runs that may have written it; empty: whoever.

    Raises:
        CheckpointError: the file is missing, damaged, or another run's.
        RecordError: it needs the user's own code, and that may not be run.
        SettingsError: the run's task offers no predictions.
    """
    path = source / (BEST if which == "best" else LAST) if source.is_dir() else source
    saved = load_checkpoint(path)
    if runs:
        refuse_other_run(saved.facts, runs, path)
    kept: dict[str, Any] = {key: saved.facts[key] for key in ("recipe", "seed", "step", "scores") if key in saved.facts}
    if find_code is None:
        check_trust(f"the checkpoint {path}", kept["recipe"], None, trust=False)
    code = find_code(kept["recipe"]) if find_code is not None else None
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
        raise CheckpointError(
            "Weights must fit the network",
            found=f"{source}: {error}",
            do="take settings and weights from the same run or export",
        ) from None
    return predictor(network.eval(), settings, contract, facts, source, code=code)
