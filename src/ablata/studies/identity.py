"""What makes a run itself: recipe, code, data, seed and the machine it runs on."""

from __future__ import annotations

from pathlib import Path

from ablata.base.settings import expand, settings_hash
from ablata.engine.recipe import Recipe
from ablata.records.fingerprint import code_fingerprint, environment, environment_class
from ablata.records.ledger import Ledger
from ablata.records.rows import NewRun


def cache_folder(ledger: Ledger) -> Path:
    """Return the folder for prepared data: unpacked archives, decoded images."""
    return ledger.home / "cache"


def record_environment(ledger: Ledger, processes: int = 1) -> str:
    """Describe this machine in the ledger and return its environment class.

    Args:
        ledger: where it is recorded.
        processes: how many processes train one run together; their sums round differently.
    """
    description = environment() | {"processes": processes}
    name = environment_class(description)
    ledger.environments.record(name, description)
    return name


def new_run(ledger: Ledger, recipe: Recipe, seed: int, environment: str) -> NewRun:
    """Return the identity of a run of this code on this data.

    Raises:
        UserError: the data is missing or damaged.
    """
    return NewRun(
        recipe_name=recipe.name,
        recipe=expand(recipe),
        recipe_hash=settings_hash(recipe),
        code=code_fingerprint(),
        data=recipe.data_fingerprint(cache_folder(ledger)),
        seed=seed,
        environment=environment,
    )
