"""Finding a trained network by what a user calls it: a run, an exported folder, or an export's name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ablata.base.errors import CheckpointError, RecordError, SettingsError
from ablata.base.user_code import CodeFolder, portable, references
from ablata.engine.predictor import Predictor
from ablata.records.ledger import Ledger
from ablata.records.run_folder.code import check_trust, ids_of, run_code
from ablata.tasks.inference.hub import RECIPE, is_exported, load_exported
from ablata.tasks.inference.load import from_checkpoint

_EXPORTS = "exports"


def find_model(
    ledger: Ledger,
    reference: str,
    which: str = "last",
    *,
    trust: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Predictor:
    """Return the network that a reference names.

    Args:
        ledger: holds the runs; its home folder holds exports under `exports/`.
        reference: the path of an exported folder, the name of one under the home, or a run's id or a beginning of it.
        which: of a run, the `last` or the `best` checkpoint.
        trust: whether code that came with an imported run, or with a folder exported elsewhere, may be run.
        say: called with a line about the user's code that is run.

    Raises:
        UserError: nothing has that name, or what has it is damaged, or of a task without predictions.
    """
    if which not in ("last", "best"):
        raise SettingsError("--checkpoint must be last or best", found=which, do="--checkpoint best, or leave it out")
    named = export_place(ledger, reference) if Path(reference).name == reference else None
    for folder in (Path(reference).expanduser(), *([named] if named else [])):
        if is_exported(folder):
            return load_exported(folder, partial(_check_export, ledger, folder, trust, say))
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
    folder = ledger.files.bring(run, weights=True)
    model = from_checkpoint(
        folder, which, lambda tree: run_code(ledger, run, tree, trust=trust, say=say), ids_of(folder)
    )
    if model.code is not None and (line := model.code.notice()):
        say(line)
    facts = {**model.facts, "run": run.id, "checkpoint": which, "environment": run.environment, "code": run.code}
    facts["data"] = run.data
    recipe = {**facts.get("recipe", {}), "name": run.recipe_name}
    return replace(model, facts={**facts, "recipe": recipe}, source=f"run {run.id}, {which} checkpoint")


def _check_export(
    ledger: Ledger,
    folder: Path,
    trust: bool,
    say: Callable[[str], None],
    tree: Mapping[str, Any],
    code: CodeFolder | None,
) -> None:
    """Refuse the code of an exported folder, unless it is trusted or a run that was trained here has the same.

    Raises:
        RecordError: it came from elsewhere.
    """
    if not (code is not None and _is_ours(ledger, folder, tree, code)):
        check_trust(f"the exported folder {folder}", tree, code, trust=trust, say=say)


def _is_ours(ledger: Ledger, folder: Path, tree: Mapping[str, Any], code: CodeFolder) -> bool:
    try:
        run = ledger.runs.get(str(json.loads((folder / RECIPE).read_text(encoding="utf-8")).get("run")))
        kept = run_code(ledger, run, tree, trust=False)
        recipe = ledger.runs.settings(run)
    except (RecordError, OSError, ValueError):
        return False
    named, ours = ({portable(reference) for reference in references(settings)} for settings in (tree, recipe))
    return kept is not None and named <= ours and _contents(code) == _contents(kept)


def _contents(code: CodeFolder) -> dict[Path, bytes]:
    return {copy.relative_to(code.folder.resolve()): copy.read_bytes() for copy in code.copies.values()}


def export_place(ledger: Ledger, name: str) -> Path:
    """Return where an export of that name lies, or would lie."""
    return ledger.home / _EXPORTS / name


def export_name(model: Predictor) -> str:
    """Return the name of a model's export: its recipe and its run."""
    recipe = Path(str(model.facts["recipe"].get("name", "model"))).name.replace(":", "-")
    return f"{recipe}-{model.facts['run']}"
