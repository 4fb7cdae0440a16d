"""What the previews of tasks have in common: one training batch, and a line that says what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ablata.base.quantities import counted
from ablata.data.drawing.contact_sheet import contact_sheet
from ablata.engine.recipe import Preview, Recipe


def preview_images(recipe: Recipe, settings: Any, *, seed: int, step: int, count: int, cache: Path) -> Preview:
    """Draw images that have one label each, as they are beside what the network sees; see `Recipe.preview`.

    Args:
        recipe: for its batch size.
        settings: of the data set.
        seed, step, count, cache: as for `Recipe.preview`.
    """
    data = settings.build(cache)
    loader = data.train_loader(seed, min(recipe.train.batch_size, data.sizes["train"]))
    raw = next(loader.batches(step, step + 1))
    with torch.random.fork_rng(devices=[]):
        seen = loader.augment(raw, step, loader.epoch_of(step))
    own = raw.narrow(0, len(seen))  # without those of another batch that are only mixed in
    stored = data.stored_images(own.narrow(0, min(count, len(own))))
    image = contact_sheet(seen, data.classes, data.mean, data.std, originals=stored, most=count)
    return Preview(image, summary(settings, data, seed, step, "left as stored, right as trained on"))


def summary(settings: Any, data: Any, seed: int, step: int, shows: str) -> str:
    """Return what a preview's image shows: the data set, its size, the batch; then the data's notices, one a line."""
    sizes = ", ".join(f"{name} {number:,}" for name, number in data.sizes.items())
    height, width = data.image_size
    first = (
        f"{settings.kind}: {counted(len(data.classes), 'class')}, {height}x{width} (height x width), {sizes}; "
        f"batch of step {step}, seed {seed}; {shows}"
    )
    return "\n".join([first, *data.notices])
