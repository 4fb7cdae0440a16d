"""Find recipes by name or in a user's file, and rebuild them from what a run or a checkpoint recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ablata.base.catalogue import Entry, entries, find, load
from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.base.settings import restore

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe as Recipe

_PACKAGE = "ablata.recipes.catalogue"


def recipe_entries() -> list[Entry]:
    """List all recipes with their docstrings, without importing any of them."""
    return entries(_PACKAGE)


def check_reference(reference: str) -> None:
    """Refuse a recipe name that does not exist, without importing any recipe.

    Raises:
        SettingsError: names the recipes there are.
    """
    find(reference, _PACKAGE, "recipe")


def load_recipe(reference: str, overrides: Sequence[str] = ()) -> Recipe:
    """Return a recipe with overrides applied.

    Args:
        reference: a name that `recipe_entries` lists, or `path/to/file.py:function`.
        overrides: `key=value` texts.

    Raises:
        SettingsError: the name, the file or an override is wrong.
    """
    from ablata.engine.recipe import Recipe

    made = load(reference, _PACKAGE, "recipe")()
    if not isinstance(made, Recipe):
        raise SettingsError(
            "A recipe function must return a Recipe", found=f"{reference} returned {type(made).__name__}"
        )
    return override(made.model_copy(update={"name": reference}), overrides)


def restore_recipe(tree: dict[str, Any], name: str, source: str) -> Recipe:
    """Rebuild a recipe from its expanded settings.

    Args:
        tree: the expanded settings.
        name: the recipe's name; a recipe of a user's own class is found through its file.
        source: where the tree comes from, for messages.

    Raises:
        SettingsError: the settings do not fit this version, or the user's file is gone.
    """
    from ablata.tasks.any import RECIPES

    kinds = {kind.model_fields["task"].default: kind for kind in RECIPES}
    kind = kinds.get(tree.get("task", "")) or type(load_recipe(name))
    return restore(kind, tree, source=source)
