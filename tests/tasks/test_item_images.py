"""Small images of single items, by what they are called in item scores."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablata.recipes.index import load_recipe


@pytest.mark.parametrize("name", ["digits", "bisenet_scenes"])
def test_an_item_is_drawn_as_it_is_evaluated_without_its_normalization(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    if name != "digits":
        recipe = recipe.synthetic()
    data, split = recipe.scored_data().build(tmp_path), recipe.metric().split
    index = data.split(split).index[:2]
    items = data.item_names(split, index)
    images = recipe.item_images(tmp_path, split, [*reversed(items), "no such item"])
    assert set(images) == set(items)
    for batch, item in zip(data.unnormalized().eval_loader(split, 1), items, strict=False):
        drawn = Image.open(io.BytesIO(images[item]))
        assert max(drawn.size) <= 112
        truth = batch.images.mean() * 255
        assert abs(np.asarray(drawn).mean() - float(truth)) < 8
