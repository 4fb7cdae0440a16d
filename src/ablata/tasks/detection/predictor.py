"""A trained detector for use on image files: boxes and masks with scores, overlays, JSON in COCO's form.

overlays/NAME.jpg     the image with boxes, masks, classes and scores
results.json          every detection, in COCO's form of results: image_id, category_id, bbox, score, segmentation
images.json           what their numbers stand for: images and categories, in COCO's form of an image list
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError, UserError
from ablata.base.files import atomic_path, write_text
from ablata.base.quantities import counted
from ablata.data.detection.dataset import STRIDE, normalized
from ablata.data.detection.files import DetectionFileSettings, decoder_name
from ablata.data.detection.image_ids import ids_listed_in
from ablata.data.detection.rle import decode
from ablata.data.drawing.detection import object_palette, objects_drawn
from ablata.data.io.decode import RULES, ImageRules
from ablata.data.io.encoded import Encoded
from ablata.data.io.input_files import InputFile
from ablata.data.io.read_settings import ImageReadSettings
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.object_geometry import resize
from ablata.engine.predictor import Prediction, PredictOptions, Predictor, refuse_file
from ablata.models.detection.base import Detector
from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Detections, joined, no_objects
from ablata.tasks.detection.postprocess import coco_result, detect_objects, to_original_size
from ablata.tasks.detection.protocols import detection_protocol, is_protocol

_QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class ObjectPrediction(Prediction):
    """The objects on an image.

    Args:
        results: every detection in COCO's form, by descending score.
        classes: of those above the score threshold: name, how many, and their highest score; most first.
        score_threshold: score from which detections are counted.
    """

    results: tuple[dict[str, Any], ...] = ()
    classes: tuple[tuple[str, int, float], ...] = ()
    score_threshold: float = 0.5

    def text(self) -> str:
        """Return the file and how many objects of each class there are."""
        if self.problem:
            return ""
        named = ", ".join(f"{count} {name} (highest score {best:.2f})" for name, count, best in self.classes)
        return f"{self.file}: {named or f'nothing of score {self.score_threshold:g} or more'}"

    def values(self) -> dict[str, Any]:
        """Return counts of classes, and every detection in COCO's form."""
        classes = [{"name": name, "count": count, "score": score} for name, count, score in self.classes]
        return {"classes": classes, "results": list(self.results)}


