"""Image classification: a data set, a network, cross-entropy, top-k accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.errors import DataError
from ablata.base.parts import NamedPart, part_name
from ablata.data.any import AnyImageData
from ablata.data.classification.digits import Digits
from ablata.data.classification.label_subset import LabelSubset
from ablata.data.classification.report import Report
from ablata.data.loading.labeled_images import LabeledImageDataset
from ablata.data.loading.loaders import EvalLoader
from ablata.data.loading.splits import hold_out
from ablata.data.reid.dataset import ReidSettings
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.predictor import Predictor
from ablata.engine.task import EvalReport, RunContext
from ablata.losses.classification.any import AnyLabelLoss
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.metrics.classification import ClassificationScores
from ablata.metrics.classification_items import ClassificationItems
from ablata.models.classification.any import AnyClassifier
from ablata.models.classification.digits_net import DigitsNet
from ablata.records.run_folder.items import ItemScores
from ablata.structures.batch import ImageBatch
from ablata.tasks.class_weights import with_label_weights
from ablata.tasks.classification.protocols import PROTOCOLS, Protocol, eval_crop, predict
from ablata.tasks.classification.rotation import Rotation
from ablata.tasks.dataset_task import check_labels, warn_of_probabilities
from ablata.tasks.distillation.distiller import round_seed
from ablata.tasks.distillation.settings import Refinement, round_data
from ablata.tasks.distillation.task import DistillableRecipe, DistillableTask
from ablata.tasks.networks import start_classifier
from ablata.tasks.own_scores import score_metrics


class Classify(DistillableRecipe):
    """Recipe of an image classifier."""

    CLASS_SCORE = "accuracy"
    SCORES = ("top1", "top5", "loss")
    METRIC_OF = "probabilities [N, K] and labels [N]"

    task: Literal["classify"] = "classify"
    data: AnyImageData = Digits()
    model: AnyClassifier = DigitsNet()
    loss: AnyLabelLoss = CrossEntropy()
    label_subset: LabelSubset | None = None
    """Use only these labels: train on this part of the training set; null: on all of it."""
    refine: Refinement | None = None
    """Train on a teacher's predictions, the last of a chain of rounds; null: on the labels."""
    rotation: Rotation | None = None
    """Let a second head tell turned copies of the images apart; null: none."""
    protocols: Annotated[tuple[Protocol | NamedPart, ...], Field(min_length=1)] = ("plain",)
    """Ways to score, such as plain, mirror or ten_crop, or a function of your own of network and images that returns
    logits. The first decides which checkpoint is best, and is compared."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.rotation is not None and self.refine is not None and self.refine.has_peer:
            raise ValueError("rotation does not go with a peer as teacher: set rotation=null or another refine.teacher")
        paired = isinstance(self.loss, CrossEntropy) and self.loss.on is not None
        if paired and self.refine is not None and self.refine.smoothing:
            raise ValueError("refine.smoothing changes loss.smoothing, in whose place loss.on stands: set one of them")
        if isinstance(self.loss, CrossEntropy) and self.loss.weights is not None and self.refine is not None:
            raise ValueError("loss.weights weighs labels, and refine learns from predictions: set one of them to null")
        if isinstance(round_data(self), ReidSettings):
            raise ValueError(
                f"refine.target must be a set of classes, and {round_data(self).kind} is one of identities"
            )
        return self

    def build(self, seed: int, context: RunContext) -> ClassifyTask:
        """Build data, network and loss; see `Recipe.build`."""
        recipe = self.effective()
        return ClassifyTask(recipe, recipe.training_data(context.cache), round_seed(self.refine, seed), context)

    def why_alone(self) -> str:
        """Return why runs of it are trained one by one: a teacher, or a second head; see `Recipe.why_alone`."""
        if self.refine is not None:
            return "a student is trained beside its own teacher (refine)"
        return "" if self.rotation is None else "a network that tells turned images apart sees them twice (rotation)"

    def training_data(self, cache: Path) -> LabeledImageDataset:
        """Return the data set of an effective recipe, restricted to the labelled part where one is asked for."""
        data: LabeledImageDataset = round_data(self).build(cache)
        return self.label_subset.restrict(data) if self.label_subset else data

    def nominal_network(self) -> nn.Module:
        """Return the network without weights; see `Recipe.nominal_network`."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            model: nn.Module = self.model.build(shape.classes, shape.channels)
            image = torch.empty(1, shape.channels, shape.height, shape.width)
            return self.rotation.attach(model, image) if self.rotation else model

    def complexity(self) -> Complexity:
        """Count the network, built without weights for the nominal shape of the data."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            return count(self.nominal_network(), torch.empty(1, shape.channels, shape.height, shape.width))

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of the files joined with that of the splits, and of weights that come from files."""
        return self.fingerprint_of(self.effective().training_data(cache))

    def training_samples(self, cache: Path) -> int:
        """Return the number of training samples; see `Recipe.training_samples`."""
        return len(self.effective().training_data(cache).split("train"))

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return generated images in place of the data, and what must change with them."""
        from ablata.tasks.classification.synthetic import synthetic_parts

        return synthetic_parts(self.data, self.label_subset, self.refine)

    def check_data(self, cache: Path) -> Report:
        """Read every image and report what is wrong, by file; see `Recipe.check_data`."""
        from ablata.data.classification.image_folder import ImageFolder
        from ablata.data.classification.report import check_files, check_images
        from ablata.data.classification.shards import Shards

        if isinstance(self.data, ImageFolder | Shards):
            found = self.data.listed(cache)
            labels = found.labels["train"]
            hold_out(labels[labels >= 0], self.data.minival, self.data.split_seed, "data.minival")
            return check_files(found, self.data.size, self.data.image_rules())
        return check_images(self.data.build(cache))

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return the classifier's use on image files; see `Recipe.predictor_class`."""
        from ablata.tasks.classification.predictor import ClassificationPredictor

        return ClassificationPredictor


