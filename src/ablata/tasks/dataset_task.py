"""What the built-in tasks have in common: one data set with its splits, read by its loaders on every process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import torch
from PIL import Image
from pydantic import field_validator, model_validator
from torch import Tensor, nn

from ablata.base.errors import DataError, choices
from ablata.base.metric import Metric
from ablata.base.parts import NamedPart
from ablata.base.seeds import derive
from ablata.data.drawing.panels import jpeg, sized
from ablata.data.loading.loaders import EvalLoader, TrainLoader
from ablata.engine.batch_norm import Images
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.recipe import Judge, Recipe
from ablata.engine.task import RunContext, Task
from ablata.nn.loaded_weights import LoadedWeights
from ablata.records.run_folder.items import ItemScores
from ablata.structures.batch import BatchT
from ablata.tasks.own_scores import check_function, own_function, score_label

_SMALLER = 2
"""How many times smaller images may be than those of the weights without a word."""
_THUMBNAIL = 112
"""Width in pixels, at most, of the images of single items."""
_ALIKE = 0.01
"""Constants of normalisation that differ by less are alike: 127/255 and 0.5."""


class DatasetRecipe(Recipe):
    """Base of recipes with `data`, `model` and `protocols`."""

    if TYPE_CHECKING:
        data: Any
        model: Any
        protocols: tuple[str, ...]

    SCORES: ClassVar[tuple[str, ...]] = ()
    """Names of the task's own scores, the usual one first."""
    OTHER_SCORES: ClassVar[tuple[str, ...]] = ()
    """Names of further scores, by which nothing is judged."""
    CLASS_SCORE: ClassVar[str] = ""
    """What the scores of single classes are: `iou`, `accuracy`, `AP`; empty: there are none."""
    METRIC_OF: ClassVar[str] = "predictions and labels"
    """What a metric of the user's own is a function of."""

    metrics: tuple[NamedPart, ...] = ()
    """Functions of predictions and truth, each a further score under its name."""
    judge: Judge | None = None
    """By which score the best checkpoint is chosen and arms are compared; null: the task's own."""

    @field_validator("protocols", check_fields=False)
    @classmethod
    def _named_once(cls, protocols: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(map(score_label, protocols))) != len(protocols):
            raise ValueError("must name each protocol once")
        for name in protocols:
            check_function(name, "the network and images")
            if own_function(name) is None:
                cls.parse_protocol(name)
        return protocols

    @field_validator("metrics")
    @classmethod
    def _are_functions(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        labels = [*cls.SCORES, *cls.OTHER_SCORES, *map(score_label, metrics)]
        for name in metrics:
            check_function(name, cls.METRIC_OF)
            if labels.count(score_label(name)) > 1:
                raise ValueError(f"a metric must have a name that no other score has, got {score_label(name)}")
        return metrics

    @model_validator(mode="after")
    def _judged_by_a_score(self) -> Self:
        known = (*self.SCORES, *map(score_label, self.metrics))
        if self.judge is not None and self.judge.name not in known:
            raise ValueError(f"judge.name must be one of {choices(known, self.judge.name)}, got {self.judge.name}")
        return self

    @classmethod
    def parse_protocol(cls, name: str) -> Any:
        """Return what a protocol's name stands for, where names have parts.

        Raises:
            SettingsError: there is no such protocol.
        """
        return name

    def scored_data(self) -> Any:
        """Return the settings of the data set that is trained and scored on."""
        return self.data

    def compared_split(self) -> str:
        """Return the split that arms are compared on: minival where some of the training set is held out."""
        # Not every set has a setting to hold some of its training images out.
        return "minival" if getattr(self.scored_data(), "minival", 0) else "val"

    def class_names(self, cache: Path) -> tuple[str, ...]:
        """Return the data's classes; see `Recipe.class_names`."""
        return tuple(self.scored_data().build(cache).classes) if self.CLASS_SCORE else ()

    def item_images(self, cache: Path, split: str, items: Sequence[str]) -> dict[str, bytes]:
        """Return images as they are evaluated, without their normalization; see `Recipe.item_images`."""
        data = self.scored_data().build(cache).unnormalized()
        known = data.split(split).index
        row_of = dict(zip(data.item_names(split, known), known.tolist(), strict=True))
        item_of = {row_of[item]: item for item in items if item in row_of}
        loader: EvalLoader[Any] = replace(data.eval_loader(split, 1), index=np.array(list(item_of), dtype=np.int64))
        return {item_of[int(batch.index[0])]: _thumbnail(batch.images[0]) for batch in loader}

    def metric(self) -> Metric:
        """Return the score that `judge` names, or the usual one, under the first protocol.

        Its split is minival where some of the training set is held out.
        """
        usual = Metric(self.SCORES[0], split=self.compared_split(), protocol=score_label(self.protocols[0]))
        return self.judge.of(usual) if self.judge is not None else usual

    def nominal_network(self) -> nn.Module:
        """Return the network without weights; see `Recipe.nominal_network`."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            model: nn.Module = self.model.build(shape.classes, shape.channels)
            return model

    def complexity(self) -> Complexity:
        """Count the network, built without weights for the nominal shape of the data."""
        shape = self.data.nominal_shape()
        with torch.device("meta"):
            return count(self.nominal_network(), torch.empty(1, shape.channels, shape.height, shape.width))


class StatefulMetric(Protocol):
    """A metric whose sums over processes are those of all samples."""

    def state(self) -> Mapping[str, Tensor]:
        """Return its sums by name."""

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace them."""


class DatasetTask(Task[BatchT]):
    """A task that trains and is scored on a data set of the data room.

    Args:
        recipe: the settings.
        data: the data set.
        context: device and share of the work.

    Attributes:
        loader: this process's training batches; set by `load_batches`.
        named: what the recipe says of each protocol: its own name, or the reference of a user's function.
    """

    name: ClassVar[str]
    """What a contract calls the task."""
    loader: TrainLoader[BatchT]

    def __init__(self, recipe: Any, data: Any, context: RunContext) -> None:
        self.recipe, self.data, self.context = recipe, data, context
        self.named = dict(zip(map(score_label, recipe.protocols), recipe.protocols, strict=True))
        self.protocols = tuple(self.named)
        self.splits = tuple(split for split in ("minival", "val") if split in data.splits)
        self.notices = data.notices

    def split_fingerprint(self, split: str) -> str:
        """Return the fingerprint of the test split, which is no part of the data's; see `Task.split_fingerprint`."""
        return self.data.test_fingerprint() if split == "test" else ""

    def load_batches(self, seed: int, **options: Any) -> None:
        """Set the training loader and the length of an epoch.

        Args:
            seed: the run's seed.
            options: further arguments of the data set's `train_loader`.

        Raises:
            DataError: the batch does not fit the training set.
        """
        self.loader = self.data.train_loader(seed, self.recipe.train.batch_size, **self._place(), **options)
        self.steps_per_epoch = self.loader.steps_per_epoch

    def eval_batches(self, split: str, batch_size: int | None = None, **options: Any) -> EvalLoader[BatchT]:
        """Return this process's share of a split, prepared; over all processes every sample comes once.

        Args:
            split: any of the data's.
            batch_size: most rows of a batch; None: `train.evaluate_batch`.
            options: further arguments of the data set's `eval_loader`.
        """
        size = batch_size or self.recipe.train.evaluate_batch
        loader: EvalLoader[BatchT] = self.data.eval_loader(split, size, **self._place(), **options)
        return loader

    @contextmanager
    def evaluating_part(self, samples: int) -> Iterator[float]:
        """Shorten the splits that are scored; see `Task.evaluating_part`."""
        whole = {split: self.data.splits[split] for split in self.splits}
        parts = {split: replace(one, index=evenly_spaced(one.index, samples)) for split, one in whole.items()}
        self.data.splits |= parts
        try:
            yield sum(map(len, parts.values())) / max(1, sum(map(len, whole.values())))
        finally:
            self.data.splits |= whole

    def samples(self, split: str, index: np.ndarray) -> EvalLoader[BatchT]:
        """Return some samples of a split, int64 row numbers, in batches of one, on every process alike."""
        return replace(self.eval_batches(split, 1), index=index)

    def items_of(self, split: str, protocol: str, index: np.ndarray, values: Mapping[str, np.ndarray]) -> ItemScores:
        """Return the values, by name, of samples of a split, int64 row numbers; with the groups that the data has."""
        items = self.data.item_names(split, index)
        groups = self.recipe.scored_data().item_groups(items, self.context.cache)
        return ItemScores(split, protocol, items, values, groups)

    def own_protocol(self, protocol: str) -> Callable[..., Any] | None:
        """Return the user's function that a protocol stands for; None for one of the task's own words."""
        return own_function(self.named.get(protocol, protocol))

    def own_protocols(self) -> tuple[str, ...]:
        """Return the names of the protocols that are functions of the user's own."""
        return tuple(name for name in self.protocols if self.own_protocol(name) is not None)

    def _place(self) -> dict[str, Any]:
        group, context = self.context.group, self.context
        return {
            "rank": group.rank,
            "world_size": group.world_size,
            "device": context.device,
            "channels_last": context.channels_last,
        }

    def contract(self) -> dict[str, Any]:
        """Return what predictions of this model mean: classes, normalisation, decoder, protocols, splits."""
        return {
            "task": self.name,
            "classes": list(self.data.classes),
            "channels": self.data.channels,
            "mean": list(self.data.mean),
            "std": list(self.data.std),
            "image_backend": self.data.backend,
            "protocols": list(self.protocols),
            "splits": self.data.splits_hash,
        }

    def split_record(self) -> dict[str, Any]:
        """Return the data's fingerprint and the row numbers of each split, where the training set was divided."""
        divided = "minival" in self.splits
        return {"data": self.data.fingerprint, "splits": self.data.split_indices()} if divided else {}

    def weights_notices(self, begun: Sequence[LoadedWeights]) -> list[str]:
        """Say too where images are normalised or resized otherwise than those that the weights were trained on."""
        notices = super().weights_notices(begun)
        here = (*self.data.mean, *self.data.std)
        for one in begun:
            trained = (*one.expected.get("mean", ()), *one.expected.get("std", ()))
            # Images of other bands have constants of their own.
            if len(trained) == len(here) and not np.allclose(trained, here, atol=_ALIKE):
                mean, std = (",".join(f"{value:.3f}" for value in one.expected[key]) for key in ("mean", "std"))
                ours = ",".join(f"{value:.3f}" for value in self.data.mean)
                notices.append(
                    f"images are normalised by mean {ours}, those of the weights were by mean {mean} and std {std}: "
                    f"set data.mean={mean} data.std={std}, or the equal normalization of the data"
                )
            filter_, own = one.expected.get("interpolation"), getattr(self.recipe.data, "interpolation", None)
            if filter_ and own and filter_ != own:
                notices.append(
                    f"images are resized by the filter {own}, those of the weights were by {filter_}: "
                    f"data.interpolation={filter_} is the same"
                )
            side, here_side = one.expected.get("size"), getattr(self.recipe.data, "size", None)
            if side and here_side and here_side < side / _SMALLER:
                notices.append(
                    f"images have sides of {here_side} pixels, those of the weights had {side}: what was learnt fits "
                    f"smaller things less well; data.size={side} is the same, and costs more"
                )
        return notices

    def example(self) -> Tensor:
        """Return a grey image [1, C, H, W]."""
        return torch.zeros(1, self.data.channels, *self.data.image_size)

    def batches(self, start: int, stop: int) -> Iterator[BatchT]:
        """Yield this process's share of the batches of steps `start` to `stop`."""
        return self.loader.batches(start, stop)

    def augment(self, batch: BatchT, step: int) -> BatchT:
        """Augment and normalise a batch on its device."""
        return self.loader.augment(batch, step, self.loader.epoch_of(step))

    def norm_images(self, images: Images, start: int, count: int) -> Iterator[Tensor]:
        """Yield training images from a reader of their own; see `Task.norm_images`."""
        return self._augmented(start, count) if images == "training" else self._plain(count)

    def _augmented(self, start: int, count: int) -> Iterator[Tensor]:
        reader = self.data.reader("train", training=True, seed=self.loader.seed, device=self.context.device)
        loader = replace(self.loader, reader=reader)
        for step, batch in enumerate(loader.batches(start, start + count), start):
            yield loader.augment(batch.to(self.context.device), step, loader.epoch_of(step)).images

    def _plain(self, count: int) -> Iterator[Tensor]:
        group, size = self.context.group, self.loader.batch_size
        random = np.random.default_rng(derive(self.loader.seed, "data"))
        chosen = random.permutation(self.loader.index)[: count * size]
        loader = self.eval_batches("train", size // group.world_size)
        for prepared in replace(loader, index=chosen[group.rank :: group.world_size]):
            yield prepared.images

    def all_reduce(self, metric: StatefulMetric) -> None:
        """Sum the state of a metric over all processes."""
        group, device = self.context.group, self.context.device
        metric.load_state({name: group.all_reduce_sum(tensor.to(device)) for name, tensor in metric.state().items()})


def _thumbnail(image: Tensor) -> bytes:
    """Return a JPEG file of an image [C, H, W] in 0..1, C 1 or 3."""
    pixels = (image.float().cpu() * 255).round().clamp(0, 255).to(torch.uint8)
    return jpeg(sized(Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()), _THUMBNAIL))


def check_labels(labels: Tensor, classes: int) -> None:
    """Refuse labels, int64 [N], at least one, outside a class list.

    Raises:
        DataError: names the range found.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise DataError(
            f"Labels must lie in 0..{classes - 1}",
            found=f"labels from {low} to {high}",
            do="number the classes from 0, or name them all in `classes`",
        )


_CLOSE = 1e-3


def warn_of_probabilities(logits: Tensor) -> tuple[str, ...]:
    """Return a warning where outputs [B, K, ...] are probabilities already, and the loss would apply softmax to them.

    Cross-entropy of a softmax of probabilities still falls, slowly, and to no less than log(1 + (K - 1) / e).
    """
    values = logits.detach().float()
    if values.ndim < 2 or values.shape[1] < 2 or not bool(((values >= 0) & (values <= 1)).all()):
        return ()
    if not bool(((values.sum(1) - 1).abs() < _CLOSE).all()):
        return ()
    return (
        f"the network's outputs look like probabilities: all lie in 0..1 and sum to 1 over the {values.shape[1]} "
        "classes, as after a softmax; losses take logits and apply softmax themselves: leave the last softmax out, "
        "unless a loss of your own takes probabilities",
    )


def evenly_spaced(index: np.ndarray, most: int) -> np.ndarray:
    """Return at most `most` of the entries of an index, evenly spaced from the first to the last."""
    chosen = np.unique(np.linspace(0, len(index) - 1, min(most, len(index))).round().astype(int))
    some: np.ndarray = index[chosen]
    return some
