"""Classification recipes on generated streets."""

from __future__ import annotations

from ablata.recipes.index import load_recipe


def test_generated_data_keeps_all_but_the_images_and_the_length() -> None:
    recipe = load_recipe("resnet20_cifar10", ["data.augment.mix=mixup", "refine=refinement", "refine.rounds=5"])
    made = recipe.synthetic()
    assert (made.train.steps, made.data.kind, made.refine.rounds) == (2, "scenes", 2)  # type: ignore[attr-defined]
    assert (made.model, made.loss, made.optim) == (recipe.model, recipe.loss, recipe.optim)  # type: ignore[attr-defined]
    assert made.data.augment == recipe.data.augment  # type: ignore[attr-defined]
