"""Find recipes by name or in a user's file, and rebuild them from what a run or a checkpoint recorded."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from ablata.base.catalogue import Entry, entries, find, load
from ablata.base.errors import AblataError, SettingsError
from ablata.base.libraries import vision_libraries
from ablata.base.overrides import Overrides, override
from ablata.base.settings import restore
from ablata.base.user_code import CodeFolder

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe as Recipe

_PACKAGE = "ablata.recipes.catalogue"


def recipe_entries() -> list[Entry]:
    """List all recipes with their docstrings, without importing any of them."""
    return entries(_PACKAGE)


def recipe_text(reference: str) -> str:
    """Return a recipe's docstring, a user's own as well.

    Args:
        reference: a name that `recipe_entries` lists, or `path/to/file.py:function`.

    Raises:
        SettingsError: there is no such name, file or function.
    """
    return inspect.getdoc(load(reference, _PACKAGE, "recipe")) or ""


def check_reference(reference: str) -> None:
    """Refuse a recipe name that does not exist, without importing any recipe.

    Raises:
        SettingsError: names the recipes there are.
    """
    find(reference, _PACKAGE, "recipe")


def load_recipe(reference: str, overrides: Overrides = ()) -> Recipe:
    """Return a recipe with overrides applied.

    Args:
        reference: a name that `recipe_entries` lists, or `path/to/file.py:function`.
        overrides: settings to change: `key=value` texts, or values by dotted key.

    Raises:
        SettingsError: the name, the file or an override is wrong.
    """
    with vision_libraries():
        from ablata.engine.recipe import Recipe

    made = _called(load(reference, _PACKAGE, "recipe"), reference)
    if not isinstance(made, Recipe):
        raise SettingsError(
            "A recipe function must return a Recipe",
            found=f"{reference} returned {type(made).__name__}",
            do="return the recipe that it makes",
        )
    return override(made.model_copy(update={"name": reference}), overrides)


def _called(function: Callable[[], Any], reference: str) -> Any:
    """Call a recipe function; a mistake in a user's own is told in words."""
    try:
        return function()
    except ValidationError as error:
        first = error.errors()[0]
        told, where = first.get("ctx", {}).get("error"), ".".join([error.title, *map(str, first["loc"])])
        if isinstance(told, AblataError):
            raise SettingsError(f"{where}: {told.must}", found=told.found, do=told.do) from None
        raise SettingsError(
            f"The settings of {reference} must be right: {where}: {told or first['msg']}",
            found=repr(first["input"])[:120],
            do="change that value in the recipe function",
        ) from None
    except AblataError:
        raise
    except Exception as error:
        raise SettingsError(
            f"The recipe function {reference} must run",
            found=f"{type(error).__name__}: {error}",
            do="mend the function; --debug shows where it failed",
        ) from error


def restore_recipe(tree: dict[str, Any], source: str, code: CodeFolder | None = None) -> Recipe:
    """Rebuild a recipe from its expanded settings.

    Args:
        tree: the expanded settings.
        source: where the tree comes from, for messages.
        code: copies of the users' files that it refers to, for those that moved or changed; None: there are none.

    Raises:
        SettingsError: the settings do not fit this version, or a user's file is gone.
    """
    with vision_libraries():
        from ablata.tasks.any import recipe_class

    kind = recipe_class(tree, source, code)
    return restore(kind, tree | {"task": kind.model_fields["task"].default}, source=source, code=code)