class ClassifyTask(DistillableTask):
    """Classification inside the training loop.

    Args:
        recipe: the settings.
        data: the data set.
        seed: the run's seed.
        context: device and share of the work.

    Attributes:
        last_scores: counted predictions, by split and protocol, of the last evaluation.
        last_items: the same of each image.

    Raises:
        DataError: the batch does not fit the training set.
    """

    name = "classify"
    offered_protocols = PROTOCOLS
    keeps_items = True
    recipe: Classify
    data: LabeledImageDataset

    def __init__(self, recipe: Classify, data: LabeledImageDataset, seed: int, context: RunContext) -> None:
        super().__init__(recipe, data, context)
        self.classes, self.outputs = data.classes, ("logits",)
        self.last_scores: dict[tuple[str, str], ClassificationScores] = {}
        self.last_items: dict[tuple[str, str], ClassificationItems] = {}
        for protocol in recipe.protocols:
            data.check_crop(eval_crop(protocol))
        self.pair_with_peer(self._network)
        if recipe.rotation is not None:
            self.model, self.outputs = recipe.rotation.attach(self.model, self.example()), ("logits", "rotation")
        labels = data.split_labels("train").numpy()
        self.criterion = with_label_weights(recipe.loss, self.classes, labels).build()
        self.load_batches(seed)
        self.find_teacher()

    def _network(self) -> nn.Module:
        return start_classifier(self.recipe.model, len(self.classes), self.data.channels, self._spread_images)

    def check(self, batch: ImageBatch) -> Sequence[str]:
        """Refuse labels outside the class list and logits of another shape; warn of probabilities in place of logits.

        Raises:
            DataError: names what was found.
        """
        self.refuse_without_teacher()
        classes = len(self.data.classes)
        check_labels(batch.labels, classes)
        self.model.eval()
        with torch.no_grad():
            logits = self.model(batch.images[:1])["logits"]
        shape = tuple(logits.shape)
        if shape != (1, classes):
            raise DataError(
                "The network must give one logit a class",
                found=f"logits {shape} for {classes} classes and one image",
                do=f"return a tensor [B, {classes}], which num_classes of the constructor tells",
            )
        with torch.no_grad():
            for name in self.own_protocols():
                self._logits(self.model, batch.images[:2], name)
        return warn_of_probabilities(logits)

    def loss(self, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        """Return the recipe's loss of a batch under its name, or the terms that a teacher asks for.

        Mixed images are taken against mixed labels. With a head for rotation its loss is beside it, as `rotation`.
        """
        beside: dict[str, Tensor] = {}
        if self.recipe.rotation is None:
            outputs = model(batch.images)
        else:
            outputs, beside["rotation"] = self.recipe.rotation.forward(model, batch.images)
        if self.distiller is not None:
            return self.distiller.loss(outputs, batch) | beside
        return {part_name(self.recipe.loss): self.hard_loss(outputs["logits"], batch)} | beside

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return top1, top5 in percent and the mean cross-entropy of a split, each image scored once.

        A student has its teacher's scores on the same images too: `teacher_top1` and the like.
        """
        items = self.last_items[split, protocol] = ClassificationItems(len(self.data.classes))
        counted = self.last_scores[split, protocol] = self.score(model, split, protocol, items)
        scores = counted.scores() | self._own_scores(model, split, protocol)
        if self.distiller is None:
            return scores
        beside = self.distiller.scores(split, protocol, lambda *asked: self.score(*asked).scores())
        return scores | beside

    def class_scores(self, split: str, protocol: str) -> dict[str, float]:
        """Return the accuracy of each class; see `Task.class_scores`."""
        counted = self.last_scores.get((split, protocol))
        values = counted.class_accuracy().tolist() if counted is not None else []
        return {f"accuracy/{name}": value for name, value in zip(self.data.classes, values, strict=False)}

    def item_scores(self, split: str, protocol: str) -> ItemScores | None:
        """Return what the last evaluation got on each image; see `Task.item_scores`."""
        if (items := self.last_items.get((split, protocol))) is None:
            return None
        index, values = items.gathered(self.context.group.all_gather, self.context.device)
        columns = dict(zip(items.names, values.double().numpy().T, strict=True))
        return self.items_of(split, protocol, index.numpy(), columns)

    def score(
        self, model: nn.Module, split: str, protocol: str, items: ClassificationItems | None = None
    ) -> ClassificationScores:
        """Count a split's predictions over all processes: accuracy of each class and the confusion matrix too.

        Args:
            model: the network.
            split: any of the data's.
            protocol: how to score.
            items: takes each image of this process, too; None: nobody does.
        """
        counted = ClassificationScores(len(self.data.classes), device=self.context.device)
        for batch in self._evaluation(split, protocol):
            logits = self._logits(model, batch.images, protocol)
            counted.update(logits, batch.labels)
            if items is not None:
                items.update(logits, batch.labels, batch.index.to(logits.device))
        self.all_reduce(counted)
        return counted

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Return totals, the accuracy of each class, the confusion matrix and, if asked for, the predictions."""
        protocol = protocol or self.protocols[0]
        counted = self.score(model, split, protocol)
        return EvalReport(
            scores=counted.scores() | self._own_scores(model, split, protocol),
            classes=self.data.classes,
            class_metric="accuracy",
            class_scores=tuple(counted.class_accuracy().tolist()),
            confusion=tuple(tuple(row) for row in counted.confusion().tolist()),
            samples=self.predictions(model, split, protocol) if samples else {},
        )

    def predictions(self, model: nn.Module, split: str, protocol: str) -> dict[str, Tensor]:
        """Return every sample's index int64 [N], label int64 [N] and logits float32 [N, K], on one process."""
        rows = [
            (batch.index, batch.labels, self._logits(model, batch.images, protocol).float())
            for batch in self._evaluation(split, protocol)
        ]
        index, labels, logits = (torch.cat(column).cpu() for column in zip(*rows, strict=True))
        return {"index": index, "label": labels, "logits": logits}

    def _own_scores(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return what the user's metrics say of the split, over all processes."""
        if not self.recipe.metrics:
            return {}
        rows = [
            (self._logits(model, batch.images, protocol).float().softmax(1), batch.labels)
            for batch in self._evaluation(split, protocol)
        ]
        found, labels = (self.context.group.all_gather(torch.cat(column)).cpu() for column in zip(*rows, strict=True))
        return score_metrics(self.recipe.metrics, found, labels)

    def _logits(self, model: nn.Module, images: Tensor, protocol: str) -> Tensor:
        name, classes = self.named.get(protocol, protocol), len(self.data.classes)
        return predict(lambda views: model(views)["logits"], images, name, self.data.image_size, classes)

    def _spread_images(self, count: int) -> Tensor:
        """Return training images, normalised float32 [N, C, H, W] on the processor, evenly spread over the set: files
        may be sorted by class."""
        loader = self.data.eval_loader("train", count)
        every = len(loader.index)
        count = min(count, every)
        chosen = loader.index[np.arange(count) * every // count]
        return next(iter(replace(loader, index=chosen))).images

    def _evaluation(self, split: str, protocol: str) -> EvalLoader[ImageBatch]:
        return self.eval_batches(split, crop=eval_crop(protocol))
