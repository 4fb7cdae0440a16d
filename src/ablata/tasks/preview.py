"""An image of what a recipe trains on: images as they are beside what the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from ablata.base.errors import SettingsError
from ablata.data.drawing.contact_sheet import contact_sheet
from ablata.data.drawing.segmentation_preview import segmentation_sheet
from ablata.engine.recipe import Recipe
from ablata.tasks.classification.task import Classify
from ablata.tasks.reid.task import Reidentify
from ablata.tasks.segmentation.task import Segment


@dataclass(frozen=True)
class Sheet:
    """An image, and a line that says what it shows."""

    image: Image.Image
    summary: str


def preview_sheet(recipe: Recipe, *, seed: int, step: int, count: int, cache: Path) -> Sheet:
    """Draw the images of one training step, each as it is and as the network of that seed sees it.

    Args:
        recipe: a classification, re-identification or segmentation recipe.
        seed: the run's seed.
        step: the training step, from 0.
        count: how many images of the batch, at most.
        cache: where prepared data is kept.

    Raises:
        SettingsError: the recipe is of another task, or the batch is larger than the training set.
        DataError: the data is missing or damaged.
    """
    if isinstance(recipe, Segment):
        return _segmentation(recipe, seed=seed, step=step, count=count, cache=cache)
    if not isinstance(recipe, Classify | Reidentify):
        raise SettingsError(
            "A preview needs a classification, re-identification or segmentation recipe",
            found=f"{recipe.name} is a recipe of the task {recipe.task}",
        )
    data = recipe.data.build(cache)
    loader = data.train_loader(seed, min(recipe.train.batch, data.sizes["train"]))
    raw = next(loader.batches(step, step + 1))
    with torch.random.fork_rng(devices=[]):
        seen = loader.augment(raw, step, loader.epoch_of(step))
    shown = raw.narrow(0, len(seen))  # without those of another batch that are only mixed in
    image = contact_sheet(seen, data.classes, data.mean, data.std, originals=shown, most=count)
    sizes = ", ".join(f"{name} {number:,}" for name, number in data.sizes.items())
    height, width = data.image_size
    summary = (
        f"{recipe.data.kind}: {len(data.classes)} classes, {height}x{width} (height x width), {sizes}; "
        f"batch of step {step}, seed {seed}; left as stored, right as trained on"
    )
    return Sheet(image, "\n".join([summary, *data.notices]))


def _segmentation(recipe: Segment, *, seed: int, step: int, count: int, cache: Path) -> Sheet:
    data = recipe.data.build(cache)
    loader = data.train_loader(seed, min(recipe.train.batch, data.sizes["train"]))
    seen = loader.augment(next(loader.batches(step, step + 1)), step, loader.epoch_of(step))
    sizes = ", ".join(f"{name} {number:,}" for name, number in data.sizes.items())
    height, width = data.image_size
    summary = (
        f"{recipe.data.kind}: {len(data.classes)} classes, {height}x{width} (height x width), {sizes}; "
        f"batch of step {step}, seed {seed}; image, label map, both"
    )
    return Sheet(segmentation_sheet(seen, data, most=count), "\n".join([summary, *data.notices]))
