"""Images of a detector's answers on validation images: beside the truth, and which boxes look at which."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.ops import box_iou

from ablata.data.detection.class_graph import ClassGraph
from ablata.data.detection.dataset import AnnotatedImage, DetectionDataset
from ablata.data.detection.rle import decode
from ablata.data.drawing.class_graph import graph_svg
from ablata.data.drawing.detection import looks_drawn, object_palette, objects_drawn
from ablata.data.drawing.panels import as_colors, beside, jpeg, sized
from ablata.data.drawing.segmentation import legend
from ablata.data.labels.table import Color
from ablata.models.detection.base import ImageDetections
from ablata.models.detection.relations.spatial_relation import RegionAttention, record_attention
from ablata.records.run_folder.gallery import Gallery, GalleryGroup, ShownImage
from ablata.structures.detection import DetectionBatch, Detections, Objects
from ablata.tasks.dataset_task import evenly_spaced
from ablata.tasks.detection.postprocess import to_original_size

IMAGES = 6
_WIDTH = 320
"""Of each of the three drawings beside each other, at most."""
_SCORE_THRESHOLD = 0.5
"""Score from which detections are drawn."""
_FEWEST = 3
"""Detections drawn where none has that score."""
_MOST_LOOKS = 8
"""Boxes of an image whose looks are drawn."""
_SAME = 0.5
"""Overlap from which a detection is an object's, and from which a region belongs to a detection."""
_CAPTION = "Each row from left to right: the image, detections over it with their scores, the objects over it."
_LOOKS = (
    "What the last relation between regions gives to each drawn detection, the mean over its heads: weights of all "
    "regions that overlap another detection by half are added to the arrow towards it, the wider the more. What "
    "goes to the detection's own regions and to regions of no drawn detection stands below."
)
_GRAPH = "The weight that each row's class gives each column's in relations between classes."


class DetectionVisuals(Protocol):
    """What drawing needs of a detection task."""

    recipe: Any
    data: DetectionDataset
    graph: ClassGraph
    protocols: tuple[str, ...]
    last_scores: dict[tuple[str, str], tuple[float, ...]]

    def samples(self, split: str, index: np.ndarray) -> Iterable[DetectionBatch]:
        """Return images of a split by themselves, in batches of one."""

    def detect(self, model: nn.Module, batch: DetectionBatch, protocol: str) -> list[ImageDetections]:
        """Return what a protocol finds on each image of a batch."""


def visualize(task: DetectionVisuals, model: nn.Module) -> Gallery:
    """Draw detections on evenly spaced images of the split that the run is compared on, by its first protocol.

    Args:
        task: names the split and protocol; the average precision of each class is shown where it was evaluated.
        model: a detector, in evaluation mode.
    """
    split, protocol = task.recipe.metric().split, task.protocols[0]
    index = task.data.splits[split].index
    chosen = evenly_spaced(index, IMAGES)
    palette = object_palette(len(task.data.classes))
    images, relations = [], []
    for row, batch in zip(chosen.tolist(), task.samples(split, chosen), strict=True):
        with record_attention(model) as looks:
            (found,) = task.detect(model, batch, protocol)
        source = task.data.sources[task.data.splits[split].source]
        sheet = _Sheet(row, source.pixels(row), source.entries[row], task.data.classes, palette)
        detections = to_original_size(found, batch.sizes[0], batch.originals[0])
        images.append(sheet.beside_truth(detections))
        if looks and found.regions is not None and len(detections):
            relations.append(
                sheet.looks(detections, *attention_between(found, looks[-1], confident_rows(detections)[:_MOST_LOOKS]))
            )
    classes = tuple(zip(task.data.classes, task.last_scores.get((split, protocol), ()), strict=False))
    groups = [GalleryGroup("Which boxes look at which", _LOOKS, tuple(relations))] if relations else []
    if task.recipe.model.relates_classes():
        alt = f"a square of the weights between {len(task.graph.names)} classes"
        content = graph_svg(task.graph).encode()
        groups.append(GalleryGroup("Class graph", _GRAPH, (ShownImage(alt, _origin(task.graph), content),)))
    key = jpeg(legend(task.data.classes, palette))
    return Gallery(
        split, protocol, "ap" if classes else "", classes, tuple(images), key, _CAPTION, tuple(groups)
    )  # fmt: skip


def confident_rows(detections: Detections) -> list[int]:
    """Return which detections are drawn: those above the score threshold, or the first few where there is none."""
    sure = int((detections.scores >= _SCORE_THRESHOLD).sum())
    return list(range(sure or min(_FEWEST, len(detections))))


