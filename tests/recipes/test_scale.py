"""Recipes at another scale."""

from __future__ import annotations

import pytest

from ablata.recipes.index import load_recipe
from ablata.recipes.scale import on_generated_data, shortened

PAIRS = [
    ("train.epochs", "train.epochs=200"),
    ("train.steps", "train.steps=1000 train.epochs=null"),
    ("schedule.warmup.length", "schedule.warmup=warmup schedule.warmup.length=10"),
    ("schedule.first", "schedule=sgdr schedule.first=50"),
    ("schedule.every", "schedule=exponential schedule.every=2.4"),
    ("refine.stop_epochs", "refine=refinement refine.stop_epochs=60"),
]


def value(recipe: object, path: str) -> float:
    for name in path.split("."):
        recipe = getattr(recipe, name)
    assert isinstance(recipe, int | float)
    return recipe


@pytest.mark.parametrize(("path", "changes"), PAIRS, ids=[path for path, _ in PAIRS])
def test_every_length_is_shortened_alike(path: str, changes: str) -> None:
    recipe = load_recipe("resnet20_cifar10", changes.split())
    assert value(shortened(recipe, 0.02), path) == pytest.approx(0.02 * value(recipe, path))


def test_shares_of_a_training_stay_and_so_does_all_else() -> None:
    recipe = load_recipe("refinery_cifar10", ["refine.epochs=[50,100]"])
    short = shortened(recipe, 0.1)
    assert short.schedule == recipe.schedule
    assert short.refine.epochs == (5.0, 10.0)  # type: ignore[attr-defined]
    assert shortened(short, 10.0) == recipe


def test_generated_data_keeps_all_but_the_pictures_and_the_length() -> None:
    recipe = load_recipe("resnet20_cifar10", ["data.augment.mix=mixup", "refine=refinement", "refine.rounds=5"])
    made = on_generated_data(recipe)
    assert (made.train.steps, made.data.kind, made.refine.rounds) == (2, "scenes", 2)  # type: ignore[attr-defined]
    assert (made.model, made.loss, made.optim) == (recipe.model, recipe.loss, recipe.optim)  # type: ignore[attr-defined]
    assert made.data.augment == recipe.data.augment  # type: ignore[attr-defined]
