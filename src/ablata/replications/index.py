"""All notebooks, and their trials as recipes and studies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablata.replications.imagenet import NOTEBOOK as IMAGENET
from ablata.replications.label_refinery import NOTEBOOK as LABEL_REFINERY
from ablata.replications.trial import Notebook, Question, Trial

if TYPE_CHECKING:
    from ablata.recipes.scale import Recipe
    from ablata.studies.study import Study

NOTEBOOKS: tuple[Notebook, ...] = (LABEL_REFINERY, IMAGENET)

Scale = Literal["smoke", "small", "full"]
"""smoke: a few steps on generated pictures; small: the data at hand, every length shortened; full: as recorded."""


def recipe_of(notebook: Notebook, question: Question, trial: Trial, scale: Scale = "full") -> Recipe:
    """Return the recipe that repeats a trial.

    Raises:
        SettingsError: a setting does not fit.
        TypeError: at `smoke`, there is no generated data for the task.
    """
    from ablata.recipes.scale import on_generated_data, overridden, shortened

    name = question.recipe or notebook.recipe
    if scale == "small":
        made = overridden(name, question.base.split(), trial.overrides, notebook.small.overrides.split())
        return shortened(made, notebook.small.factor)
    made = overridden(name, question.base.split(), trial.overrides)
    return on_generated_data(made) if scale == "smoke" else made


def study_name(notebook: Notebook, question: Question, scale: Scale) -> str:
    """Return the name that a question has in the ledger at a scale."""
    return f"{notebook.name}.{question.name}" + ("" if scale == "small" else f".{scale}")


def study_of(notebook: Notebook, question: Question, scale: Scale) -> Study:
    """Return a question as a study, its control and arms as its author grouped them.

    Trials that come to the same recipe at the scale are one arm, under the first one's name; one that comes to the
    control's is left out.

    Raises:
        SettingsError: a setting does not fit, or nothing is left to compare.
    """
    from ablata.studies.study import Study

    recipes = {trial.name: recipe_of(notebook, question, trial, scale) for trial in question.every}
    control = recipes.pop(question.control.name)
    arms: dict[str, Recipe] = {}
    for name, recipe in recipes.items():
        if recipe not in (control, *arms.values()):
            arms[name] = recipe
    return Study(
        name=study_name(notebook, question, scale),
        question=question.title,
        control=control,
        arms=arms,
        margin=notebook.small.margin,
        seeds=notebook.small.seeds,
        commands=(f"ablata replicate run {notebook.name} --study {question.name} --scale {scale}",),
    )
