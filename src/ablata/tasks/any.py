"""The built-in tasks, by which recipes are rebuilt from their settings. A new task is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import isclass
from typing import Any

from ablata.base.errors import SettingsError, listing, suggestion
from ablata.base.user_code import CodeFolder, absolute, parse_reference, resolve
from ablata.engine.recipe import Recipe

_TASKS = {
    "classify": "ablata.tasks.classification.task:Classify",
    "reidentify": "ablata.tasks.reid.task:Reidentify",
    "segment": "ablata.tasks.segmentation.task:Segment",
    "detect": "ablata.tasks.detection.task:Detect",
}
"""Where the recipe of each `task` is; imported when it is needed, since those of other tasks take seconds."""


def recipe_classes() -> tuple[type[Recipe], ...]:
    """Return the recipe classes of all built-in tasks."""
    return tuple(_built_in(task) for task in _TASKS)


def _built_in(task: str) -> type[Recipe]:
    module, _, name = _TASKS[task].partition(":")
    kind: type[Recipe] = getattr(import_module(module), name)
    return kind


def recipe_class(tree: Mapping[str, Any], source: str, code: CodeFolder | None = None) -> type[Recipe]:
    """Return the class of a recipe's expanded settings: a built-in task's, or that of a user's file.

    Args:
        tree: the settings; `task` says which.
        source: where they come from, for messages.
        code: copies of the users' files that they refer to, for those that moved or changed; None: there are none.

    Raises:
        SettingsError: there is no such task, or a user's file is gone.
    """
    task = str(tree.get("task"))
    if task in _TASKS:
        return _built_in(task)
    if parse_reference(task) is None:
        raise SettingsError(
            f"task must be one of {listing(_TASKS)}, or path/to/file.py:Class",
            found=f"{task} in {source}",
            do=suggestion(task, _TASKS),
        )
    kind = resolve(absolute(task, code), "task")
    if not (isclass(kind) and issubclass(kind, Recipe)):
        raise SettingsError(
            "A task must be a class derived from Recipe",
            found=f"{task} in {source}",
            do="derive it from ablata.tasks.simple.SimpleRecipe",
        )
    return kind
