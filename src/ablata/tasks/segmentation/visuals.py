"""Images of a segmenter's predictions on validation images, beside labels and errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from ablata.data.drawing.panels import as_colors, beside, jpeg, sized
from ablata.data.drawing.segmentation import errors, legend, overlay
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.transforms.normalization import Normalizer
from ablata.metrics.segmentation import SegmentationScores
from ablata.records.run_folder.gallery import Gallery, ShownImage
from ablata.structures.segmentation import IGNORE, SegmentationBatch
from ablata.tasks.dataset_task import evenly_spaced

IMAGES = 6
_WIDTH = 256
"""Of each of the four drawings beside each other, at most (small images are enlarged by whole factors)."""
_CAPTION = "Each row from left to right: the image, the prediction over it, the label over it, and the errors (red)."


class SegmentationVisuals(Protocol):
    """What drawing needs of a segmentation task."""

    recipe: Any
    data: SegmentationDataset
    protocols: tuple[str, ...]
    scored_classes: tuple[str, ...]
    last_scores: dict[tuple[str, str], SegmentationScores]

    def samples(self, split: str, index: np.ndarray) -> Iterable[SegmentationBatch]:
        """Return samples of a split by themselves, in batches of one."""

    def predict(self, model: nn.Module, images: Tensor, protocol: str) -> Tensor:
        """Return the argmax over the scored classes at every pixel."""

    def without_void(self, labels: Tensor) -> Tensor:
        """Return labels with those of a void class ignored."""


def visualize(task: SegmentationVisuals, model: nn.Module) -> Gallery:
    """Draw predictions on evenly spaced images of the split that the run is compared on, by its first protocol.

    Args:
        task: names the split and protocol; the IoU of each class is shown where it was evaluated.
        model: a segmenter, in evaluation mode.
    """
    split, protocol = task.recipe.metric().split, task.protocols[0]
    index = task.data.splits[split].index
    chosen = evenly_spaced(index, IMAGES)
    images = [_image(task, model, batch, protocol) for batch in task.samples(split, chosen)]
    counted = task.last_scores.get((split, protocol))
    classes = () if counted is None else tuple(zip(task.scored_classes, counted.class_iou().tolist(), strict=True))
    key = jpeg(legend(task.scored_classes, task.data.table.palette))
    return Gallery(split, protocol, "iou" if classes else "", classes, tuple(images), key, _CAPTION)


def _image(task: SegmentationVisuals, model: nn.Module, batch: SegmentationBatch, protocol: str) -> ShownImage:
    pixels = Normalizer(task.data.mean, task.data.std).undo(batch.images.float().cpu()).round().clamp(0, 255)
    image = as_colors(pixels[0].to(torch.uint8).permute(1, 2, 0).contiguous().numpy())
    predicted = task.predict(model, batch.images, protocol)[0].to(torch.uint8).cpu().numpy()
    labels = task.without_void(batch.labels)[0].cpu().numpy()
    palette = task.data.table.palette
    counts = labels != IGNORE
    right = f"{(predicted == labels)[counts].mean():.1%} of the pixels right" if counts.any() else "no pixel counts"
    drawings = (image, overlay(image, predicted, palette), overlay(image, labels, palette), errors(predicted, labels))
    number = int(batch.index[0])
    return ShownImage(
        alt=f"image {number}, its prediction, its label, and the errors of the prediction",
        caption=f"image {number}: {right}",
        content=jpeg(beside([sized(Image.fromarray(drawing), _WIDTH) for drawing in drawings])),
    )
