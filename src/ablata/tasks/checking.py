"""Checking the data that a recipe trains on, whatever it is stored in."""

from __future__ import annotations

from pathlib import Path

from ablata.base.errors import SettingsError
from ablata.data.classification.folder_check import check_files
from ablata.data.classification.image_folder import ImageFolder
from ablata.data.classification.report import Report, check_images
from ablata.data.classification.shards import Shards
from ablata.engine.recipe import Recipe
from ablata.tasks.classification.task import Classify


def check_data(recipe: Recipe, cache: Path) -> Report:
    """Read a recipe's data whole and report what it holds and what is wrong.

    Args:
        recipe: a classification recipe.
        cache: where prepared data is kept.

    Raises:
        SettingsError: the recipe is of another task, or names no folder.
        DataError: the data is missing, or cannot be read at all.
    """
    if not isinstance(recipe, Classify):
        raise SettingsError(
            "A check is for sets of classes", found=f"{recipe.name} is a recipe of the task {recipe.task}"
        )
    data = recipe.data
    if isinstance(data, ImageFolder | Shards):
        return check_files(data.listed(cache), data.size)
    return check_images(data.build(cache))
