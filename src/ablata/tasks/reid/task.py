"""Person re-identification: features trained on some identities, scored by retrieval of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.errors import DataError, SettingsError
from ablata.base.parts import NamedPart, part_name
from ablata.data.any import AnyIdentityData
from ablata.data.loading.sampling import Balanced
from ablata.data.reid.dataset import ReidDataset, ReidSettings
from ablata.data.synthetic.persons import Persons
from ablata.engine.predictor import Predictor
from ablata.engine.task import EvalReport, RunContext
from ablata.losses.classification.any import AnyLabelLoss
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.losses.embedding.any import AnyEmbeddingLoss
from ablata.metrics.retrieval import Distance, RetrievalScores
from ablata.models.classification.any import AnyClassifier
from ablata.models.classification.small_resnet import CifarResNet
from ablata.records.run_folder.items import ItemScores
from ablata.structures.batch import ImageBatch
from ablata.structures.embeddings import JUNK, Embeddings
from ablata.tasks.class_weights import with_label_weights
from ablata.tasks.dataset_task import check_labels, warn_of_probabilities
from ablata.tasks.distillation.distiller import round_seed
from ablata.tasks.distillation.settings import Refinement, round_data
from ablata.tasks.distillation.task import DistillableRecipe, DistillableTask
from ablata.tasks.networks import start_classifier
from ablata.tasks.own_scores import check_shape, score_metrics

if TYPE_CHECKING:
    from ablata.data.reid.report import IdentityReport

PROTOCOL: Literal["cross_camera"] = "cross_camera"


class Reidentify(DistillableRecipe):
    """Recipe of a person re-identification network."""

    SCORES = ("mAP", "rank1", "rank5", "rank10")
    METRIC_OF = "distances [Q, G] and right answers, bool [Q, G]"

    task: Literal["reidentify"] = "reidentify"
    data: AnyIdentityData = Persons()
    model: AnyClassifier = CifarResNet()
    loss: AnyLabelLoss = CrossEntropy()
    """Of the logits, one an identity."""
    triplet: AnyEmbeddingLoss | None = None
    """Of the features, beside it: triplets, or a function of your own of features and labels; null is off."""
    protocols: Annotated[tuple[Literal["cross_camera"] | NamedPart, ...], Field(min_length=1)] = (PROTOCOL,)
    """Ways to score: cross_camera (each query searches the gallery, without the images of the same person by the same
    camera); or the same with a function of your own of network and images that returns features [B, D]. The first
    decides which checkpoint is best, and is compared."""
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
        if isinstance(self.loss, CrossEntropy) and self.loss.weights is not None and self.refine is not None:
            raise ValueError("loss.weights weighs labels, and refine learns from predictions: set one of them to null")
        if not isinstance(round_data(self), ReidSettings):
            raise ValueError("refine.target must be a set of identities: persons or market")
        return self

    def build(self, seed: int, context: RunContext) -> ReidentifyTask:
        """Build data, network and loss; see `Recipe.build`."""
        recipe = self.effective()
        # Without labels the student has its teacher's classes: the identities that the teacher was trained on.
        known = self.data.build(context.cache).classes if self.refine is not None and self.refine.unlabeled else None
        seed = round_seed(self.refine, seed)
        return ReidentifyTask(recipe, round_data(recipe).build(context.cache), seed, context, known)

    def data_fingerprint(self, cache: Path) -> str:
        """Return the fingerprint of the images joined with that of the splits, and of weights read from files."""
        return self.fingerprint_of(round_data(self.effective()).build(cache))

    def training_samples(self, cache: Path) -> int:
        """Return the number of training samples; see `Recipe.training_samples`."""
        return len(round_data(self.effective()).build(cache).split("train"))

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return generated images in place of the data, and what must change with them."""
        from ablata.tasks.reid.synthetic import synthetic_parts

        return synthetic_parts(self.data, self.refine)

    def check_data(self, cache: Path) -> IdentityReport:
        """Read every image and report what is wrong, by file; see `Recipe.check_data`."""
        from ablata.data.reid.report import check_identities

        return check_identities(self.data, cache)

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

    name = "reidentify"
    keeps_items = True
    recipe: Reidentify
    data: ReidDataset

    def __init__(
        self,
        recipe: Reidentify,
        data: ReidDataset,
        seed: int,
        context: RunContext,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.last_scores: dict[tuple[str, str], RetrievalScores] = {}
        super().__init__(recipe, data, context)
        self.labelled = classes is None
        self.classes = data.classes if classes is None else tuple(classes)
        self._refuse_settings()
        self.outputs = ("logits",) if recipe.triplet is None else ("logits", "features")
        self.pair_with_peer(self._network)
        labels = data.split_labels("train").numpy() if self.labelled else np.zeros(0, np.int64)
        self.criterion = with_label_weights(recipe.loss, self.classes, labels).build()
        self.triplet = None if recipe.triplet is None else recipe.triplet.build()
        self.load_batches(seed)
        self.notices = (*data.notices, *self._unanswerable())
        self.find_teacher()

    def _network(self) -> nn.Module:
        images = self.data.eval_loader
        return start_classifier(
            self.recipe.model,
            len(self.classes),
            self.data.channels,
            lambda wanted: next(iter(images("train", wanted))).images,
        )

    def contract(self) -> dict[str, Any]:
        """Return what features and scores mean: identities, size, normalisation, decoder, protocol, distance."""
        return super().contract() | {"distance": self.recipe.distance}

    def check(self, batch: ImageBatch) -> Sequence[str]:
        """Refuse labels outside the class list and outputs of another shape; warn of probabilities for logits.

        Raises:
            DataError: names what was found.
        """
        self.refuse_without_teacher()
        classes = len(self.classes)
        if self.labelled:
            check_labels(batch.labels, classes)
        self.model.eval()
        with torch.no_grad():
            outputs = self.model(batch.images[:1])
        logits, features = (tuple(outputs[name].shape) for name in ("logits", "features"))
        if logits != (1, classes):
            raise DataError(
                "The network must give one logit an identity",
                found=f"logits {logits} for {classes} and one image",
                do="return [B, num_classes]",
            )
        if len(features) != 2:
            raise DataError(
                "The network must give one vector of features an image",
                found=f"features {features}",
                do='return {"logits": ..., "features": [B, D]}',
            )
        with torch.no_grad():
            for name in self.own_protocols():
                self._features(self.model, batch.images[:2], name)
        return warn_of_probabilities(outputs["logits"])

    def batches(self, start: int, stop: int) -> Iterator[ImageBatch]:
        """Yield this process's share of the batches of steps `start` to `stop`; without labels where not labelled."""
        for batch in super().batches(start, stop):
            yield batch if self.labelled else replace(batch, labels=torch.full_like(batch.labels, JUNK))

    def loss(self, model: nn.Module, batch: ImageBatch) -> dict[str, Tensor]:
        """Return the terms of a batch."""
        outputs = model(batch.images)
        terms = self.identity_terms(outputs, batch)
        if self.triplet is not None and self.recipe.triplet is not None:
            terms[part_name(self.recipe.triplet)] = self.triplet(outputs["features"], batch.labels)
        return terms

    def identity_terms(self, outputs: dict[str, Tensor], batch: ImageBatch) -> dict[str, Tensor]:
        """Return the loss of the logits with the labels under its name, or distillation from a teacher.

        Args:
            outputs: what the model made of the batch.
            batch: augmented.
        """
        if self.distiller is not None:
            return self.distiller.loss(outputs, batch)
        return {part_name(self.recipe.loss): self.hard_loss(outputs["logits"], batch)}

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return rank1, rank5, rank10 and mAP of a split in percent; each image is embedded once, on one process.

        A student has its teacher's scores on the same images too: `teacher_mAP` and the like.
        """
        seen = self.embed(model, split, protocol)
        counted = self.score(seen, split)
        self.last_scores[split, protocol] = counted
        scores = counted.scores() | self._own_scores(seen, split)
        if self.distiller is None:
            return scores
        return scores | self.distiller.scores(
            split, protocol, lambda network, part, way: self.score(self.embed(network, part, way), part).scores()
        )

    @contextmanager
    def evaluating_part(self, samples: int) -> Iterator[float]:
        """Evaluate all: a query without its gallery has no score; see `Task.evaluating_part`."""
        yield 1.0

    def item_scores(self, split: str, protocol: str) -> ItemScores | None:
        """Return what the last evaluation got on each query that can be answered; see `Task.item_scores`."""
        if (counted := self.last_scores.get((split, protocol))) is None:
            return None
        sightings, group, device = self.data.retrieval_split(split), self.context.group, self.context.device
        places = torch.nonzero(sightings.queries)[:, 0].to(device)[group.rank :: group.world_size]
        identities, cameras = (part.to(device)[places] for part in (sightings.identities, sightings.cameras))
        queries = Embeddings(identities.new_zeros(len(places), 0).float(), identities, cameras)
        places = places[counted.answerable(queries)]
        joined, values = group.all_gather(places).cpu(), group.all_gather(counted.single()).cpu()
        order = joined.argsort()
        index = self.data.split(split).index[joined[order].numpy()]
        names = ("mAP", *(f"rank{k}" for k in counted.ranks))
        columns = dict(zip(names, values[order].numpy().T, strict=True))
        return self.items_of(split, protocol, index, columns)

    def _own_scores(self, seen: Embeddings, split: str) -> dict[str, float]:
        """Return what the user's metrics say of the queries that can be answered, on every process alike."""
        if not self.recipe.metrics:
            return {}
        sightings, device = self.data.retrieval_split(split), seen.features.device
        counted = RetrievalScores(seen.at(sightings.gallery.to(device)), self.recipe.distance)
        distances, right = counted.table(seen.at(sightings.queries.to(device)))
        return score_metrics(self.recipe.metrics, distances.cpu(), right.cpu())

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Return totals and, for each identity, how often the nearest image was right and whose it was instead.

        Samples are index, label (a position in `classes`), camera, query and gallery (flags), and features [N, D].
        """
        seen = self.embed(model, split, protocol or self.protocols[0])
        sightings = self.data.retrieval_split(split)
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
            scores=counted.scores() | self._own_scores(seen, split),
            classes=sightings.names,
            class_metric="accuracy",
            class_scores=tuple(accuracy.tolist()),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            samples=rows if samples else {},
        )

    def embed(self, model: nn.Module, split: str, protocol: str = PROTOCOL) -> Embeddings:
        """Return the features float32 [N, D] of all images of a split, on every process."""
        sightings, group = self.data.retrieval_split(split), self.context.group
        own = torch.cat([self._features(model, batch.images, protocol).float() for batch in self.eval_batches(split)])
        features = own.new_zeros(len(sightings.identities), own.shape[1])
        features[group.rank :: group.world_size] = own
        identities, cameras = (part.to(self.context.device) for part in (sightings.identities, sightings.cameras))
        return Embeddings(group.all_reduce_sum(features), identities, cameras)

    def _features(self, model: nn.Module, images: Tensor, protocol: str) -> Tensor:
        own = self.own_protocol(protocol)
        if own is None:
            features: Tensor = model(images)["features"]
            return features
        found = own(lambda views: model(views)["features"], images)
        return check_shape(self.named[protocol], found, (len(images), None), "features [B, D]")

    def score(self, seen: Embeddings, split: str) -> RetrievalScores:
        """Search the split's gallery with its queries, each on one of the processes, and count over all of them."""
        sightings, group = self.data.retrieval_split(split), self.context.group
        gallery = torch.nonzero(sightings.gallery)[:, 0].to(seen.identities.device)
        queries = torch.nonzero(sightings.queries)[:, 0].to(seen.identities.device)
        counted = RetrievalScores(seen.at(gallery), self.recipe.distance)
        counted.update(seen.at(queries[group.rank :: group.world_size]))
        self.all_reduce(counted)
        return counted

    def _refuse_settings(self) -> None:
        recipe, sampling = self.recipe, round_data(self.recipe).sampling
        balanced = isinstance(sampling, Balanced)
        if not self.labelled and (balanced or recipe.triplet is not None):
            raise SettingsError(
                "Training without labels can neither form triplets nor balance identities",
                found=f"triplet={recipe.triplet and part_name(recipe.triplet)}, data.sampling={sampling.kind}",
                do="triplet=null data.sampling=shuffled",
            )
        parts = self.context.group.world_size * recipe.train.accumulate
        whole = parts * sampling.images if isinstance(sampling, Balanced) else 1
        if recipe.triplet is not None and recipe.train.batch_size % whole:
            raise SettingsError(
                "The images of an identity must stay together: train.batch must be a multiple of "
                f"data.sampling.images x processes x train.accumulate = {whole}",
                found=f"train.batch={recipe.train.batch_size}",
                do=f"train.batch={whole * max(1, recipe.train.batch_size // whole)}",
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
                    do="put images of these persons by another camera into the gallery",
                )
            if without:
                yield f"{without} of {len(queries)} queries of {split} have no image by another camera: left out"
