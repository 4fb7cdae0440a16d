"""The built-in tasks, by which recipes are rebuilt from their settings. A new task is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import isclass
from typing import Any

from ablata.base.errors import SettingsError, listing
from ablata.base.user_code import CodeFolder, absolute, parse_reference, resolve
from ablata.engine.recipe import Recipe
from ablata.tasks.classification.task import Classify
from ablata.tasks.detection.task import Detect
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment

RECIPES: tuple[type[Recipe], ...] = (Classify, Reidentify, Segment, Detect)


def recipe_class(tree: Mapping[str, Any], source: str, code: CodeFolder | None = None) -> type[Recipe]:
    """Return the class of a recipe's expanded settings: a built-in task's, or that of a user's file.

    Args:
        tree: the settings; `task` says which.
        source: where they come from, for messages.
        code: copies of the users' files that they refer to, for those that moved or changed; None: there are none.

    Raises:
        SettingsError: there is no such task, or a user's file is gone.
    """
    built_in = {str(kind.model_fields["task"].default): kind for kind in RECIPES}
    task = str(tree.get("task"))
    if task in built_in:
        return built_in[task]
    if parse_reference(task) is None:
        raise SettingsError(
            f"task must be one of {listing(built_in)}, or path/to/file.py:Class", found=f"{task} in {source}"
        )
    kind = resolve(absolute(task, code), "task")
    if not (isclass(kind) and issubclass(kind, Recipe)):
        raise SettingsError("A task must be a class derived from Recipe", found=f"{task} in {source}")
    return kind
