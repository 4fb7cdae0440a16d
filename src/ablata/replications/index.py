"""All notebooks, and their trials as recipes and studies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablata.base.errors import SettingsError, listing
from ablata.replications.imagenet import NOTEBOOK as IMAGENET
from ablata.replications.label_refinery import NOTEBOOK as LABEL_REFINERY
from ablata.replications.trial import Notebook, Question, Trial

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe
    from ablata.studies.study import Study

NOTEBOOKS: tuple[Notebook, ...] = (LABEL_REFINERY, IMAGENET)

Scale = Literal["smoke", "small", "full"]
"""smoke: a few steps on generated pictures; small: the data at hand, every length shortened; full: as recorded."""


def find_notebook(name: str) -> Notebook:
    """Return a notebook by name.

    Raises:
        SettingsError: there is none; names those there are.
    """
    found = {one.name: one for one in NOTEBOOKS}
    if name not in found:
        raise SettingsError(f"A notebook must be one of {listing(found)}", found=name)
    return found[name]


def find_question(notebook: Notebook, name: str) -> Question:
    """Return one of a notebook's questions by name.

    Raises:
        SettingsError: there is none; names those there are.
    """
    try:
        return notebook.question(name)
    except KeyError:
        names = listing([one.name for one in notebook.questions])
        raise SettingsError(f"A study of {notebook.name} must be one of {names}", found=name) from None


def recipe_of(notebook: Notebook, question: Question, trial: Trial, scale: Scale = "full") -> Recipe:
    """Return the recipe that repeats a trial.

    Raises:
        SettingsError: a setting does not fit.
        TypeError: at `smoke`, there is no generated data for the task.
    """
    from ablata.base.overrides import override
    from ablata.recipes.index import load_recipe
    from ablata.recipes.scale import on_generated_data, shortened

    control = load_recipe(question.recipe or notebook.recipe, question.base.split())
    made = override(control, trial.overrides)
    if scale == "smoke":
        return on_generated_data(made)
    if scale == "small":
        return shortened(override(made, notebook.small.overrides.split()), notebook.small.factor)
    return made


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
    from ablata.base.settings import settings_hash
    from ablata.studies.study import Study

    recipes = {trial.name: recipe_of(notebook, question, trial, scale) for trial in question.every}
    control = recipes.pop(question.control.name)
    seen = {settings_hash(control)}
    arms: dict[str, Recipe] = {}
    for name, recipe in recipes.items():
        if settings_hash(recipe) not in seen:
            arms[name] = recipe
            seen.add(settings_hash(recipe))
    return Study(
        name=study_name(notebook, question, scale),
        question=question.title,
        control=control,
        arms=arms,
        margin=notebook.small.margin,
        seeds=notebook.small.seeds,
        commands=(f"ablata replicate run {notebook.name} --study {question.name} --scale {scale}",),
    )
