"""Recipes at another scale."""

from __future__ import annotations

import pytest

from ablata.base.overrides import override
from ablata.data.segmentation.camvid import CamVid
from ablata.data.transforms.segmentation import Crop
from ablata.recipes.generated import on_generated_data
from ablata.recipes.index import load_recipe
from ablata.recipes.scale import on_other_images, shortened
from ablata.tasks.segmentation.task import Segment

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


def test_generated_data_keeps_all_but_the_images_and_the_length() -> None:
    recipe = load_recipe("resnet20_cifar10", ["data.augment.mix=mixup", "refine=refinement", "refine.rounds=5"])
    made = on_generated_data(recipe)
    assert (made.train.steps, made.data.kind, made.refine.rounds) == (2, "scenes", 2)  # type: ignore[attr-defined]
    assert (made.model, made.loss, made.optim) == (recipe.model, recipe.loss, recipe.optim)  # type: ignore[attr-defined]
    assert made.data.augment == recipe.data.augment  # type: ignore[attr-defined]


def test_a_segmentation_keeps_network_and_loss_and_sees_small_streets() -> None:
    recipe = load_recipe("bisenet_cityscapes", ["data.augment.crop.height=768", "data.augment.crop.width=1536"])
    made = on_generated_data(recipe)
    assert isinstance(recipe, Segment)
    assert isinstance(made, Segment)
    assert (made.data.kind, made.protocols) == ("scene_masks", ("ss",))
    assert made.data.augment.crop == Crop(height=64, width=128)
    assert made.data.augment.model_copy(update={"crop": None}) == recipe.data.augment.model_copy(update={"crop": None})
    assert (made.model, made.loss, made.optim) == (recipe.model, recipe.loss, recipe.optim)


def test_weights_of_certain_classes_are_made_anew_for_other_classes() -> None:
    recipe = load_recipe("contrast_hrnet48_cityscapes")
    made = on_generated_data(recipe)
    assert isinstance(recipe, Segment)
    assert isinstance(made, Segment)
    assert len(recipe.loss.dense.weights) == 19  # type: ignore[union-attr, arg-type]
    assert made.loss == override(recipe, ["loss.dense.weights=median"]).loss


def test_the_length_of_a_segmentation_is_shortened_with_its_warmup() -> None:
    short = shortened(load_recipe("bisenet_cityscapes"), 0.005)
    assert (short.train.steps, value(short, "schedule.warmup.length")) == (400, 5)


def test_other_images_are_augmented_as_before_in_smaller_crops_and_windows() -> None:
    recipe = load_recipe("bisenet_cityscapes", ["data.void=class", 'protocols=["mscf+sliding_window.size=960","ss"]'])
    made = on_other_images(recipe, "camvid", 0.25)
    assert isinstance(recipe, Segment)
    assert isinstance(made, Segment)
    assert (made.data.kind, made.data.void) == ("camvid", "class")  # type: ignore[union-attr]
    assert made.data.mean == CamVid().mean
    assert made.data.augment == recipe.data.augment.model_copy(update={"crop": Crop(height=240, width=240)})
    assert made.sliding_window == recipe.sliding_window.model_copy(update={"size": 256})
    assert made.protocols == ("mscf+sliding_window.size=240", "ss")
    assert made.model_copy(update={"data": recipe.data, "sliding_window": recipe.sliding_window, "protocols": ()}) == (
        recipe.model_copy(update={"protocols": ()})
    )


def test_only_a_segmentation_changes_its_images() -> None:
    with pytest.raises(TypeError, match="found Classify"):
        on_other_images(load_recipe("resnet20_cifar10"), "camvid", 0.25)