@dataclass(frozen=True)
class DetectionPredictor(Predictor):
    """A detector and what its detections mean; arguments as of `Predictor`, but the network is a `Detector`."""

    title: ClassVar[str] = "detector"
    pipeline: ClassVar[str] = "object-detection"
    use: ClassVar[str] = "ablata predict FOLDER IMAGE... --output OUT"

    @classmethod
    def build_network(cls, settings: Any, contract: Mapping[str, Any]) -> nn.Module:
        """Build the detector without its weights; its class graph is one of them."""
        settings_alone = settings.model.without_weights()
        network: nn.Module = settings_alone.build(len(contract["classes"]), in_channels=contract["channels"])
        return network

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width that its operations are counted for; it takes images of any size."""
        shape = self.data.nominal_shape()
        return shape.height, shape.width

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Return the number of each class in its annotations."""
        return tuple(self.contract["category_ids"])

    def exportable(self) -> nn.Module:
        """Refuse: how many regions there are depends on the image.

        Raises:
            SettingsError: always.
        """
        raise SettingsError(
            "A detector can only be exported as a hub folder",
            found="a graph: torch.export cannot write torchvision's non-maximum suppression of any number of boxes, "
            "and the graph that its older ONNX exporter writes finds other boxes",
            do="--format hub; ablata predict takes that folder",
        )

    def example(self, count: int = 1, size: tuple[int, int] | None = None) -> Tensor:
        """Return noise in the shape of prepared images, in 0..1 for a detector that normalizes them itself."""
        noise = super().example(count, size)
        return noise.sigmoid() if self.model.raw_images else noise

    def outputs(self, images: Tensor) -> Tensor:
        """Return what an export is compared by; see `Detector.signature`."""
        assert isinstance(self.network, Detector)
        return self.network.signature(images)

    def output(self) -> str:
        """Say what comes out."""
        masks = " and masks" if self.contract["masks"] else ""
        return f"boxes{masks} of {counted(len(self.classes), 'class')} with scores"

    def evaluation(self) -> str:
        """Say how images were brought to their size."""
        told: str = self.data.augment.evaluation()
        return told

    @property
    def _rules(self) -> ImageRules:
        return self.data.image_rules() if isinstance(self.data, ImageReadSettings) else RULES

    def read(self, file: Path) -> np.ndarray:
        """Read an image at its own size, uint8 [H, W, C].

        Raises:
            DataError: the file is no image or damaged.
        """
        return Encoded(file.read_bytes(), str(file), self._rules).array("opencv")

    @torch.no_grad()
    def detect(self, pixels: np.ndarray, boxes: int | None = None) -> Detections:
        """Return what is on an image.

        Args:
            pixels: uint8 [H, W, C].
            boxes: how many are proposed; None: as the settings say.
        """
        height, width = pixels.shape[:2]
        scaled, _ = resize(pixels, no_objects(), self.data.augment.scale(height, width, False, 0.0))
        images, sizes = joined([torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))], STRIDE)
        batch = DetectionBatch(
            images,
            sizes,
            torch.tensor([[height, width]]),
            (no_objects(),),
            torch.zeros(1, dtype=torch.int64),
            Rows(0, 1),
        )
        normalizer = Normalizer(self.contract["mean"], self.contract["std"], False)
        (found,) = detect_objects(self.network, normalized(batch, normalizer), boxes)
        return to_original_size(found, sizes[0], batch.originals[0])

    def predict_files(self, inputs: Sequence[InputFile], options: PredictOptions) -> Iterator[ObjectPrediction]:
        """Find objects on image files; `options.output` is a folder.

        `image_id` is the set's own number or name of a file: by `options.annotations`, or where all files are images of
        one source of the data set that the network was trained on; else the file's place in the list, from 1 on.

        Raises:
            SettingsError: the score threshold is not from 0 to 1, or the output is a file.
        """
        refuse_file(options.output, self.title)
        if not 0 <= options.score_threshold <= 1:
            raise SettingsError("--score must be from 0 to 1", found=f"{options.score_threshold:g}", do="--score 0.5")
        # A protocol of the user's own is a way to score; images without labels are shown as they are.
        usual = next((name for name in self.protocols if is_protocol(name)), "coco")
        boxes = detection_protocol(options.protocol or usual).boxes
        self.refuse_backend(decoder_name(self._rules))
        return self._predicted(inputs, self._image_ids([entry.file for entry in inputs], options), boxes, options)

    def _image_ids(self, files: Sequence[Path], options: PredictOptions) -> Sequence[int | str]:
        if options.annotations is not None:
            return ids_listed_in(options.annotations, files)
        known = self.data.image_ids(files) if isinstance(self.data, DetectionFileSettings) else None
        return known or range(1, len(files) + 1)

    def _predicted(
        self, inputs: Sequence[InputFile], ids: Sequence[int | str], boxes: int | None, options: PredictOptions
    ) -> Iterator[ObjectPrediction]:
        images, results = [], []
        output, threshold = options.output, options.score_threshold
        for number, entry in zip(ids, inputs, strict=True):
            try:
                pixels = self.read(entry.file)
            except UserError as error:
                yield ObjectPrediction(file=entry.file, problem=error.found or error.must)
                continue
            detections = self.detect(pixels, boxes)
            rows = coco_results(detections, number, self.category_ids)
            height, width = pixels.shape[:2]
            images.append({"id": number, "file_name": str(entry.file), "height": height, "width": width})
            results += rows
            written: tuple[Path, ...] = ()
            if output is not None:
                written = (output / "overlays" / f"{entry.name}.jpg",)
                self._draw(pixels, detections, int((detections.scores >= threshold).sum()), written[0])
            yield ObjectPrediction(
                file=entry.file, outputs=written, results=tuple(rows), classes=self._counted(detections, threshold),
                score_threshold=threshold,
            )  # fmt: skip
        if output is not None:
            pairs = zip(self.category_ids, self.classes, strict=True)
            about = {"images": images, "categories": [{"id": number, "name": name} for number, name in pairs]}
            write_text(output / "results.json", json.dumps(results) + "\n")
            write_text(output / "images.json", json.dumps(about, indent=1) + "\n")

    def _counted(self, detections: Detections, threshold: float) -> tuple[tuple[str, int, float], ...]:
        pairs = list(zip(detections.labels.tolist(), detections.scores.tolist(), strict=True))
        counts = Counter(label for label, score in pairs if score >= threshold)
        best = {label: max(score for other, score in pairs if other == label) for label in counts}
        return tuple((self.classes[label], count, best[label]) for label, count in counts.most_common())

    def _draw(self, pixels: np.ndarray, detections: Detections, count: int, path: Path) -> None:
        """Draw the first `count` detections over their image."""
        palette, labels = object_palette(len(self.classes)), detections.labels[:count].tolist()
        scores = detections.scores[:count].tolist()
        words = [f"{self.classes[label]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
        height, width = pixels.shape[:2]
        masks = None if detections.masks is None else decode(detections.masks[:count], height, width).numpy()
        colors = [palette[label] for label in labels]
        image = objects_drawn(pixels, detections.boxes[:count].tolist(), words, colors, masks)
        with atomic_path(path) as draft:
            image.save(draft, format="JPEG", quality=_QUALITY)


def coco_results(found: Detections, image_id: int | str, category_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return detections in COCO's form of results; see `coco_result`."""
    masks = found.masks or (None,) * len(found)
    columns = (found.boxes.double().tolist(), found.labels.tolist(), found.scores.double().tolist(), masks)
    return [
        coco_result(
            box,
            category_ids[label],
            score,
            image_id,
            mask.counts.decode() if mask else None,
            mask.size if mask else (0, 0),
        )
        for box, label, score, mask in zip(*columns, strict=True)
    ]
