"""A notebook's trials as recipes, and its questions as studies, at three scales."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ablata.notebooks.notebook import Notebook, Question, Trial

if TYPE_CHECKING:
    from ablata.recipes.index import Recipe
    from ablata.studies.study import Study

Scale = Literal["smoke", "small", "full"]
"""smoke: a few steps on synthetic images; small: the data at hand, every length shortened; full: as recorded."""


def recipe_of(
    notebook: Notebook, question: Question, trial: Trial, scale: Scale = "full", sets: Sequence[str] = ()
) -> Recipe:
    """Return the recipe that repeats a trial; `sets` are overrides on top of it.

    Raises:
        SettingsError: a setting does not fit; at `smoke`, the task has no generated images.
    """
    from ablata.base.overrides import override
    from ablata.recipes.index import load_recipe

    name = question.recipe or notebook.recipe
    recipe = override(load_recipe(name, notebook.overrides(question.base)), notebook.overrides(trial.settings))
    if scale == "small":
        if notebook.small.data is not None:
            recipe = recipe.on_other_data(notebook.small.data, notebook.small.crops)
        for text in (notebook.small.overrides, question.small, trial.small):
            recipe = override(recipe, notebook.overrides(text))
        return override(recipe.shortened(notebook.small.factor), list(sets))
    recipe = override(recipe, list(sets))
    return recipe.synthetic() if scale == "smoke" else recipe


def study_name(notebook: Notebook, question: Question, scale: Scale, sets: Sequence[str] = ()) -> str:
    """Return the name that a question has in the ledger at a scale, another one where more is set."""
    changed = f".{hashlib.sha256(' '.join(sets).encode()).hexdigest()[:8]}" if sets else ""
    return f"{notebook.name}.{question.name}" + ("" if scale == "small" else f".{scale}") + changed


def study_of(notebook: Notebook, question: Question, scale: Scale, sets: Sequence[str] = ()) -> Study:
    """Return a question as a study, its control and arms as its author grouped them.

    Trials that come to the same recipe at the scale are one arm, under the first one's name; one that comes to the
    control's is left out.

    Raises:
        SettingsError: a setting does not fit, or nothing is left to compare.
    """
    from ablata.studies.study import Study

    recipes = {trial.name: recipe_of(notebook, question, trial, scale, sets) for trial in question.every}
    control = recipes.pop(question.control.name)
    arms: dict[str, Recipe] = {}
    for name, recipe in recipes.items():
        if recipe not in (control, *arms.values()):
            arms[name] = recipe
    return Study(
        name=study_name(notebook, question, scale, sets),
        question=question.title,
        control=control,
        arms=arms,
        margin=question.margin or notebook.small.margin,
        metric=question.metric,
        seeds=notebook.small.seeds,
        commands=(
            " ".join(
                (
                    f"ablata replicate run {notebook.name} --study {question.name} --scale {scale}",
                    *(f"--set {one}" for one in sets),
                )
            ),
        ),
    )
