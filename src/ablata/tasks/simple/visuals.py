"""Images of a split with what a user's network predicts under each."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ablata.data.drawing.panels import jpeg, sized
from ablata.records.run_folder.gallery import Gallery, ShownImage
from ablata.tasks.dataset_task import evenly_spaced
from ablata.tasks.simple.samples import mapped

IMAGES = 6
_WIDTH = 192
_NUMBERS = 4
"""Most values of a target that are written out."""


def gallery(task: Any, model: nn.Module) -> Gallery | None:
    """Draw evenly spaced samples of the split that the run is compared on; None where they are no images.

    Args:
        task: a `SimpleTask`.
        model: in evaluation mode.
    """
    recipe, split = task.recipe, task.recipe.metric().split
    count = len(task.datasets[split])
    rows = evenly_spaced(np.arange(count), IMAGES).tolist()
    images = []
    for row in rows:
        (batch,) = task.evaluation_batches(split, [row])
        values = recipe.model_input(batch.values)
        if values.ndim != 4 or values.shape[1] not in (1, 3):
            return None
        said = written(recipe.describe(first(model(values))))
        caption = f"image {row}: {said}{_target(batch.values)}"
        images.append(ShownImage(f"image {row}", caption, jpeg(sized(as_image(values[0]), _WIDTH))))
    return Gallery(split, task.protocols[0], images=tuple(images), caption="Each image with what is predicted for it.")


def first(outputs: Any) -> Any:
    """Return the outputs of a batch's first sample, as float32 on the processor."""
    return mapped(outputs, lambda tensor: tensor[0].detach().float().cpu())


def written(described: dict[str, Any]) -> str:
    """Return a description in a line."""
    return ", ".join(f"{name} {_value(value)}" for name, value in described.items())


def as_image(values: Tensor) -> Image.Image:
    """Return a tensor [C, H, W] as an image, its lowest value black and its highest white."""
    values = values.detach().float().cpu()
    low, high = float(values.min()), float(values.max())
    pixels = ((values - low) / max(high - low, 1e-12) * 255).round().to(torch.uint8)
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def _target(batch: Any) -> str:
    """Return what a sample of two parts says beside its image, where that is a few numbers."""
    if not isinstance(batch, tuple | list) or len(batch) < 2 or not isinstance(batch[1], Tensor):
        return ""
    target = batch[1][0]
    return f"; target {_value(target.squeeze().tolist())}" if target.numel() <= _NUMBERS else ""


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
