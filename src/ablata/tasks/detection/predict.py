"""Objects on image files: overlays, and JSON in COCO's form.

overlays/NAME.jpg     the image with boxes, masks, classes and scores
results.json          every detection, in COCO's form of results: image_id, category_id, bbox, score, segmentation
images.json           what their numbers stand for: images and categories, in COCO's form of an image list
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ablata.base.errors import SettingsError, UserError
from ablata.base.files import atomic_path, write_text
from ablata.data.detection.rle import decode
from ablata.data.drawing.detection import object_palette, objects_drawn
from ablata.structures.detection import Detections
from ablata.tasks.detection.predictor import DetectionPredictor
from ablata.tasks.detection.protocols import detection_protocol
from ablata.tasks.inputs import Input

_QUALITY = 90
_DECIMALS = 3
"""Of a box's pixels in JSON."""


@dataclass(frozen=True)
class ObjectPrediction:
    """What a detector says of an image.

    Args:
        file: the image.
        results: every detection in COCO's form, the surest first.
        classes: of those sure enough: name, how many, and the score of the surest; most first.
        problem: why there is no prediction; empty: there is.
        outputs: files written.
    """

    file: Path
    results: tuple[dict[str, Any], ...] = ()
    classes: tuple[tuple[str, int, float], ...] = ()
    problem: str = ""
    outputs: tuple[Path, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return everything, JSON-safe."""
        return {
            "file": str(self.file),
            "classes": [{"name": name, "count": count, "score": score} for name, count, score in self.classes],
            "results": list(self.results),
            "problem": self.problem,
            "outputs": [str(path) for path in self.outputs],
        }


def predict_objects(
    model: DetectionPredictor,
    inputs: Sequence[Input],
    *,
    output: Path | None = None,
    protocol: str | None = None,
    sure: float = 0.5,
) -> Iterator[ObjectPrediction]:
    """Predict files one after the other; one that cannot be read is told and the others are done.

    Args:
        model: the detector.
        inputs: images; their place in the list, from 1, is their `image_id`.
        output: folder to write into, its JSON at the end; None: nothing is written.
        protocol: how many boxes are proposed, as in `ap50@1000`; None: as the detector was compared.
        sure: score from which detections are drawn and counted; the JSON has all.

    Raises:
        CheckpointError: images would be decoded otherwise than in training.
        SettingsError: there is no such protocol, or `sure` is no score.
    """
    if not 0 <= sure <= 1:
        raise SettingsError("--score must be from 0 to 1", found=f"{sure:g}")
    boxes = detection_protocol(protocol or model.protocols[0]).boxes
    model.refuse_other_backend()
    return _predicted(model, inputs, output, boxes, sure)


def _predicted(
    model: DetectionPredictor, inputs: Sequence[Input], output: Path | None, boxes: int | None, sure: float
) -> Iterator[ObjectPrediction]:
    images, results = [], []
    for number, one in enumerate(inputs, start=1):
        try:
            pixels = model.read(one.file)
        except UserError as error:
            yield ObjectPrediction(one.file, problem=error.found or error.must)
            continue
        found = model.detect(pixels, boxes)
        rows = coco_results(found, number, model.category_ids)
        images.append({"id": number, "file_name": str(one.file), "height": len(pixels), "width": len(pixels[0])})
        results += rows
        written: tuple[Path, ...] = ()
        if output is not None:
            written = (output / "overlays" / f"{one.name}.jpg",)
            _draw(model, pixels, found, int((found.scores >= sure).sum()), written[0])
        yield ObjectPrediction(one.file, tuple(rows), _counted(model, found, sure), outputs=written)
    if output is not None:
        pairs = zip(model.category_ids, model.classes, strict=True)
        about = {"images": images, "categories": [{"id": number, "name": name} for number, name in pairs]}
        write_text(output / "results.json", json.dumps(results) + "\n")
        write_text(output / "images.json", json.dumps(about, indent=1) + "\n")


def coco_results(found: Detections, image_id: int, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return detections in COCO's form of results (cocodataset.org, "Results format")."""
    rows: list[dict[str, Any]] = []
    for (left, top, right, bottom), label, score in zip(
        found.boxes.double().tolist(), found.labels.tolist(), found.scores.double().tolist(), strict=True
    ):
        sides = (left, top, right - left, bottom - top)
        box = [round(side, _DECIMALS) for side in sides]
        rows.append({"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score})
    for row, mask in zip(rows, found.masks or (), strict=False):
        row["segmentation"] = {"size": list(mask.size), "counts": mask.counts.decode()}
    return rows


def _counted(model: DetectionPredictor, found: Detections, sure: float) -> tuple[tuple[str, int, float], ...]:
    pairs = list(zip(found.labels.tolist(), found.scores.tolist(), strict=True))
    counts = Counter(label for label, score in pairs if score >= sure)
    best = {label: max(score for other, score in pairs if other == label) for label in counts}
    return tuple((model.classes[label], count, best[label]) for label, count in counts.most_common())


def _draw(model: DetectionPredictor, pixels: np.ndarray, found: Detections, count: int, path: Path) -> None:
    """Draw the first `count` detections over their image."""
    palette, labels = object_palette(len(model.classes)), found.labels[:count].tolist()
    words = [f"{model.classes[label]} {score:.2f}" for label, score in zip(labels, found.scores.tolist(), strict=False)]
    height, width = pixels.shape[:2]
    masks = None if found.masks is None else decode(found.masks[:count], height, width).numpy()
    colours = [palette[label] for label in labels]
    image = objects_drawn(pixels, found.boxes[:count].tolist(), words, colours, masks)
    with atomic_path(path) as draft:
        image.save(draft, format="JPEG", quality=_QUALITY)
