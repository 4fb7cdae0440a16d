"""Preview sheets of recipes: which they show, and what they say of the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import SettingsError
from ablata.base.metric import Metric
from ablata.data.loading.sampling import Balanced
from ablata.data.synthetic.persons import Persons
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.engine.hardware.complexity import Complexity
from ablata.engine.recipe import Recipe, Train
from ablata.engine.task import RunContext, Task
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment


class Other(Recipe):
    """A recipe of a task that has no preview."""

    def build(self, seed: int, context: RunContext) -> Task[Any]:
        raise NotImplementedError

    def complexity(self) -> Complexity:
        raise NotImplementedError

    def metric(self) -> Metric:
        raise NotImplementedError

    def data_fingerprint(self, cache: Path) -> str:
        raise NotImplementedError


def test_persons_are_shown_as_they_meet_in_a_batch(shared_cache: Path) -> None:
    data = Persons(train=6, val=2, cameras=2, images=2, height=32, width=16, sampling=Balanced(images=2))
    recipe = Reidentify(data=data, train=Train(epochs=1, batch=8))
    sheet = recipe.preview(seed=0, step=2, count=8, cache=shared_cache)
    assert sheet.summary.startswith("persons: 6 classes, 32x16 (height x width), train 24, val 8; batch of step 2")
    again = recipe.preview(seed=0, step=2, count=8, cache=shared_cache)
    other = recipe.preview(seed=1, step=2, count=8, cache=shared_cache)
    assert sheet.image.tobytes() == again.image.tobytes() != other.image.tobytes()


def test_images_are_shown_beside_their_label_maps(shared_cache: Path) -> None:
    recipe = Segment(data=SceneMasks(train=6, val=2), train=Train(epochs=1, batch=4))
    sheet = recipe.preview(seed=0, step=1, count=2, cache=shared_cache)
    assert sheet.summary.startswith("scene_masks: 11 classes, 64x64 (height x width), train 6, val 2; batch of step 1")
    again = recipe.preview(seed=0, step=1, count=2, cache=shared_cache)
    other = recipe.preview(seed=1, step=1, count=2, cache=shared_cache)
    assert sheet.image.tobytes() == again.image.tobytes() != other.image.tobytes()


def test_a_recipe_without_images_to_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"A preview needs .*\n.*unnamed is a recipe of the task .*:Other, which does not"
    ):
        Other().preview(seed=0, step=0, count=4, cache=tmp_path)
