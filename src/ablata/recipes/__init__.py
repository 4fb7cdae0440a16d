"""Recipes: functions that return one complete, frozen Recipe; one module a model family."""

from typing import TYPE_CHECKING

from ablata.base.lazy import lazy_names

if TYPE_CHECKING:
    from ablata.recipes.index import check_reference as check_reference
    from ablata.recipes.index import load_recipe as load_recipe
    from ablata.recipes.index import recipe_entries as recipe_entries
    from ablata.recipes.index import restore_recipe as restore_recipe

_PLACES = {
    "check_reference": "ablata.recipes.index",
    "load_recipe": "ablata.recipes.index",
    "recipe_entries": "ablata.recipes.index",
    "restore_recipe": "ablata.recipes.index",
}

__all__ = [
    "check_reference",
    "load_recipe",
    "recipe_entries",
    "restore_recipe",
]

__getattr__, __dir__ = lazy_names(__name__, _PLACES)
