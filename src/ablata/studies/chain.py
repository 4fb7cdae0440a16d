"""Chains of runs: one that starts from another, as a student does from its teacher, waits until that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from ablata.base.errors import DivergedError, RecordError
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe


@overload
def lineage(recipe: Recipe) -> list[Recipe]: ...
@overload
def lineage(recipe: Outside) -> list[Outside]: ...
def lineage(recipe: Recipe | Outside) -> Sequence[Recipe | Outside]:
    """Return a recipe and all that it starts from, the first one first; they share its name."""
    if isinstance(recipe, Outside):
        return [recipe]
    chain = [recipe]
    while (older := chain[0].parent()) is not None:
        chain.insert(0, older.model_copy(update={"name": recipe.name}))
    return chain


def ancestry(ledger: Ledger, run: RunRow) -> list[RunRow]:
    """Return a run and all that it started from, the first one first; runs that are no longer known are left out."""
    chain = [run]
    while chain[0].parent is not None:
        try:
            chain.insert(0, ledger.runs.get(chain[0].parent))
        except RecordError:
            break
    return chain


def parent_folder(ledger: Ledger, recipe: Recipe, run: RunRow) -> Path | None:
    """Return the folder of the run that `run` starts from, or is a fork of; None for a run that starts from nothing.

    Raises:
        DivergedError: the parent diverged, so this run has nothing to start from.
        RecordError: the parent is missing or has not completed.
    """
    if recipe.parent() is None and run.parent is None:
        return None
    parent = ledger.runs.get(run.parent) if run.parent else None
    if parent is not None and parent.state == "diverged":
        raise DivergedError("A run can start from a run that trained", found=f"its parent, run {parent.id}, diverged")
    if parent is None or parent.state != "completed":
        raise RecordError(
            "A run's parent must have completed",
            found=f"run {run.id} has parent {run.parent or 'none'}{f', {parent.shown_state}' if parent else ''}",
            do="train the whole chain: ablata train RECIPE",
        )
    return ledger.files.bring(parent, weights=True)
