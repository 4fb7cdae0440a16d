"""The study of the contrast: its arms differ from the control by their loss alone, in the way their names say."""

from __future__ import annotations

from ablata.base.settings import diff
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.studies.catalogue.pixel_contrast import contrast_ablation
from ablata.tasks.segmentation.task import Segment


def test_arms_differ_by_their_loss_alone() -> None:
    recipes = contrast_ablation().recipes
    assert list(recipes) == ["control", "weighted", "lovasz", "views16", "views32", "views100", "memory"]
    for name, recipe in recipes.items():
        changed = [change.key for change in diff(recipes["control"], recipe)]
        assert all(key.startswith("loss.") for key in changed)
        assert bool(changed) == (name != "control")


def test_arms_of_the_contrast_have_the_views_and_memory_of_their_names() -> None:
    losses = {name: recipe.loss for name, recipe in contrast_ablation().recipes.items() if isinstance(recipe, Segment)}
    contrasts = {name: loss for name, loss in losses.items() if isinstance(loss, PixelContrast)}
    assert {name: loss.max_views for name, loss in contrasts.items()} == {
        "views16": 16, "views32": 32, "views100": 100, "memory": 16
    }  # fmt: skip
    assert [name for name, loss in contrasts.items() if loss.memory is not None] == ["memory"]
