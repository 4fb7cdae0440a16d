"""Semantic segmentation: a class for every pixel, mean intersection over union."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import DataError
from ablata.base.overrides import override
from ablata.base.parts import WordOrPart
from ablata.base.settings import INCIDENTAL, expand
from ablata.data.any import AnySegmentationData
from ablata.data.segmentation.dataset import SegmentationDataset
from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.engine.optim.parameter_groups import Multiplier
from ablata.engine.predictor import Predictor
from ablata.engine.recipe import Preview
from ablata.engine.task import EvalReport, RunContext
from ablata.losses.contrastive.any import AnySegmentationLoss
from ablata.losses.segmentation.ohem import Ohem
from ablata.metrics.boundary import BoundaryScores
from ablata.metrics.segmentation import SegmentationScores
from ablata.metrics.segmentation_items import SegmentationItems, item_values
from ablata.models.backbones.weights import Loadable
from ablata.models.segmentation.any import AnySegmenter
from ablata.models.segmentation.base import Segmenter
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.nn.lazy_modules import initialize_lazy
from ablata.records.run_folder.gallery import Gallery
from ablata.records.run_folder.items import ItemScores
from ablata.structures.segmentation import IGNORE, SegmentationBatch
from ablata.tasks.dataset_task import DatasetRecipe, DatasetTask, warn_of_probabilities
from ablata.tasks.networks import weights_mark
from ablata.tasks.own_scores import MeanOverImages, check_shape
from ablata.tasks.segmentation.argmax import full_logits, predict_labels
from ablata.tasks.segmentation.check import check_shapes
from ablata.tasks.segmentation.loss import SegmentationLoss
from ablata.tasks.segmentation.protocols import protocol_settings
from ablata.tasks.segmentation.sliding_window import PROTOCOL_NAMES, SegmentationProtocol, SlidingWindow
from ablata.tasks.segmentation.visuals import visualize


class Segment(DatasetRecipe):
    """Recipe of a semantic segmentation network."""

    CLASS_SCORE = "iou"
    SCORES = ("miou", "pixel_accuracy", "mean_accuracy", "boundary_f")
    METRIC_OF = "the predicted and the true label map of an image, [H, W]"

    task: Literal["segment"] = "segment"
    data: AnySegmentationData = SceneMasks()
    model: AnySegmenter = BiSeNet()
    loss: AnySegmentationLoss = Ohem()
    """Of the main head and of each auxiliary one; contrast: and of the embedding of pixels."""
    aux_weight: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the loss of each auxiliary head; the heads themselves are chosen in `model.aux`."""
    new_layers_lr: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the learning rate of the layers that the network's published code calls new: for BiSeNet the fusion
    module and all heads."""
    protocols: Annotated[tuple[WordOrPart, ...], Field(min_length=1)] = ("ss",)
    """Ways to score: ss, ssc, msf, mscf, perhaps with changes: mscf+sliding_window.size=960; or a function of your own
    of network and images that returns logits [B, K, H, W]. The first decides which checkpoint is best, and is
    compared."""
    sliding_window: SlidingWindow = SlidingWindow()
    """The windows of ssc and mscf."""
    boundary: Annotated[float | None, Field(gt=0, lt=1), INCIDENTAL] = None
    """Score the outlines of regions too, as boundary_f: how far from the true one an outline may lie, as a share of the
    image's diagonal (0.0075 in Csurka et al. 2013, 0.008 in DAVIS); null: no. `ablata evaluate RUN boundary=0.0075`
    asks it of a finished run."""

    @classmethod
    def parse_protocol(cls, name: str) -> SegmentationProtocol:
        """Return what a protocol's name stands for; see `protocol_settings`."""
        return protocol_settings(name)

    def effective(self) -> Self:
        """Return the recipe with the rate of new layers written out as parameter groups."""
        if self.new_layers_lr == 1:
            return self
        new = tuple(Multiplier(pattern=pattern, lr=self.new_layers_lr) for pattern in self.model.new_layers())
        groups = self.optim.groups
        groups = groups.model_copy(update={"multipliers": (*groups.multipliers, *new)})
        return self.model_copy(update={"optim": self.optim.model_copy(update={"groups": groups}), "new_layers_lr": 1.0})

    def build(self, seed: int, context: RunContext) -> SegmentTask:
        """Build data, network and loss; see `Recipe.build`."""
        return SegmentTask(self.effective(), self.data.build(context.cache), seed, context)

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of the files joined with that of the splits, and of weights that come from files."""
        data = self.data.build(cache)
        return f"{data.fingerprint[:24]}-{data.splits_hash[:8]}{weights_mark(self.model)}"

    def training_samples(self, cache: Path) -> int:
        """Return the number of training samples; see `Recipe.training_samples`."""
        return len(self.data.build(cache).split("train"))

    def nominal_batch(self, cache: Path) -> Tensor:
        """Return images of the size that training sees; see `Recipe.nominal_batch`."""
        shape, images = self.data.nominal_shape(), self.train.batch_size // self.train.accumulate
        # Only a crop says the size before the files are read.
        cropped = self.data.augment.crop is not None
        size = (shape.height, shape.width) if cropped else self.data.build(cache).image_size
        return torch.empty(max(1, images), shape.channels, *size, device="meta")

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return generated images in place of the data, and what must change with them."""
        from ablata.tasks.segmentation.synthetic import synthetic_parts

        return synthetic_parts(self.data, self.loss)

    def on_other_data(self, kind: str, crop_factor: float) -> Self:
        """Return the recipe on another data set, in smaller crops and windows; see `Recipe.on_other_data`."""
        from ablata.tasks.segmentation.synthetic import other_data_parts

        other = override(self, [f"data={kind}"]).data
        update = other_data_parts(self.data, other, self.sliding_window, self.protocols, crop_factor)
        return self.model_copy(update=update)

    def preview(self, *, seed: int, step: int, count: int, cache: Path) -> Preview:
        """Draw images of one training step as the network sees them, beside their labels; see `Recipe.preview`."""
        from ablata.data.drawing.segmentation import segmentation_sheet
        from ablata.tasks.preview import summary

        data = self.data.build(cache)
        loader = data.train_loader(seed, min(self.train.batch_size, data.sizes["train"]))
        seen = loader.augment(next(loader.batches(step, step + 1)), step, loader.epoch_of(step))
        said = summary(self.data, data, seed, step, "image, label map, both")
        return Preview(segmentation_sheet(seen, data, most=count), said)

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return the segmenter's use on image files; see `Recipe.predictor_class`."""
        from ablata.tasks.segmentation.predictor import SegmentationPredictor

        return SegmentationPredictor


