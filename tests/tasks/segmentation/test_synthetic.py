"""Segmentation recipes on generated streets, and on another data set."""

from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.data.segmentation.camvid import CamVid
from ablata.data.transforms.segmentation import Crop
from ablata.recipes.index import load_recipe
from ablata.tasks.segmentation.task import Segment


def test_a_segmentation_keeps_network_and_loss_and_sees_small_streets() -> None:
    recipe = load_recipe("bisenet_cityscapes", ["data.augment.crop.height=768", "data.augment.crop.width=1536"])
    assert isinstance(recipe, Segment)
    made = recipe.synthetic()
    assert (made.data.kind, made.protocols) == ("scene_masks", ("ss",))
    assert made.data.augment.crop == Crop(height=64, width=128)
    assert made.data.augment.model_copy(update={"crop": None}) == recipe.data.augment.model_copy(update={"crop": None})
    assert (made.model, made.loss, made.optim) == (recipe.model, recipe.loss, recipe.optim)


def test_weights_of_certain_classes_are_made_anew_for_other_classes() -> None:
    recipe = load_recipe("contrast_hrnet48_cityscapes")
    assert isinstance(recipe, Segment)
    made = recipe.synthetic()
    assert len(recipe.loss.pixel_loss.weights) == 19  # type: ignore[union-attr, arg-type]
    assert made.loss == override(recipe, ["loss.pixel_loss.weights=median"]).loss


def test_other_images_are_augmented_as_before_in_smaller_crops_and_windows() -> None:
    recipe = load_recipe("bisenet_cityscapes", ["data.void=class", 'protocols=["mscf+sliding_window.size=960","ss"]'])
    assert isinstance(recipe, Segment)
    made = recipe.on_other_data("camvid", 0.25)
    assert (made.data.kind, made.data.void) == ("camvid", "class")  # type: ignore[union-attr]
    assert made.data.mean == CamVid().mean
    assert made.data.augment == recipe.data.augment.model_copy(update={"crop": Crop(height=240, width=240)})
    assert made.sliding_window == recipe.sliding_window.model_copy(update={"size": 256})
    assert made.protocols == ("mscf+sliding_window.size=240", "ss")
    assert made.model_copy(update={"data": recipe.data, "sliding_window": recipe.sliding_window, "protocols": ()}) == (
        recipe.model_copy(update={"protocols": ()})
    )


def test_a_task_that_cannot_exchange_its_images_says_so() -> None:
    with pytest.raises(SettingsError, match=r"Exchanging the data set needs .*\n.*recipe of the task classify"):
        load_recipe("resnet20_cifar10").on_other_data("camvid", 0.25)
