"""Person re-identification: a network learns to tell persons apart, and is scored by finding others it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
from pydantic import model_validator
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError
from ablata.data.any import AnyIdentityData
from ablata.data.classification.label_subset import split_record
from ablata.data.loading.loaders import TrainLoader
from ablata.data.loading.sampling import Balanced
from ablata.data.reid.dataset import ReidDataset, ReidSettings
from ablata.data.synthetic.persons import Persons
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.predictor import Predictor
from ablata.engine.recipe import Preview, Recipe
from ablata.engine.task import EvalReport, Metric, RunContext
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.losses.embedding.triplet import Triplet
from ablata.metrics.retrieval import Distance, RetrievalScores
from ablata.models.backbones.small_resnet import CifarResNet
from ablata.structures.batch import ImageBatch
from ablata.structures.embeddings import JUNK, Embeddings
from ablata.tasks.classification.models import AnyClassifier, start_classifier, weights_mark
from ablata.tasks.distillation.distiller import given_teacher_mark, round_seed
from ablata.tasks.distillation.settings import Refinement, effective_round, round_data, teacher_recipe
from ablata.tasks.distillation.task import DistillableTask
from ablata.tasks.distillation.teachers import PeerPair

PROTOCOL = "cross_camera"
"""Each query searches the gallery, without the images of the same person by the same camera."""


class Reidentify(Recipe):
    """Recipe of a network whose features tell persons apart."""

    task: Literal["reidentify"] = "reidentify"
    data: AnyIdentityData = Persons()
    model: AnyClassifier = CifarResNet()
    loss: CrossEntropy = CrossEntropy()
    """Of the logits, one an identity."""
    triplet: Triplet | None = None
    """Of the features, beside it; null is off."""
    distance: Distance = "cosine"
    """Between features, when a person is searched; cosine ignores their lengths."""
    refine: Refinement | None = None
    """Train on a teacher's predictions, perhaps on images of other persons; null: on the identities."""

    @model_validator(mode="after")
    def _triplets_have_one_label(self) -> Self:
        if self.triplet is not None and self.data.augment.mix is not None:
            raise ValueError(
                "a mixed image has no one identity, so triplet and data.augment.mix exclude each other; "
                "switch one off with =null"
            )
        if not isinstance(round_data(self), ReidSettings):
            raise ValueError("refine.target must be a set of identities: persons or market")
        return self

    def build(self, seed: int, context: RunContext) -> ReidentifyTask:
        """Build data, network and loss; see `Recipe.build`."""
        recipe = self.effective()
        # Of images without labels a student says what its teacher does: whom of the persons it knows they resemble.
        known = self.data.build(context.cache).classes if self.refine is not None and self.refine.unlabelled else None
        seed = round_seed(self.refine, seed)
        return ReidentifyTask(recipe, round_data(recipe).build(context.cache), seed, context, known)

    def effective(self) -> Self:
        """Return the recipe with the settings of its own round in place."""
        return effective_round(self)

    def parent(self) -> Reidentify | None:
        """Return the recipe of the round before this one."""
        return teacher_recipe(self)

    def complexity(self) -> Complexity:
        """Count the network, built without weights for the nominal shape of the data."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            model = self.model.build(shape.classes, shape.channels)
            return count(model, torch.empty(1, shape.channels, shape.height, shape.width))

    def metric(self) -> Metric:
        """Return the mean average precision, on minival where the recipe holds identities out."""
        split = "minival" if round_data(self).minival else "val"
        return Metric("mAP", split=split, protocol=PROTOCOL)

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of the images joined with that of the splits, and of weights read from files."""
        data = round_data(self.effective()).build(cache)
        marks = weights_mark(self.model) + given_teacher_mark(self.refine)
        return f"{data.fingerprint[:24]}-{data.splits_hash[:8]}{marks}"

    def shortened(self, factor: float) -> Self:
        """Return the recipe with every length multiplied, those of all rounds too; see `Recipe.shortened`."""
        short = super().shortened(factor)
        return short if self.refine is None else short.model_copy(update={"refine": self.refine.shortened(factor)})

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return generated images in place of the data, and what must change with them."""
        from ablata.tasks.reid.synthetic import synthetic_parts

        return synthetic_parts(self.data, self.refine)

    def preview(self, *, seed: int, step: int, count: int, cache: Path) -> Preview:
        """Draw the images of one training step, each as it is beside what the network sees; see `Recipe.preview`."""
        from ablata.tasks.preview import preview_images

        return preview_images(self, self.data, seed=seed, step=step, count=count, cache=cache)

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return the embedding network's use on image files; see `Recipe.predictor_class`."""
        from ablata.tasks.reid.predictor import ReidPredictor

        return ReidPredictor


