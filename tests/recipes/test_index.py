"""Recipes by name, from a user's file, and rebuilt from what was recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import SettingsError
from ablata.base.settings import expand, settings_hash
from ablata.recipes.index import check_reference, load_recipe, recipe_entries, recipe_text, restore_recipe
from ablata.tasks.classification.task import Classify

OWN = """
from typing import Literal

from ablata.engine.recipe import Train
from ablata.tasks.classification.task import Classify


class Mine(Classify):
    task: Literal["mine"] = "mine"
    extra: int = 1


def small() -> Mine:
    "Three epochs."
    return Mine(train=Train(epochs=3))


def number() -> int:
    return 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_a_name_takes_overrides() -> None:
    recipe = load_recipe("digits", ["optim.lr=0.05", "model.width=4"])
    assert isinstance(recipe, Classify)
    assert (recipe.optim.lr, recipe.model.width) == (0.05, 4)
    assert settings_hash(recipe) != settings_hash(load_recipe("digits"))


def test_the_name_is_no_part_of_what_is_asked_for(own: Path) -> None:
    recipe = load_recipe("digits")
    assert settings_hash(recipe.model_copy(update={"name": "other"})) == settings_hash(recipe)


def test_a_recipe_in_a_file_is_found_and_rebuilt_through_its_file(own: Path) -> None:
    reference = f"{own}:small"
    recipe = load_recipe(reference, ["extra=2"])
    assert (recipe.task, recipe.name, recipe.train.epochs) == (f"{own}:Mine", reference, 3)
    again = restore_recipe(expand(recipe), source="run x")
    assert settings_hash(again) == settings_hash(recipe)
    assert again.extra == 2


def test_a_recipe_tells_its_docstring_whoever_wrote_it(own: Path) -> None:
    assert recipe_text(f"{own}:small") == "Three epochs."
    assert recipe_text(f"{own}:number") == ""
    assert recipe_text("digits") == next(entry.text for entry in recipe_entries() if entry.name == "digits")


def test_a_function_that_returns_no_recipe_is_refused(own: Path) -> None:
    with pytest.raises(SettingsError, match=r"must return a Recipe\n  found: .*own\.py:number returned int"):
        load_recipe(f"{own}:number")


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(
        SettingsError, match=r"digits, .*\n.*did you mean resnet20_cifar10\?|resnet20_cifar10"
    ) as caught:
        check_reference("resnet20-cifar10")
    assert "did you mean resnet20_cifar10?" in str(caught.value)


def test_a_recorded_recipe_that_no_longer_fits_is_refused_with_its_source() -> None:
    tree = expand(load_recipe("digits"))
    tree["train"]["impatience"] = 3
    with pytest.raises(SettingsError, match=r"train\.impatience(.|\n)*in run x"):
        restore_recipe(tree, source="run x")
