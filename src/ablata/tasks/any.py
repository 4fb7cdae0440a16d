"""The built-in tasks, by which recipes are rebuilt from their settings. A new task is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ablata.base.errors import SettingsError, listing
from ablata.engine.recipe import Recipe
from ablata.tasks.classification.task import Classify
from ablata.tasks.detection.task import Detect
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment

RECIPES: tuple[type[Recipe], ...] = (Classify, Reidentify, Segment, Detect)


def recipe_class(tree: Mapping[str, Any], source: str) -> type[Recipe]:
    """Return the class of a recipe's expanded settings.

    Args:
        tree: the settings.
        source: where they come from, for messages.

    Raises:
        SettingsError: there is no such task.
    """
    kinds = {str(kind.model_fields["task"].default): kind for kind in RECIPES}
    task = str(tree.get("task"))
    if task not in kinds:
        raise SettingsError(f"task must be one of {listing(kinds)}", found=f"{task} in {source}")
    return kinds[task]
