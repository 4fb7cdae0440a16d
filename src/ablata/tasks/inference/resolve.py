"""Finding a trained network by what a user calls it: a run, an exported folder, or an export's name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablata.base.errors import CheckpointError, RecordError, SettingsError
from ablata.engine.predictor import Predictor
from ablata.records.ledger import Ledger
from ablata.tasks.inference.hub import is_exported, load_exported
from ablata.tasks.inference.load import from_checkpoint

_EXPORTS = "exports"


def find_model(ledger: Ledger, reference: str, which: str = "last") -> Predictor:
    """Return the network that a reference names.

    Args:
        ledger: holds the runs; its home folder holds exports under `exports/`.
        reference: the path of an exported folder, the name of one under the home, or a run's id or a beginning of it.
        which: of a run, the `last` or the `best` checkpoint.

    Raises:
        UserError: nothing has that name, or what has it is damaged, or of a task without predictions.
    """
    if which not in ("last", "best"):
        raise SettingsError("--checkpoint must be last or best", found=which)
    named = export_place(ledger, reference) if Path(reference).name == reference else None
    for folder in (Path(reference).expanduser(), *([named] if named else [])):
        if is_exported(folder):
            return load_exported(folder)
        if folder.exists():
            raise CheckpointError(
                "A folder to predict with must be one that was exported",
                found=f"{folder} has no recipe.json with model.safetensors",
                do="write one: ablata export RUN --format hub",
            )
    try:
        run = ledger.runs.get(reference)
    except RecordError as error:
        raise RecordError(
            error.must, found=error.found, do=f"{error.do or ''} or give an exported folder".strip()
        ) from None
    model = from_checkpoint(ledger.runs.folder(run), which)
    facts = {**model.facts, "run": run.id, "checkpoint": which, "environment": run.environment, "code": run.code}
    recipe = {**facts.get("recipe", {}), "name": run.recipe_name}
    return replace(model, facts={**facts, "recipe": recipe}, source=f"run {run.id}, {which} checkpoint")


def export_place(ledger: Ledger, name: str) -> Path:
    """Return where an export of that name lies, or would lie."""
    return ledger.home / _EXPORTS / name


def export_name(model: Predictor) -> str:
    """Return the name of a model's export: its recipe and its run."""
    recipe = Path(str(model.facts["recipe"].get("name", "model"))).name.replace(":", "-")
    return f"{recipe}-{model.facts['run']}"
