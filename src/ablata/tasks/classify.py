"""Image classification: a data set, a network, cross-entropy, top-k accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ablata.base.errors import DataError
from ablata.data.any import AnyImageData
from ablata.data.digits import Digits
from ablata.data.source import ImageData, TrainLoader
from ablata.engine.complexity import Complexity, count
from ablata.engine.recipe import Recipe
from ablata.engine.task import Examination, Metric, Site, Task
from ablata.losses.cross_entropy import CrossEntropy
from ablata.metrics.classification import ClassificationScores
from ablata.models.digits_net import DigitsNet
from ablata.nn.first_images import StartsFromImages
from ablata.structures.batch import ImageBatch
from ablata.tasks.classifiers import AnyClassifier
from ablata.tasks.protocols import Protocol, predict


class Classify(Recipe):
    """Recipe of an image classifier."""

    task: Literal["classify"] = "classify"
    data: AnyImageData = Digits()
    model: AnyClassifier = DigitsNet()
    loss: CrossEntropy = CrossEntropy()
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] = ("plain",)
    """Ways to score: plain, mirror, mirror_translate. The first decides which checkpoint is best, and is compared."""

    @field_validator("protocols")
    @classmethod
    def _each_once(cls, protocols: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        if len(set(protocols)) != len(protocols):
            raise ValueError("must name each protocol once")
        return protocols

    def build(self, seed: int, site: Site) -> ClassifyTask:
        """Build data, network and loss; see `Recipe.build`."""
        return ClassifyTask(self, self.data.build(site.cache), seed, site)

    def complexity(self) -> Complexity:
        """Count the network, built without weights for the nominal shape of the data."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            model = self.model.build(shape.classes, shape.channels)
            return count(model, torch.empty(1, shape.channels, shape.height, shape.width))

    def metric(self) -> Metric:
        """Return top-1 accuracy under the first protocol, on minival where the recipe holds one out."""
        return Metric("top1", split="minival" if self.data.minival else "val", protocol=self.protocols[0])

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of the files joined with that of the splits."""
        data = self.data.build(cache)
        return f"{data.fingerprint[:24]}-{data.splits_hash[:8]}"


class ClassifyTask(Task):
    """Classification inside the training loop.

    Args:
        recipe: the settings.
        data: the data set.
        seed: the run's seed.
        site: device and share of the work.

    Raises:
        DataError: the batch does not fit the training set.
    """

    def __init__(self, recipe: Classify, data: ImageData, seed: int, site: Site) -> None:
        self.recipe, self.data, self.site = recipe, data, site
        self.splits = tuple(split for split in ("minival", "val") if split in data.splits)
        self.notices, self.outputs, self.protocols = data.notices, ("logits",), recipe.protocols
        self.model = recipe.model.build(len(data.classes), data.channels)
        if isinstance(self.model, StartsFromImages) and self.model.images_wanted:
            self.model.start_from(self._first_images(self.model.images_wanted))
        self.criterion = recipe.loss.build()
        self.loader: TrainLoader = data.train_loader(
            seed,
            recipe.train.batch,
            rank=site.distribution.rank,
            world=site.distribution.world,
            device=site.device,
            channels_last=site.channels_last,
        )
        self.steps_per_epoch = self.loader.steps_per_epoch

    def contract(self) -> dict[str, Any]:
        """Return classes, image size, normalisation and decoder: what predictions of this model mean."""
        return {
            "task": "classify",
            "classes": list(self.data.classes),
            "image_size": list(self.data.image_size),
            "channels": self.data.channels,
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            "image_backend": self.data.backend,
            "protocols": list(self.protocols),
            "splits": self.data.splits_hash,
        }

    def split_indices(self) -> dict[str, list[int]]:
        """Return the row numbers of each split in its source."""
        return self.data.split_indices()

    def example(self) -> Tensor:
        """Return a grey image [1, C, H, W]."""
        return torch.zeros(1, self.data.channels, *self.data.image_size)

    def check(self, batch: ImageBatch) -> None:
        """Refuse labels outside the class list and logits of another shape.

        Raises:
            DataError: names what was found.
        """
        classes = len(self.data.classes)
        low, high = int(batch.labels.min()), int(batch.labels.max())
        if low < 0 or high >= classes:
            raise DataError(f"Labels must lie in 0..{classes - 1}", found=f"labels from {low} to {high}")
        self.model.eval()
        with torch.no_grad():
            shape = tuple(self.model(batch.images[:1])["logits"].shape)
        if shape != (1, classes):
            raise DataError(
                "The network must give one logit a class", found=f"logits {shape} for {classes} classes and one image"
            )

    def batches(self, start: int, stop: int) -> Iterator[ImageBatch]:
        """Yield this process's share of the batches of steps `start` to `stop`."""
        return self.loader.batches(start, stop)

    def augment(self, batch: ImageBatch, step: int) -> ImageBatch:
        """Augment and normalise a batch on its device."""
        return self.loader.augment(batch, step, self.loader.epoch_of(step))

    def loss(self, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        """Return the cross-entropy of a batch, against mixed labels where images are mixed."""
        logits = model(batch.images)["logits"]
        if batch.mixing is None:
            return {"cross_entropy": self.criterion(logits, batch.labels)}
        mixing = batch.mixing
        return {
            "cross_entropy": self.criterion(logits, batch.labels, mixing.partner_labels, mixing.weight, mixing.form)
        }

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return top1, top5 in percent and the mean cross-entropy of a split, each image scored once."""
        return self.score(model, split, protocol).scores()

    def score(self, model: nn.Module, split: str, protocol: str) -> ClassificationScores:
        """Count a split's predictions over all processes: accuracy of each class and the confusion matrix too."""
        counted = ClassificationScores(len(self.data.classes), device=self.site.device)
        for batch in self._evaluation(split):
            counted.update(self._logits(model, batch.images, protocol), batch.labels)
        counted.load_state({name: self.site.distribution.sum(tensor) for name, tensor in counted.state().items()})
        return counted

    def examine(self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None) -> Examination:
        """Return totals, the accuracy of each class, the confusion matrix and, if asked for, the predictions."""
        protocol = protocol or self.protocols[0]
        counted = self.score(model, split, protocol)
        return Examination(
            scores=counted.scores(),
            classes=self.data.classes,
            class_accuracy=tuple(counted.class_accuracy().tolist()),
            confusion=tuple(tuple(row) for row in counted.confusion().tolist()),
            samples=self.predictions(model, split, protocol) if samples else {},
        )

    def predictions(self, model: nn.Module, split: str, protocol: str) -> dict[str, Tensor]:
        """Return every sample's index int64 [N], label int64 [N] and logits float32 [N, K], on one process."""
        rows = [
            (batch.index, batch.labels, self._logits(model, batch.images, protocol).float())
            for batch in self._evaluation(split)
        ]
        index, labels, logits = (torch.cat(column).cpu() for column in zip(*rows, strict=True))
        return {"index": index, "label": labels, "logits": logits}

    def _logits(self, model: nn.Module, images: Tensor, protocol: str) -> Tensor:
        return predict(lambda views: model(views)["logits"], images, cast(Protocol, protocol))

    def _first_images(self, count: int) -> Tensor:
        """Return the first training images, normalised float32 [N, C, H, W] on the processor."""
        return next(iter(self.data.eval_loader("train", count))).images

    def _evaluation(self, split: str) -> Iterator[ImageBatch]:
        place = self.site.distribution
        return iter(
            self.data.eval_loader(
                split,
                self.recipe.train.evaluate_batch,
                rank=place.rank,
                world=place.world,
                device=self.site.device,
                channels_last=self.site.channels_last,
            )
        )
