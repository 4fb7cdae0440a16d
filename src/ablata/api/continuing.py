"""Continuing a run that has ended: a new run, with other settings perhaps, that begins with its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ablata.api.opening import open_ledger
from ablata.api.progress import TrainingProgress
from ablata.api.runs import RunResult
from ablata.api.training import train
from ablata.base.errors import SettingsError
from ablata.base.overrides import Overrides, override_texts
from ablata.engine.recipe import Recipe
from ablata.records.home import lab_home
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.studies.identity import COMMAND_CODE, restore_run
from ablata.trainers.function import FUNCTION_CODE


def continue_run(
    run: str,
    *,
    overrides: Overrides = (),
    seed: int | None = None,
    checkpoint: Literal["last", "best"] = "last",
    progress: bool | TrainingProgress | None = None,
    check: bool = True,
    trust_code: bool = False,
    ledger: Ledger | None = None,
) -> RunResult:
    """Train a new run of a run's recipe that begins with its weights, and return it.

    Steps, learning rate and EMA begin anew; the old run stays as it is, and cannot be removed while the new one is
    there.

        more = ablata.continue_run("k3mx7q2pfa", overrides={"train.epochs": 24, "optim.lr": 0.01})

    Args:
        run: id of a run that has ended, or a beginning of it.
        overrides: settings to change, as for `train`.
        seed: of the new run; None: that of the old one.
        checkpoint: which of its checkpoints to begin with.
        progress, check, trust_code, ledger: as for `train`.

    Raises:
        UserError: there is no such run, it has not ended, or is none of a recipe; or its weights do not fit; raised
            before the first step.
        DivergedError, StoppedError: as for `train`.
    """
    with open_ledger(ledger) as opened:
        row = opened.runs.get(run)
        shown = progress if isinstance(progress, TrainingProgress) else None
        recipe = _recipe(opened, row, trust_code, shown.say if shown is not None else lambda line: None)
        # The folder, where the lab at hand is not the one that the id would be looked for in.
        folder = opened.files.bring(row, weights=True)
        place = row.id if opened.home == lab_home() else str(folder)
        start = {"start.run": place, "start.checkpoint": checkpoint}
        return train(
            recipe, seed=row.seed if seed is None else seed,
            overrides=[*override_texts(start), *override_texts(overrides)],
            progress=progress, check=check, trust_code=trust_code, ledger=opened,
        )  # fmt: skip


def _recipe(ledger: Ledger, row: RunRow, trust: bool, say: Callable[[str], None]) -> Recipe:
    """Return a run's recipe, without what had to be trained before it.

    Raises:
        SettingsError: the run has not ended, or is one of a program or function.
    """
    if ledger.runs.settings(row).get("task") in (COMMAND_CODE, FUNCTION_CODE):
        raise SettingsError(
            "A run that is continued must be one of a recipe", found=f"run {row.id} is of {row.recipe_name}",
            do="let the program itself take a checkpoint as an argument",
        )  # fmt: skip
    if row.state not in ("completed", "diverged"):
        raise SettingsError(
            "A run must have ended before a new one begins with its weights",
            found=f"run {row.id} is {row.shown_state}",
            do=f"ablata train --resume {row.id}" if row.state != "running" else "wait for it",
        )
    recipe = restore_run(ledger, row, trust=trust, say=say)
    parent = ledger.files.bring(ledger.runs.get(row.parent), weights=True) if row.parent else None
    return recipe.continued(parent)