def attention_between(found: ImageDetections, looks: RegionAttention, rows: list[int]) -> tuple[list[int], np.ndarray]:
    """Return the attention between detections.

    Args:
        found: the detections of an image, with their regions.
        looks: of that image alone, in the same pixels.
        rows: the detections in question.

    Returns:
        `rows`, and float64 [N, N + 1]: the weight from each to each, the last column that to regions of none of them.
    """
    assert found.regions is not None
    overlaps = box_iou(looks.boxes[0].float(), found.boxes[rows].float())
    most, owner = overlaps.max(1)
    owner = torch.where(most >= _SAME, owner, len(rows))
    weights = looks.weights[0][found.regions[rows]].double()
    summed = weights.new_zeros(len(rows), len(rows) + 1).index_add(1, owner, weights)
    return rows, summed.cpu().numpy()


def count_hits(detections: Detections, rows: list[int], objects: Objects) -> int:
    """Count true positives: objects with a detection of their class at IoU 0.5, matched by descending score."""
    free = ~objects.crowd.clone()
    overlaps: Tensor = box_iou(detections.boxes[rows], objects.boxes)
    count = 0
    for row, overlap in zip(rows, overlaps, strict=True):
        fits = torch.where(free & (objects.labels == detections.labels[row]), overlap, -1.0)
        if len(fits) and float(fits.max()) >= _SAME:
            free[int(fits.argmax())] = False
            count += 1
    return count


class _Sheet:
    """Draws one image.

    Args:
        number: row number of the image.
        pixels: uint8 [H, W, C], see `as_colors`.
        entry: what is on it.
        classes: class names.
        palette: their colours.
    """

    def __init__(
        self,
        number: int,
        pixels: np.ndarray,
        entry: AnnotatedImage,
        classes: tuple[str, ...],
        palette: tuple[Color, ...],
    ) -> None:
        self.number, self.pixels, self.entry = number, as_colors(pixels), entry
        self.classes, self.palette = classes, palette

    def beside_truth(self, detections: Detections) -> ShownImage:
        """Draw the image, its detections and its objects beside each other."""
        rows, objects = confident_rows(detections), self.entry.objects
        found = self._drawn(
            detections.boxes[rows], detections.labels[rows], self._words(detections, rows),
            None if detections.masks is None else [detections.masks[row] for row in rows],
        )  # fmt: skip
        names = [self.classes[label] for label in objects.labels.tolist()]
        words = [
            f"{name} (crowd)" if crowd else name for name, crowd in zip(names, objects.crowd.tolist(), strict=True)
        ]
        truth = self._drawn(objects.boxes, objects.labels, words, objects.masks)
        plain = sized(Image.fromarray(self.pixels), _WIDTH)
        asked, right = int((~objects.crowd).sum()), count_hits(detections, rows, objects)
        said = f"image {self.number}: {right} of {asked} objects found, {len(rows) - right} detections wrong"
        if rows and float(detections.scores[0]) < _SCORE_THRESHOLD:
            said += f" (none has a score of {_SCORE_THRESHOLD:g}; those of the highest score are drawn)"
        alt = f"image {self.number}, its detections, and its objects"
        return ShownImage(alt, said, jpeg(beside([plain, found, truth])))

    def looks(self, detections: Detections, rows: list[int], weights: np.ndarray) -> ShownImage:
        """Draw the attention between detections; weights as of `attention_between`."""
        names = self._words(detections, rows)
        colors = [self.palette[label] for label in detections.labels[rows].tolist()]
        words = [f"{region}" for region in range(1, len(rows) + 1)]
        image = looks_drawn(
            self.pixels, detections.boxes[rows].tolist(), words, colors, weights[:, : len(rows)], 2 * _WIDTH
        )
        lines = []
        for region, name in enumerate(names):
            others = [other for other in np.argsort(-weights[region, :-1], kind="stable").tolist() if other != region][
                :2
            ]
            at = [f"{other + 1} {weights[region, other]:.0%}" for other in others]
            said = ", ".join([*at, f"itself {weights[region, region]:.0%}", f"elsewhere {weights[region, -1]:.0%}"])
            lines.append(f"{region + 1} {name}: {said}")
        return ShownImage(
            f"image {self.number} with arrows between its detections",
            f"image {self.number}. {'; '.join(lines)}",
            jpeg(image),
        )

    def _words(self, detections: Detections, rows: list[int]) -> list[str]:
        labels, scores = detections.labels.tolist(), detections.scores.tolist()
        return [f"{self.classes[labels[row]]} {scores[row]:.2f}" for row in rows]

    def _drawn(self, boxes: Tensor, labels: Tensor, words: list[str], masks: Any) -> Image.Image:
        colors = [self.palette[label] for label in labels.tolist()]
        pixels = None if masks is None else decode(list(masks), *self.entry.size).numpy()
        return objects_drawn(self.pixels, boxes.tolist(), words, colors, pixels, _WIDTH)


def _origin(graph: ClassGraph) -> str:
    kind, normalize = graph.origin.get("kind"), graph.origin.get("normalize")
    return f"{kind}{f', {normalize}' if normalize else ''}, of {graph.images} training images"
