"""A detection set to look at: training images with their boxes and masks, as stored and as the network sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ablata.base.quantities import counted
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset
from ablata.data.detection.rle import decode
from ablata.data.drawing.contact_sheet import arranged
from ablata.data.drawing.detection import object_palette, objects_drawn
from ablata.engine.recipe import Preview, Recipe
from ablata.structures.detection import DetectionBatch, Objects

_WIDTH = 320
"""Of each drawing, at most."""
_COLUMNS = 3
_MOST = 12
"""Images that are drawn, at most."""


def preview_objects(recipe: Recipe, *, seed: int, step: int, count: int, cache: Path) -> Preview:
    """Draw the images of some training steps; arguments as of `Recipe.preview`."""
    settings = recipe.data  # type: ignore[attr-defined]
    data: DetectionDataset = settings.build(cache)
    loader = data.train_loader(seed, min(recipe.train.batch_size, data.sizes["train"]))
    count = min(count, _MOST, data.sizes["train"])
    steps = -(-count // loader.batch_size)
    images, captions = [], []
    for batch in loader.batches(step, step + steps):
        for position in range(len(batch)):
            row = int(batch.index[position])
            entry = data.sources["train"].entries[row]
            stored = _stored(data.sources["train"].pixels(row), entry, data.classes)
            images.append(_beside(stored, _seen(batch, position, data.classes)))
            captions.append(f"{entry.id if entry.id is not None else row}: {_counted(entry.objects, data.classes)}")
    sizes = ", ".join(f"{name} {number:,}" for name, number in data.sizes.items())
    last = f" to {step + steps - 1}" if steps > 1 else ""
    said = (
        f"{settings.kind}: {counted(len(data.classes), 'class')}, {sizes}; images of step {step}{last}, seed {seed}; "
        "left as stored, right as trained on; grey boxes are ignored"
    )
    sheet = arranged(images[:count], captions[:count], _COLUMNS)
    return Preview(sheet, "\n".join([said, *data.notices]))


def _stored(pixels: np.ndarray, entry: AnnotatedImage, classes: tuple[str, ...]) -> Image.Image:
    masks = decode(entry.objects.masks, *entry.size) if isinstance(entry.objects.masks, tuple) else None
    return _drawn(pixels, entry.objects, masks, classes)


def _seen(batch: DetectionBatch, position: int, classes: tuple[str, ...]) -> Image.Image:
    height, width = batch.sizes[position].tolist()
    objects = batch.objects[position]
    masks = objects.masks if isinstance(objects.masks, Tensor) else None
    return _drawn(batch.images[position, :, :height, :width].permute(1, 2, 0).numpy(), objects, masks, classes)


_GREY = (150, 150, 150)


def _drawn(pixels: np.ndarray, objects: Objects, masks: Tensor | None, classes: tuple[str, ...]) -> Image.Image:
    palette = object_palette(len(classes))
    labels, crowd = objects.labels.tolist(), objects.crowd.tolist()
    names = [
        f"{classes[label]} (ignored)" if is_crowd else classes[label]
        for label, is_crowd in zip(labels, crowd, strict=True)
    ]
    colors = [_GREY if is_crowd else palette[label] for label, is_crowd in zip(labels, crowd, strict=True)]
    ignored = [] if objects.ignored is None else objects.ignored.tolist()
    boxes = [*objects.boxes.tolist(), *ignored]
    names, colors = [*names, *("ignored" for _ in ignored)], [*colors, *(_GREY for _ in ignored)]
    shapes = None if masks is None else masks.numpy()
    return objects_drawn(pixels, boxes, names, colors, shapes, _WIDTH)


def _counted(objects: Objects, classes: tuple[str, ...]) -> str:
    counts = {name: int((objects.labels == label).sum()) for label, name in enumerate(classes)}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no object"


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    joined = Image.new("RGB", (left.width + right.width + 4, max(left.height, right.height)), "white")
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width + 4, 0))
    return joined
