"""Detection: boxes and masks of objects, with relations between classes and between regions; average precision."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError, listing
from ablata.base.overrides import override
from ablata.base.parts import WordOrPart
from ablata.base.settings import expand
from ablata.data.any import AnyDetectionData
from ablata.data.detection.class_graph import BACKGROUND, AnyClassGraph, ClassGraph, Cooccurrence, GraphFile
from ablata.data.detection.dataset import DetectionDataset
from ablata.data.loading.report import DataReport
from ablata.data.synthetic.scene_boxes import SceneBoxes
from ablata.engine.batch_norm import Images
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.predictor import Predictor
from ablata.engine.recipe import Preview, Train
from ablata.engine.task import EvalReport, RunContext, Task
from ablata.metrics.average_precision import EVALUATOR, SIZES, DetectionScores, Kind
from ablata.metrics.detection_items import NAME as IMAGE_AP
from ablata.metrics.detection_items import image_precisions
from ablata.models.detection.any import AnyDetector
from ablata.models.detection.base import Detector, ImageDetections
from ablata.models.detection.detection_dicts import from_dicts
from ablata.models.detection.mask_rcnn import MaskRcnn
from ablata.models.detection.rpn import LEVEL_TERMS
from ablata.nn.lazy_modules import initialize_lazy
from ablata.records.run_folder.gallery import Gallery
from ablata.records.run_folder.items import ItemScores
from ablata.structures.detection import DetectionBatch, Detections
from ablata.tasks.dataset_task import DatasetRecipe, DatasetTask, check_labels
from ablata.tasks.detection.postprocess import (
    coco_result,
    detect_objects,
    detect_plain,
    plain_detections,
    plain_objects,
    sizes_of,
    to_original_size,
)
from ablata.tasks.detection.protocols import NAMES, DetectionProtocol, detection_protocol
from ablata.tasks.detection.start_from import StartFrom
from ablata.tasks.detection.visuals import visualize
from ablata.tasks.networks import weights_mark
from ablata.tasks.own_scores import score_metrics

_SHOWN = 3
"""Objects that a message names."""


class Detect(DatasetRecipe):
    """Recipe of an object detector, with or without instance masks."""

    CLASS_SCORE = "AP"
    SCORES = (
        *(f"{kind}AP{part}" for kind in ("", "mask_") for part in ("", "50", "75", *(f"_{s}" for s in SIZES[1:]))),
        IMAGE_AP,
    )
    OTHER_SCORES = ("AR", "mask_AR", "classes", "evaluator", "precision", "recall", "score_threshold")
    METRIC_OF = "predictions and truth, each a list with a dict for every image"

    task: Literal["detect"] = "detect"
    data: AnyDetectionData = SceneBoxes()
    model: AnyDetector = MaskRcnn()
    graph: AnyClassGraph = Cooccurrence()
    """What classes have to do with each other, for `model.relations.classes`; counted on the training split."""
    start: StartFrom | None = None
    """An earlier training to go on from; null: weights are drawn, or the backbone's are read from a file."""
    train: Train = Train(epochs=1, batch=2, evaluate_batch=2)
    protocols: Annotated[tuple[WordOrPart, ...], Field(min_length=1)] = ("ap50",)
    """Ways to score: ap01, ap50 (any overlap in percent), coco, perhaps with a number of proposed boxes: ap50@1000; or
    a function of your own of network and images that returns detections, which are scored like coco. The first decides
    which checkpoint is best, and is compared."""
    evaluator: Literal[1] = EVALUATOR
    """Version of the evaluation; as a part of the recipe it keeps scores of two versions from being compared."""

    @classmethod
    def parse_protocol(cls, name: str) -> DetectionProtocol:
        """Return what a protocol's name stands for; see `detection_protocol`."""
        return detection_protocol(name)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.model.predicts_masks() and not self.data.has_masks():
            raise ValueError(f"data={self.data.kind} has boxes alone: set model.masks=null")
        if self.compute.compile:
            raise ValueError("a detector's shapes change with every image: set compute.compile=false")
        return self

    def build(self, seed: int, context: RunContext) -> DetectTask:
        """Build data, graph and detector; see `Recipe.build`."""
        return DetectTask(self, self.data.build(context.cache), seed, context)

    def parent(self) -> Self | None:
        """Return the training that comes before, where `start` describes one.

        Raises:
            SettingsError: one of its changes does not fit.
        """
        before = self.start.before() if self.start is not None else None
        if self.start is None or before is None:
            return super().parent()
        older = override(self.model_copy(update={"start": self.start.before_that()}), before.changes)
        if before.steps is None:
            return older
        length = self.train.model_copy(update={"steps": before.steps, "epochs": None})
        return older.model_copy(update={"train": length})

    def nominal_network(self) -> nn.Module:
        """Return the detector without weights; see `Recipe.nominal_network`."""
        shape = self.data.nominal_shape()
        with torch.device(self.model.counted_on), torch.random.fork_rng(devices=[]):
            model: nn.Module = self.model.build(shape.classes, in_channels=shape.channels)
            return model

    def complexity(self) -> Complexity:
        """Count the detector for the data's nominal shape, with as many regions as there can be in testing."""
        shape = self.data.nominal_shape()
        with torch.device(self.model.counted_on), torch.random.fork_rng(devices=[]):
            return count(self.nominal_network(), torch.zeros(1, shape.channels, shape.height, shape.width))

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of images and annotations joined with that of the splits and the graph."""
        data = self.data.build(cache)
        marks = ""
        if isinstance(self.graph, GraphFile):
            content = class_graph(self, data).matrix.tobytes()
            marks = f"-{hashlib.blake2b(content, digest_size=4).hexdigest()}"
        return f"{data.fingerprint[:24]}-{data.splits_hash[:8]}{marks}{weights_mark(self.model)}"

    def training_samples(self, cache: Path) -> int:
        """Return the number of training samples; see `Recipe.training_samples`."""
        return len(self.data.build(cache).split("train"))

    def shortened(self, factor: float) -> Self:
        """Return the recipe with every length multiplied, those of earlier trainings too; see `Recipe.shortened`."""
        short = super().shortened(factor)
        if self.start is None:
            return short
        start = self.start.lasting(lambda steps: max(1, round(steps * factor)))
        return short.model_copy(update={"start": start})

    def synthetic(self, steps: int = 2, batch: int = 8) -> Self:
        """Return the recipe with a few steps of at most two generated images; see `Recipe.synthetic`."""
        return super().synthetic(steps, min(batch, 2))

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return generated images in place of the data, and what must change with them."""
        from ablata.tasks.detection.synthetic import synthetic_parts

        return synthetic_parts(self.data, self.model, self.graph, self.start, steps)

    def count_class_graph(self, cache: Path) -> tuple[ClassGraph, tuple[str, ...]]:
        """Return the recipe's graph, counted on the training split; see `Recipe.count_class_graph`."""
        data = self.data.build(cache)
        return class_graph(self, data), data.notices

    def check_data(self, cache: Path) -> DataReport:
        """Read every annotation and image and report what is wrong; see `Recipe.check_data`."""
        from ablata.data.detection.report import check_detection

        return check_detection(self.data, cache)

    def preview(self, *, seed: int, step: int, count: int, cache: Path) -> Preview:
        """Draw training images with their boxes and masks, as they are and as trained on; see `Recipe.preview`."""
        from ablata.tasks.detection.preview import preview_objects

        return preview_objects(self, seed=seed, step=step, count=count, cache=cache)

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return the detector's use on image files; see `Recipe.predictor_class`."""
        from ablata.tasks.detection.predictor import DetectionPredictor

        return DetectionPredictor


