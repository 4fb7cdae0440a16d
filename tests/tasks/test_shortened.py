"""Recipes with every length multiplied."""

from __future__ import annotations

import pytest

from ablata.recipes.index import load_recipe

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
    assert value(recipe.shortened(0.02), path) == pytest.approx(0.02 * value(recipe, path))


def test_shares_of_a_training_stay_and_so_does_all_else() -> None:
    recipe = load_recipe("refinery_cifar10", ["refine.epochs=[50,100]"])
    short = recipe.shortened(0.1)
    assert short.schedule == recipe.schedule
    assert short.refine.epochs == (5.0, 10.0)  # type: ignore[attr-defined]
    assert short.shortened(10.0) == recipe


def test_the_length_of_a_segmentation_is_shortened_with_its_warmup() -> None:
    short = load_recipe("bisenet_cityscapes").shortened(0.005)
    assert (short.train.steps, value(short, "schedule.warmup.length")) == (400, 5)