class ReidentifyTask(DistillableTask):
    """Re-identification inside the training loop.

    Training images may show persons who are not in the network's class list: where `classes` are given, labels read
    -1, so that nothing can learn from them.

    Args:
        recipe: the settings.
        data: what is trained and scored on.
        seed: the run's seed.
        context: device and share of the work.
        classes: identities that the logits stand for; None: those of `data`.

    Raises:
        DataError: the batch does not fit the training set, or no query has an answer.
        SettingsError: triplets or balanced batches are asked for where labels are not to be used, or an identity's
            images would be torn apart.
    """

    protocols = (PROTOCOL,)
    data: ReidDataset

    def __init__(
        self,
        recipe: Reidentify,
        data: ReidDataset,
        seed: int,
        context: RunContext,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.recipe, self.data, self.context = recipe, data, context
        self.labelled = classes is None
        self.classes = data.classes if classes is None else tuple(classes)
        self.splits = tuple(split for split in ("minival", "val") if split in data.splits)
        self._refuse_settings()
        self.outputs = ("logits",) if recipe.triplet is None else ("logits", "features")
        self.model = self._network()
        if recipe.refine is not None and recipe.refine.has_peer:
            self.model, self.outputs = PeerPair(self.model, self._network()), (*self.outputs, "peer_logits")
        self.criterion = recipe.loss.build()
        self.triplet = None if recipe.triplet is None else recipe.triplet.build()
        self.loader: TrainLoader[ImageBatch] = data.train_loader(
            seed,
            recipe.train.batch,
            rank=context.group.rank,
            world_size=context.group.world_size,
            device=context.device,
            channels_last=context.channels_last,
        )
        self.steps_per_epoch = self.loader.steps_per_epoch
        self.notices = (*data.notices, *self._unanswerable())
        self.find_teacher(recipe, recipe.refine, data)

    def _network(self) -> nn.Module:
        images = self.data.eval_loader
        return start_classifier(
            self.recipe.model,
            len(self.classes),
            self.data.channels,
            lambda wanted: next(iter(images("train", wanted))).images,
        )

    def contract(self) -> dict[str, Any]:
        """Return what features and scores mean: identities, size, normalisation, decoder, protocol; and who taught."""
        return self.teacher_facts() | {
            "task": "reidentify",
            "classes": list(self.classes),
            "image_size": list(self.data.image_size),
            "channels": self.data.channels,
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            "image_backend": self.data.backend,
            "protocols": list(self.protocols),
            "distance": self.recipe.distance,
            "splits": self.data.splits_hash,
        }

    def split_record(self) -> dict[str, Any]:
        """Return the data's fingerprint and the row numbers of each split, where identities are held out."""
        return split_record(self.data) if "minival" in self.splits else {}

    def example(self) -> Tensor:
        """Return a grey image [1, C, H, W]."""
        return torch.zeros(1, self.data.channels, *self.data.image_size)

    def check(self, batch: ImageBatch) -> None:
        """Refuse labels outside the class list and outputs of another shape.

        Raises:
            DataError: names what was found.
        """
        self.refuse_without_teacher(self.recipe.refine)
        classes = len(self.classes)
        low, high = int(batch.labels.min()), int(batch.labels.max())
        if self.labelled and (low < 0 or high >= classes):
            raise DataError(f"Labels must lie in 0..{classes - 1}", found=f"labels from {low} to {high}")
        self.model.eval()
        with torch.no_grad():
            outputs = self.model(batch.images[:1])
        logits, features = (tuple(outputs[name].shape) for name in ("logits", "features"))
        if logits != (1, classes):
            raise DataError(
                "The network must give one logit an identity", found=f"logits {logits} for {classes} and one image"
            )
        if len(features) != 2:
            raise DataError("The network must give one vector of features an image", found=f"features {features}")

    def batches(self, start: int, stop: int) -> Iterator[ImageBatch]:
        """Yield this process's share of the batches of steps `start` to `stop`; without labels where not labelled."""
        for batch in self.loader.batches(start, stop):
            yield batch if self.labelled else replace(batch, labels=torch.full_like(batch.labels, JUNK))

    def augment(self, batch: ImageBatch, step: int) -> ImageBatch:
        """Augment and normalise a batch on its device."""
        return self.loader.augment(batch, step, self.loader.epoch_of(step))

    def loss(self, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        """Return the terms of a batch."""
        outputs = model(batch.images)
        terms = self.identity_terms(outputs, batch)
        if self.triplet is not None and self.recipe.triplet is not None:
            terms["triplet"] = self.recipe.triplet.weight * self.triplet(outputs["features"], batch.labels)
        return terms

    def identity_terms(self, outputs: dict[str, Tensor], batch: ImageBatch) -> dict[str, Tensor]:
        """Return what teaches the logits who is who: cross-entropy with the labels, or what a teacher asks.

        Args:
            outputs: what the model made of the batch.
            batch: augmented.
        """
        if self.distiller is not None:
            return self.distiller.loss(outputs, batch)
        return {"cross_entropy": self.hard_loss(outputs["logits"], batch)}

    def hard_loss(self, logits: Tensor, batch: ImageBatch) -> Tensor:
        """Return the mean loss against labels, mixed ones where images are mixed."""
        mixing = batch.mixing
        mixed = () if mixing is None else (mixing.labels_b, mixing.lam, mixing.mix_target)
        return cast(Tensor, self.criterion(logits, batch.labels, *mixed))

    def target(self, batch: ImageBatch) -> Tensor:
        """Return the labels as distributions, float32 [B, K], smoothed and mixed."""
        mixing = batch.mixing
        mixed = () if mixing is None else (mixing.labels_b, mixing.lam)
        return self.criterion.target(batch.labels, len(self.classes), *mixed)

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return rank1, rank5, rank10 and mAP of a split in percent; each image is embedded once, on one process.

        A taught round has its teacher's scores on the same images too: `teacher_mAP` and the like.
        """
        scores = self.score(self.embed(model, split), split).scores()
        if self.distiller is None:
            return scores
        return scores | self.distiller.scores(
            split, protocol, lambda network, part, _: self.score(self.embed(network, part), part).scores()
        )

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Return totals and, for each identity, how often the nearest image was right and whose it was instead.

        Samples are index, label (a position in `classes`), camera, query and gallery (flags), and features [N, D].
        """
        seen, sightings = self.embed(model, split), self.data.retrieval_split(split)
        counted = self.score(seen, split)
        queries = seen.at(sightings.queries.to(seen.identities.device))
        queries = queries.at(counted.answerable(queries))
        confusion = torch.zeros(len(sightings.names), len(sightings.names), dtype=torch.int64)
        found = (queries.identities.cpu(), counted.nearest(queries).cpu())
        confusion.index_put_(found, torch.ones_like(found[0]), accumulate=True)
        accuracy = 100 * confusion.diagonal().double() / confusion.sum(1)
        rows = {
            "index": torch.from_numpy(self.data.splits[split].index),
            "label": sightings.identities,
            "camera": sightings.cameras,
            "query": sightings.queries,
            "gallery": sightings.gallery,
            "features": seen.features.cpu(),
        }
        return EvalReport(
            scores=counted.scores(),
            classes=sightings.names,
            class_metric="accuracy",
            class_scores=tuple(accuracy.tolist()),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            samples=rows if samples else {},
        )

    def embed(self, model: nn.Module, split: str) -> Embeddings:
        """Return the features float32 [N, D] of all images of a split, on every process."""
        sightings, place = self.data.retrieval_split(split), self.context.group
        share = self.data.eval_loader(
            split,
            self.recipe.train.evaluate_batch,
            rank=place.rank,
            world_size=place.world_size,
            device=self.context.device,
            channels_last=self.context.channels_last,
        )
        own = torch.cat([model(batch.images)["features"].float() for batch in share])
        features = own.new_zeros(len(sightings.identities), own.shape[1])
        features[place.rank :: place.world_size] = own
        identities, cameras = (part.to(self.context.device) for part in (sightings.identities, sightings.cameras))
        return Embeddings(place.all_reduce_sum(features), identities, cameras)

    def score(self, seen: Embeddings, split: str) -> RetrievalScores:
        """Search the split's gallery with its queries, each on one of the processes, and count over all of them."""
        sightings, place = self.data.retrieval_split(split), self.context.group
        gallery = torch.nonzero(sightings.gallery)[:, 0].to(seen.identities.device)
        queries = torch.nonzero(sightings.queries)[:, 0].to(seen.identities.device)
        counted = RetrievalScores(seen.at(gallery), self.recipe.distance)
        counted.update(seen.at(queries[place.rank :: place.world_size]))
        counted.load_state({name: place.all_reduce_sum(tensor) for name, tensor in counted.state().items()})
        return counted

    def _refuse_settings(self) -> None:
        recipe, sampling = self.recipe, round_data(self.recipe).sampling
        balanced = isinstance(sampling, Balanced)
        if not self.labelled and (balanced or recipe.triplet is not None):
            raise SettingsError(
                "Training without labels can neither form triplets nor balance identities",
                found=f"triplet={recipe.triplet and recipe.triplet.kind}, data.sampling={sampling.kind}",
                do="triplet=null data.sampling=shuffled",
            )
        parts = self.context.group.world_size * recipe.train.accumulate
        if isinstance(sampling, Balanced) and recipe.triplet and recipe.train.batch % (parts * sampling.images):
            raise SettingsError(
                "The images of an identity must stay together: train.batch must be a multiple of "
                f"data.sampling.images x processes x train.accumulate = {parts * sampling.images}",
                found=f"train.batch={recipe.train.batch}",
            )

    def _unanswerable(self) -> Iterator[str]:
        """Yield a notice for each split with queries that nothing in the gallery answers, or refuse it if all are."""
        for split in self.splits:
            sightings = self.data.retrieval_split(split)
            seen = Embeddings(torch.zeros(len(sightings.identities), 0), sightings.identities, sightings.cameras)
            queries = seen.at(sightings.queries)
            without = int((~RetrievalScores(seen.at(sightings.gallery)).answerable(queries)).sum())
            if without == len(queries):
                raise DataError(
                    "Persons of the gallery must be seen by another camera than the one they are searched with",
                    found=f"none of {len(queries)} queries of {split} has such an image",
                )
            if without:
                yield f"{without} of {len(queries)} queries of {split} have no image by another camera: left out"