class SegmentTask(DatasetTask[SegmentationBatch]):
    """Segmentation inside the training loop.

    Args:
        recipe: the settings.
        data: the data set.
        seed: the run's seed.
        context: device and share of the work.

    Attributes:
        scored_classes: names of the classes that are scored: all but a void class, which is trained but has no score;
            its pixels are ignored, and it is never predicted.
        last_scores: confusion matrix of the pixels, by split and protocol, of the last evaluation.

    Raises:
        DataError: the batch does not fit the training set.
        SettingsError: the loss does not fit the classes.
    """

    name = "segment"
    offered_protocols = PROTOCOL_NAMES
    keeps_items = True
    recipe: Segment
    data: SegmentationDataset

    def __init__(self, recipe: Segment, data: SegmentationDataset, seed: int, context: RunContext) -> None:
        super().__init__(recipe, data, context)
        self.scored_classes = data.classes if data.table.void == IGNORE else data.classes[: data.table.void]
        self.model: Segmenter = recipe.model.build(len(data.classes), data.channels)
        initialize_lazy(self.model, self.example())
        if isinstance(recipe.model, Loadable):
            recipe.model.load_into(self.model)
        self.criterion = SegmentationLoss(recipe.loss, recipe.aux_weight, self.model, data, context)
        self.outputs = self.criterion.outputs
        self.load_batches(seed)
        self.last_scores: dict[tuple[str, str], SegmentationScores] = {}
        self.last_items: dict[tuple[str, str], SegmentationItems] = {}
        self.planned = recipe.train.total_steps(self.steps_per_epoch)

    def contract(self) -> dict[str, Any]:
        """Return what predictions of this model mean: classes, their ids in masks, what is ignored, preparation."""
        table = self.data.table
        return super().contract() | {
            "scored_classes": list(self.scored_classes),
            "palette": [list(color) for color in table.palette],
            "ids": {"form": table.form, "values": list(table.values), "ignored": list(table.ignored)},
            "ignore_label": self.data.ignore,
            "image_size": list(self.data.image_size),
            "protocols": {
                name: {"function": name} if self.own_protocol(name) else expand(self._protocol(name))
                for name in self.protocols
            },
        }

    def check(self, batch: SegmentationBatch) -> Sequence[str]:
        """Refuse labels outside the class list and outputs that do not fit their labels; warn of probabilities in place
        of logits.

        Raises:
            UserError: names what was found.
        """
        part = batch.chunk(self.recipe.train.accumulate)[0]
        check_shapes(self.model, self.data.classes, part, alone=self.context.group.is_single)
        self.model.eval()
        with torch.no_grad(), torch.random.fork_rng([batch.images.device] if batch.images.is_cuda else []):
            for name in self.own_protocols():
                self.predict(self.model, batch.images[:1], name)
            return warn_of_probabilities(self.model(batch.images[:1])["logits"])

    def augment(self, batch: SegmentationBatch, step: int) -> SegmentationBatch:
        """Augment and normalise a batch on its device."""
        self.criterion.at(min(step / self.planned, 1.0))
        return super().augment(batch, step)

    def loss(self, model: nn.Module, batch: SegmentationBatch) -> dict[str, Tensor]:
        """Return the loss of the main head under its name, of each auxiliary head as `aux<stride>`, and `contrast`."""
        return self.criterion.terms(model(batch.images), batch.labels.long())

    def state(self) -> Mapping[str, Tensor]:
        """Return what the memory of a contrast holds."""
        return self.criterion.state()

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned."""
        self.criterion.load_state(state)

    def check_protocol(self, name: str) -> None:
        """Refuse a name that neither the recipe gives nor `protocol_settings` knows."""
        if name not in self.named:
            self._protocol(name)

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return miou, pixel_accuracy, mean_accuracy and perhaps boundary_f of a split in percent, each image scored
        once."""
        items = self.last_items[split, protocol] = SegmentationItems(len(self.scored_classes), self.data.ignore)
        return self._score(model, split, protocol, items)[1]

    def item_scores(self, split: str, protocol: str) -> ItemScores | None:
        """Return what the last evaluation got on each image; see `Task.item_scores`."""
        if (items := self.last_items.get((split, protocol))) is None:
            return None
        index, counts = items.gathered(self.context.group.all_gather, self.context.device)
        values = {name: column.numpy() for name, column in item_values(counts).items()}
        return self.items_of(split, protocol, index.numpy(), values)

    def score(self, model: nn.Module, split: str, protocol: str) -> SegmentationScores:
        """Count the pixels of a split over all processes."""
        return self._score(model, split, protocol)[0]

    def _score(
        self, model: nn.Module, split: str, protocol: str, items: SegmentationItems | None = None
    ) -> tuple[SegmentationScores, dict[str, float]]:
        """Return the counts of a split over all processes, and all scores."""
        counted = SegmentationScores(len(self.scored_classes), self.data.ignore, self.context.device)
        metrics: list[SegmentationScores | BoundaryScores] = [counted]
        if self.recipe.boundary is not None:
            metrics.append(BoundaryScores(len(self.scored_classes), self.data.ignore, self.recipe.boundary))
        own = MeanOverImages(self.recipe.metrics)
        for batch in self.eval_batches(split):
            predicted, truth = self.predict(model, batch.images, protocol), self.without_void(batch.labels)
            for metric in (*metrics, own):
                metric.update(predicted, truth)
            if items is not None:
                items.update(predicted, truth, batch.index.to(truth.device))
        for metric in metrics:
            self.all_reduce(metric)
        self.last_scores[split, protocol] = counted
        return counted, {name: value for metric in metrics for name, value in metric.scores().items()} | self._means(
            own
        )

    def class_scores(self, split: str, protocol: str) -> dict[str, float]:
        """Return the intersection over union of each class; see `Task.class_scores`."""
        counted = self.last_scores.get((split, protocol))
        values = counted.class_iou().tolist() if counted is not None else []
        return {f"iou/{name}": value for name, value in zip(self.scored_classes, values, strict=False)}

    def _means(self, own: MeanOverImages) -> dict[str, float]:
        sums = torch.tensor([(own.sums[name], own.counts[name]) for name in own.names], dtype=torch.float64)
        if not len(sums):
            return {}
        total = self.context.group.all_reduce_sum(sums.to(self.context.device, torch.float64))
        return {name: float(value / count) for name, (value, count) in zip(own.names, total.tolist(), strict=True)}

    def visualize(self, model: nn.Module) -> Gallery:
        """Return predictions on some images beside labels and errors, and the last IoU of each class."""
        return visualize(self, model)

    def predict(self, model: nn.Module, images: Tensor, protocol: str) -> Tensor:
        """Return the argmax over the scored classes at every pixel.

        Args:
            model: a segmenter, in evaluation mode.
            images: float32 [B, C, H, W], normalised.
            protocol: scales, flips and windows, or a function of the user's own.

        Returns:
            uint8 or int64 [B, H, W], as `predict_labels`.

        Raises:
            SettingsError: the user's function returns no logits of the images' size.
        """
        assert isinstance(model, Segmenter)
        if (own := self.own_protocol(protocol)) is not None:
            wanted = (len(images), len(self.data.classes), *images.shape[-2:])
            logits = check_shape(
                self.named[protocol], own(partial(full_logits, model), images), wanted, "logits [B, K, H, W]"
            )
            return logits[:, : len(self.scored_classes)].argmax(1)
        return predict_labels(model, images, self._protocol(protocol), len(self.scored_classes))

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Return totals, the intersection over union of each class, the confusion matrix of pixels.

        Samples are index int64 [N], size int64 [N, 2], and label and predicted uint8 [N, H, W] of the largest height
        and width: smaller images lie at the top left, ignored beside them. A split without masks has no scores.

        Raises:
            DataError: no pixel of the split counts, and predictions are not asked for.
        """
        protocol = protocol or self.protocols[0]
        if not self.data.pixel_counts(split)[: len(self.scored_classes)].sum():
            if not samples:
                raise DataError(
                    "A split must have masks with pixels that count to be scored",
                    found=f"{split}: no mask, or none that says a class",
                    do="ablata predict RUN FOLDER --output OUT, or keep predictions by --save-predictions FILE",
                )
            return EvalReport({}, samples=self.predictions(model, split, protocol))
        counted, scores = self._score(model, split, protocol)
        return EvalReport(
            scores=scores,
            classes=self.scored_classes,
            class_metric="iou",
            class_scores=tuple(counted.class_iou().tolist()),
            confusion=tuple(tuple(row) for row in counted.confusion().tolist()),
            samples=self.predictions(model, split, protocol) if samples else {},
        )

    def predictions(self, model: nn.Module, split: str, protocol: str) -> dict[str, Tensor]:
        """Return the samples of `evaluate_detailed`, in the order of the split."""
        order = torch.from_numpy(self.data.splits[split].index)
        sizes = torch.from_numpy(self.data.image_sizes(split))
        high, wide = sizes.amax(0).tolist()
        maps = {
            name: torch.full((len(order), high, wide), IGNORE, dtype=torch.uint8) for name in ("label", "predicted")
        }
        position_of = {row: position for position, row in enumerate(order.tolist())}
        for batch in self.eval_batches(split):
            rows = [position_of[row] for row in batch.index.tolist()]
            height, width = batch.labels.shape[1:]
            found = self.predict(model, batch.images, protocol)
            maps["label"][rows, :height, :width] = self.without_void(batch.labels).cpu()
            maps["predicted"][rows, :height, :width] = found.to(torch.uint8).cpu()
        return {"index": order, "size": sizes} | maps

    def _protocol(self, name: str) -> SegmentationProtocol:
        return protocol_settings(name, self.recipe.sliding_window)

    def without_void(self, labels: Tensor) -> Tensor:
        """Return labels with those of a void class ignored."""
        return torch.where(labels < len(self.scored_classes), labels, IGNORE)