class DetectTask(DatasetTask[DetectionBatch]):
    """Detection inside the training loop.

    Args:
        recipe: the settings.
        data: the data set.
        seed: the run's seed.
        context: device and share of the work.

    Attributes:
        last_scores: average precision of boxes of each class, by split and protocol, of the last evaluation.
        last_items: that of each image alone, nan for one without objects.

    Raises:
        DataError: the batch does not fit the training set, masks are asked for where there are none, or a graph does
            not fit the classes.
    """

    name = "detect"
    keeps_items = True
    results_format = "COCO's results"
    offered_protocols = NAMES
    recipe: Detect
    data: DetectionDataset

    def __init__(self, recipe: Detect, data: DetectionDataset, seed: int, context: RunContext) -> None:
        super().__init__(recipe, data.unnormalized() if recipe.model.raw_images else data, context)
        self.masks = recipe.model.predicts_masks()
        if self.masks and not data.has_masks:
            raise DataError(
                "Masks are trained where every object has one", found=_maskless(data), do="set model.masks=null",
            )  # fmt: skip
        self.graph = class_graph(recipe, data)
        graph = torch.from_numpy(self.graph.matrix).float()
        self.model: Detector = recipe.model.build(len(data.classes), graph, data.channels)
        initialize_lazy(self.model, self.example())
        self.load_batches(seed, masks=self.masks)
        self.last_scores: dict[tuple[str, str], tuple[float, ...]] = {}
        self.last_items: dict[tuple[str, str], np.ndarray] = {}
        self.score_threshold = 0.5
        self._trained_ids: tuple[int, ...] = ()

    def contract(self) -> dict[str, Any]:
        """Return what detections of this model mean: classes, preparation, protocols, version of the evaluation."""
        return super().contract() | {
            "category_ids": list(self._trained_ids or self.data.category_ids),
            "sizes": {name: value for name, value in expand(self.recipe.data.augment).items() if name != "transform"},
            "masks": self.masks,
            "evaluator": EVALUATOR,
        }

    def split_record(self) -> dict[str, Any]:
        """Return fingerprint, row numbers of each split, and the class graph that was counted."""
        graph = {"names": list(self.graph.names), "matrix": self.graph.matrix.tolist(), "origin": self.graph.origin}
        return {"data": self.data.fingerprint, "splits": self.data.split_indices(), "class_graph": graph}

    def example(self) -> Tensor:
        """Return an empty image [1, 3, H, W] of the data's nominal size."""
        shape = self.recipe.data.nominal_shape()
        return torch.zeros(1, shape.channels, shape.height, shape.width)

    def check(self, batch: DetectionBatch) -> Sequence[str]:
        """Refuse labels outside the class list, boxes outside their image, and detections in another form.

        Raises:
            UserError: names what was found.
        """
        classes = len(self.data.classes)
        for objects, (height, width) in zip(batch.objects, batch.sizes.tolist(), strict=True):
            if not len(objects):
                continue
            check_labels(objects.labels, classes)
            most = objects.boxes.amax(0).tolist()
            if float(objects.boxes.min()) < 0 or most[2] > width + 0.5 or most[3] > height + 0.5:
                raise DataError(
                    "Boxes must lie in their image",
                    found=f"up to {most} in {width}x{height}",
                    do="clip the boxes to the image: ablata data check names the files",
                )
        first = batch.narrow(0, 1)
        self.model.check(first.images, sizes_of(first))
        self.model.eval()
        with torch.no_grad():
            for name in self.own_protocols():
                self.detect(self.model, first, name)
        return ()

    def norm_images(self, images: Images, start: int, count: int) -> Iterator[Tensor]:
        """Refuse: a detector takes more than images."""
        return Task.norm_images(self, images, start, count)

    def loss(self, model: nn.Module, batch: DetectionBatch) -> dict[str, Tensor]:
        """Return the losses of proposals by level, of classes and boxes by stage, and of masks."""
        terms = model(batch.images, sizes_of(batch), batch.objects)
        assert isinstance(terms, dict)
        return terms

    def watched_terms(self, losses: dict[str, float]) -> dict[str, float]:
        """Return the terms with those of a pyramid's levels in sums, for on many a level nothing lies.

        Terms of weight 0 are left out: they are not meant to teach.
        """
        silent = self.recipe.model.silent_terms()
        seen: dict[str, float] = {}
        for name, value in losses.items():
            stem = name.rpartition("_")[0]
            whole = stem if stem in LEVEL_TERMS else name
            if whole not in silent:
                seen[whole] = seen.get(whole, 0.0) + value
        return seen

    def check_protocol(self, name: str) -> None:
        """Refuse a name that neither the recipe gives nor `detection_protocol` knows."""
        if name not in self.named:
            detection_protocol(name)

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return the mean average precision of boxes and, where there are any, of masks, in percent.

        With `coco` that at 0.5 and 0.75 and by size too. `image_AP` is the mean over images of the average precision of
        each image's boxes alone, of which single images have a part. `classes` counts the classes that the split holds;
        the others are left out of every mean. `evaluator` is the version of the evaluation.
        """
        return self._totals(self.collect(model, split, protocol), split, protocol)

    def class_scores(self, split: str, protocol: str) -> dict[str, float]:
        """Return the average precision of each class's boxes; see `Task.class_scores`."""
        values = self.last_scores.get((split, protocol), ())
        return {f"AP/{name}": value for name, value in zip(self.data.classes, values, strict=False)}

    def item_scores(self, split: str, protocol: str) -> ItemScores | None:
        """Return what the last evaluation got on each image that has objects; see `Task.item_scores`."""
        values = self.last_items.get((split, protocol))
        if values is None or np.isnan(values).all():
            return None
        known = ~np.isnan(values)
        index = self.data.split(split).index[known]
        return self.items_of(split, protocol, index, {IMAGE_AP: values[known]})

    def collect(self, model: nn.Module, split: str, protocol: str) -> DetectionScores:
        """Return the scored detections of a split, those of all processes."""
        entries = self.data.entries(split)
        scores = DetectionScores(len(self.data.classes), [(entry.size, entry.objects) for entry in entries])
        position_of = {int(row): position for position, row in enumerate(self.data.split(split).index)}
        for number, found in self.detections(model, split, protocol):
            scores.update(position_of[number], found)
        if not self.context.group.is_single:
            scores.join(self.context.group.all_gather_bytes(scores.state(), self.context.device))
        return scores

    def detections(self, model: nn.Module, split: str, protocol: str) -> Iterator[tuple[int, Detections]]:
        """Yield row number and detections, in pixels of the stored image, for this process's share of a split.

        Args:
            model: in evaluation mode.
            split: any of the data's.
            protocol: how many boxes are proposed, or a function of the user's own.
        """
        for batch in self.eval_batches(split):
            for row, one in enumerate(self.detect(model, batch, protocol)):
                yield int(batch.index[row]), to_original_size(one, batch.sizes[row], batch.originals[row])

    def detect(self, model: nn.Module, batch: DetectionBatch, protocol: str) -> list[ImageDetections]:
        """Return what a protocol finds on each image of a batch, in pixels of the batch.

        Raises:
            SettingsError: the user's function returns something else.
        """
        own = self.own_protocol(protocol)
        if own is None:
            return detect_objects(model, batch, detection_protocol(protocol).boxes)
        sizes, masks = sizes_of(batch), self.masks
        images = [image[:, :height, :width] for image, (height, width) in zip(batch.images, sizes, strict=True)]
        found = own(partial(detect_plain, model), images)
        return from_dicts(
            found, sizes, source=self.named[protocol], classes=len(self.data.classes), first=0, masks=masks,
            most=self._most,
        )  # fmt: skip

    def visualize(self, model: nn.Module) -> Gallery:
        """Return detections on some images beside the truth, what regions look at, and the classes' last scores."""
        return visualize(self, model)

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Return totals, numbers of each class, and the confusion matrix of objects, the background its last class.

        Beside what `evaluate` gives: average recall (AR), and precision and recall of the detections from a score
        threshold on, at the protocol's first IoU threshold, as is the confusion matrix.
        Samples are image (row number), label, score and box of every detection.
        """
        protocol = protocol or self.protocols[0]
        scores = self.collect(model, split, protocol)
        totals = self._totals(scores, split, protocol, recall=True)
        counts = scores.confusion(self._protocol(protocol).thresholds[0], self.score_threshold)
        hits = np.diag(counts)[:-1]
        with np.errstate(invalid="ignore"):
            precision, recall = 100 * hits / counts[:, :-1].sum(0), 100 * hits / counts[:-1].sum(1)
            whole = {
                "precision": 100 * hits.sum() / counts[:, :-1].sum(),
                "recall": 100 * hits.sum() / counts[:-1].sum(),
            }
        totals |= {name: float(value) for name, value in whole.items() if np.isfinite(value)}
        return EvalReport(
            scores=totals | {"score_threshold": self.score_threshold},
            classes=self.data.classes,
            class_metric="AP",
            class_scores=self.last_scores[split, protocol],
            confusion=tuple(tuple(row) for row in counts.tolist()),
            confusion_classes=(*self.data.classes, BACKGROUND),
            class_details={"precision": tuple(precision.tolist()), "recall": tuple(recall.tolist())},
            results=self._results(scores, split) if samples else None,
            samples=self._samples(scores, split) if samples else {},
        )

    def score_at(self, threshold: float) -> None:
        """Count detections from a score on in precision, recall and the confusion matrix.

        Raises:
            SettingsError: it is not from 0 to 1.
        """
        if not 0 <= threshold <= 1:
            raise SettingsError("--score must be from 0 to 1", found=f"{threshold:g}", do="--score 0.5")
        self.score_threshold = threshold

    def match_contract(self, contract: Mapping[str, Any]) -> None:
        """Put the classes of other data, the same by name, into the order of a checkpoint's."""
        self.data.match_classes(contract["classes"])
        self._trained_ids = tuple(contract["category_ids"])

    def _protocol(self, name: str) -> DetectionProtocol:
        return detection_protocol("coco" if self.own_protocol(name) else name)

    @property
    def _most(self) -> int:
        return self.recipe.model.max_detections

    def _totals(self, scores: DetectionScores, split: str, protocol: str, recall: bool = False) -> dict[str, float]:
        settings = self._protocol(protocol)
        totals: dict[str, float] = {}
        for kind, before in (("box", ""), ("mask", "mask_")) if self.masks else (("box", ""),):
            found = scores.score(cast(Kind, kind), settings.thresholds, self._most)
            totals[f"{before}AP"] = found.mean()
            if settings.by_size:
                totals |= {f"{before}AP{percent}": found.mean(threshold=percent / 100) for percent in (50, 75)}
                totals |= {f"{before}AP_{size}": found.mean(size) for size in SIZES[1:]}
            if recall:
                totals[f"{before}AR"] = found.mean_recall()
                totals |= {f"{before}AR_{size}": found.mean_recall(size) for size in SIZES[1:] if settings.by_size}
            if kind == "box":
                by_class = found.of_classes()
                self.last_scores[split, protocol] = tuple(by_class.tolist())
                truth = [entry.objects for entry in self.data.entries(split)]
                items = image_precisions(scores, truth, settings.thresholds, self._most)
                self.last_items[split, protocol] = items
                totals[IMAGE_AP] = float(np.nanmean(items)) if np.isfinite(items).any() else math.nan
                totals["classes"] = float(np.isfinite(by_class).sum())
        totals = {name: value for name, value in totals.items() if not math.isnan(value)} | {"evaluator": EVALUATOR}
        if not self.recipe.metrics:
            return totals
        predictions = [plain_detections(detection) for detection in scores.detections()]
        objects = [plain_objects(entry.objects) for entry in self.data.entries(split)]
        return totals | score_metrics(self.recipe.metrics, predictions, objects)

    def _results(self, scores: DetectionScores, split: str) -> list[dict[str, Any]]:
        """Return every detection in COCO's form, under the set's own numbers of images and categories."""
        ids, sizes = self.data.image_ids(split), [entry.size for entry in self.data.entries(split)]
        return [
            coco_result(tuple(row[3:7]), self.data.category_ids[row[1]], row[2], ids[row[0]], row[7], sizes[row[0]])
            for row in scores.rows()
        ]

    def _samples(self, scores: DetectionScores, split: str) -> dict[str, Tensor]:
        rows = scores.rows()
        index = torch.from_numpy(self.data.split(split).index)
        image = torch.tensor([row[0] for row in rows], dtype=torch.int64)
        return {
            "image": index[image],
            "label": torch.tensor([row[1] for row in rows], dtype=torch.int64),
            "score": torch.tensor([row[2] for row in rows], dtype=torch.float32),
            "box": torch.tensor([row[3:7] for row in rows], dtype=torch.float32).view(-1, 4),
        }


def _maskless(data: DetectionDataset) -> str:
    if not data.maskless:
        return "some objects have boxes alone"
    total = sum(len(entry.objects) for source in data.sources.values() for entry in source.entries)
    some = listing(data.maskless[:_SHOWN])
    more = f" and {len(data.maskless) - _SHOWN} more" if len(data.maskless) > _SHOWN else ""
    return f"{len(data.maskless)} of {total} objects have a box alone: {some}{more}"


def class_graph(recipe: Detect, data: DetectionDataset) -> ClassGraph:
    """Return the recipe's graph, counted on the training split.

    Raises:
        DataError: it does not fit the classes.
    """
    return recipe.graph.build(data.presence("train"), data.classes)
