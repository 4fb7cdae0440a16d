"""SimpleRecipe: a task of a user's own in one class, from a network, map-style data sets, a loss and metrics.

    class Angle(SimpleRecipe):
        width: int = 16

        def build_model(self):
            return nn.Sequential(nn.Flatten(), nn.Linear(64, self.width), nn.ReLU(), nn.Linear(self.width, 1))

        def build_datasets(self, cache):
            return {"train": RotatedDigits("train"), "val": RotatedDigits("val")}    # samples: (image, angle)

        def compute_loss(self, outputs, batch):
            return functional.mse_loss(outputs, batch[1])

        def compute_metrics(self, outputs, batch):
            return {"mae": (outputs - batch[1]).abs()}

        def metric(self):
            return Metric("mae", higher_is_better=False, unit="degrees")

Order and augmentation by seed, processes, exact resume, evaluation, checkpoints, drawn predictions, `ablata
predict` and `ablata export` come with it.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import Subset, default_collate

from ablata.base.errors import AblataError, DataError, SettingsError, choices, listing, nearest, suggestion
from ablata.base.imported_files import files_digest, module_files
from ablata.base.metric import Metric
from ablata.base.parts import user_modules
from ablata.base.settings import INCIDENTAL, as_text, restore
from ablata.base.user_code import CodeFolder
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.predictor import Predictor
from ablata.engine.recipe import Recipe
from ablata.engine.task import RunContext, Task
from ablata.records.run_folder.gallery import Gallery
from ablata.tasks.dataset_task import evenly_spaced
from ablata.tasks.simple.samples import BatchOrder, CollatedBatch, SeededSamples, known_samples_digest, read_batches


class SimpleRecipe(Recipe):
    """Base of a task that a user writes: settings as fields, and the methods below.

    Each sample of a data set is what the network takes, or a tuple or dict that begins with it; batches are made by
    torch's `default_collate`.
    """

    workers: Annotated[int, Field(ge=0), INCIDENTAL] = 0
    """Processes that read samples; 0: the training's own."""

    @abstractmethod
    def build_model(self) -> nn.Module:
        """Return the network with freshly drawn weights."""

    @abstractmethod
    def build_datasets(self, cache: Path) -> Mapping[str, Any]:
        """Return map-style data sets by split: `train`, `val`, and perhaps `minival`, to choose on.

        Args:
            cache: folder for prepared data, kept between runs.
        """

    @abstractmethod
    def compute_loss(self, outputs: Any, batch: Any) -> Tensor | dict[str, Tensor]:
        """Return the loss of a batch, a scalar or named scalar terms, whose sum is minimised.

        Args:
            outputs: the network's.
            batch: collated samples, on the network's device.
        """

    def compute_metrics(self, outputs: Any, batch: Any) -> dict[str, Tensor]:
        """Return metrics of a batch by name, each a value a sample [B]; their means over a split are its scores.

        Arguments as for `compute_loss`, whose terms are scores too. None by default.
        """
        return {}

    def metric(self) -> Metric:
        """Return the score by which the best checkpoint is chosen and arms are compared; here the loss."""
        return Metric("loss", higher_is_better=False, unit="")

    def model_input(self, batch: Any) -> Any:
        """Return what of a collated batch the network takes; here its first element."""
        if isinstance(batch, Mapping):
            return next(iter(batch.values()))
        return batch[0] if isinstance(batch, tuple | list) else batch

    def prepare_image(self, image: Image.Image, shape: tuple[int, ...]) -> Tensor:
        """Return an image file as the network takes it, for predictions.

        Args:
            image: as it is stored.
            shape: of a training sample's image, C, H, W.

        Returns:
            Here the image resized to H x W, grey or red, green, blue, float32 in 0..1.
        """
        channels, height, width = shape
        resized = image.convert("L" if channels == 1 else "RGB").resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized, dtype=np.float32).reshape(height, width, -1) / 255).permute(2, 0, 1)

    def describe(self, output: Any) -> dict[str, Any]:
        """Return what the network's output for one sample means, JSON-safe, for predictions and under drawn images.

        Here its values by name, or as `output`.
        """
        named = output if isinstance(output, Mapping) else {"output": output}
        return {name: value.squeeze().tolist() for name, value in named.items() if isinstance(value, Tensor)}

    # What follows comes with the base.

    def build(self, seed: int, context: RunContext) -> SimpleTask:
        """Build data sets and network; see `Recipe.build`."""
        return SimpleTask(self, seed, context)

    def complexity(self) -> Complexity:
        """Count the network for the first training sample."""
        return count(self.build_model(), _example(self, self.build_datasets(Path())))

    def data_fingerprint(self, cache: Path) -> str:
        """Return a hash of all splits' samples; see `known_samples_digest`."""
        code = files_digest(module_files(user_modules(self)))
        digests = (
            known_samples_digest(dataset, f"{code} {split} {as_text(self)}")
            for split, dataset in self.build_datasets(cache).items()
        )
        return "-".join(digest[:24] for digest in digests)

    def training_samples(self, cache: Path) -> int:
        """Return the number of training samples; see `Recipe.training_samples`."""
        return len(self.build_datasets(cache)["train"])

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return what uses the network on image files; see `Recipe.predictor_class`."""
        from ablata.tasks.simple.predictor import SimplePredictor

        return SimplePredictor

    @classmethod
    def predictor_settings(cls, tree: Mapping[str, Any], source: str, code: CodeFolder | None = None) -> Self:
        """Restore the whole recipe, whose methods a predictor needs; see `Recipe.predictor_settings`."""
        own = dict(tree) | {"task": cls.model_fields["task"].default}
        return restore(cls, own, source=source, code=code)


class SimpleTask(Task[CollatedBatch]):
    """A user's task inside the training loop.

    Args:
        recipe: settings and methods.
        seed: the run's seed.
        context: device and share of the work.

    Raises:
        SettingsError: the network is no module.
        DataError: a split is missing, or smaller than a batch.
    """

    def __init__(self, recipe: SimpleRecipe, seed: int, context: RunContext) -> None:
        self.recipe, self.context = recipe, context
        made: Any = recipe.build_model()
        if not isinstance(made, nn.Module):
            raise SettingsError(
                "build_model must return an nn.Module",
                found=f"{type(recipe).__name__} returned a {type(made).__name__}",
                do="return the network itself, not what makes it",
            )
        self.model = made
        self.datasets = dict(recipe.build_datasets(context.cache))
        if not {"train", "val"} <= self.datasets.keys():
            raise DataError(
                "build_datasets must return train and val",
                found=listing(self.datasets) or "nothing",
                do='return {"train": ..., "val": ...}',
            )
        self.splits = tuple(split for split in ("minival", "val") if split in self.datasets)
        self.samples = SeededSamples(self.datasets["train"], seed)
        self.order = BatchOrder(len(self.samples), recipe.train.batch_size, seed)
        self.steps_per_epoch = self.order.steps_per_epoch
        with self._probing():
            self.model(self.example())

    def contract(self) -> dict[str, Any]:
        """Return protocols and the shape of the network's input."""
        return super().contract() | {"task": type(self.recipe).__name__, "input_shape": list(self.example().shape[1:])}

    def example(self) -> Tensor:
        """Return the input of the first training sample, with a dimension for the batch."""
        return _example(self.recipe, self.datasets)

    def check(self, batch: CollatedBatch) -> Sequence[str]:
        """Run network, loss, metrics and description on two samples and refuse what they return if it does not fit.

        Raises:
            SettingsError: something fails, or is no scalar, or not a value a sample, or no dict that JSON can hold.
        """
        from ablata.tasks.simple.visuals import first

        part = batch.rows(0, 2)
        with self._probing():
            outputs = self.model(self.recipe.model_input(part.values))
            terms = self._terms(outputs, part.values)
            metrics = self.recipe.compute_metrics(outputs, part.values)
            described = self.recipe.describe(first(outputs))
        _check_description(described)
        for name, term in terms.items():
            if not isinstance(term, Tensor) or term.ndim:
                raise SettingsError(
                    "compute_loss must return scalars",
                    found=f"{name}: {_shape(term)}",
                    do="return the mean over the batch, or a dict of such terms",
                )
        for name, value in metrics.items():
            if not isinstance(value, Tensor) or value.shape[:1] != (len(part),):
                raise SettingsError(
                    f"compute_metrics must return a value for each of the {len(part)} samples",
                    found=f"{name}: {_shape(value)}",
                    do="take no mean over the batch",
                )
        wanted = self.recipe.metric().name
        known = [*_with_sum(terms), *metrics]
        if wanted not in known:
            close = nearest(wanted, known)
            raise SettingsError(
                f"metric must name one of {choices(known, wanted)}",
                found=wanted,
                do=f"did you mean {close}?" if close else "choose one of them",
            )
        return ()

    def batches(self, start: int, stop: int) -> Iterator[CollatedBatch]:
        """Yield this process's share of the batches of steps `start` to `stop`."""
        group = self.context.group
        places = self.order.places(start, stop, group.rank, group.world_size)
        return read_batches(self.samples, places, self.recipe.workers)

    def loss(self, model: nn.Module, batch: CollatedBatch) -> dict[str, Tensor]:
        """Return the terms of `compute_loss`."""
        return self._terms(model(self.recipe.model_input(batch.values)), batch.values)

    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Return the means of metrics and loss over a split, each sample counted once."""
        group, device = self.context.group, self.context.device
        rows = range(group.rank, len(self._split(split)), group.world_size)
        sums: dict[str, Tensor] = {}
        # A process without a sample takes part all the same, with one that weighs nothing.
        for batch in self.evaluation_batches(split, rows or range(1)):
            outputs, weight = model(self.recipe.model_input(batch.values)), len(batch) if rows else 0
            values = _with_sum(self._terms(outputs, batch.values)) | self.recipe.compute_metrics(outputs, batch.values)
            for name, value in (values | {"samples": torch.ones((), device=device)}).items():
                sums[name] = sums.get(name, 0.0) + weight * value.detach().double().mean()
        totals = {name: float(group.all_reduce_sum(value)) for name, value in sums.items()}
        samples = totals.pop("samples")
        return {name: value / samples for name, value in totals.items()}

    @contextmanager
    def evaluating_part(self, samples: int) -> Iterator[float]:
        """Shorten the splits that are scored; see `Task.evaluating_part`."""
        whole = {split: self.datasets[split] for split in self.splits}
        parts = {
            split: Subset(one, evenly_spaced(np.arange(len(one)), samples).tolist()) for split, one in whole.items()
        }
        self.datasets |= parts
        try:
            yield sum(map(len, parts.values())) / max(1, sum(map(len, whole.values())))
        finally:
            self.datasets |= whole

    def evaluation_batches(self, split: str, rows: range | list[int]) -> Iterator[CollatedBatch]:
        """Yield rows of a split in order, on the device; random augmentations, if any, are the same each time."""
        size = self.recipe.train.evaluate_batch
        places = [[(0, row) for row in rows[start : start + size]] for start in range(0, len(rows), size)]
        for batch in read_batches(SeededSamples(self._split(split), 0), places, self.recipe.workers):
            yield batch.to(self.context.device)

    def visualize(self, model: nn.Module) -> Gallery | None:
        """Return some images of the split that the run is compared on, with what is predicted under each."""
        from ablata.tasks.simple.visuals import gallery

        return gallery(self, model)

    @contextmanager
    def _probing(self) -> Iterator[None]:
        """Try the user's network in evaluation mode, without gradient; what fails is told in words."""
        mode = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                yield
        except AblataError:
            raise
        except Exception as error:
            raise SettingsError(
                f"Network, loss, metrics and description of {type(self.recipe).__name__} must take a batch",
                found=f"{type(error).__name__}: {str(error).partition(chr(10))[0]}",
                do="see where with ablata --debug",
            ) from error
        finally:
            self.model.train(mode)

    def _split(self, name: str) -> Any:
        if name not in self.datasets:
            raise DataError(
                f"The split must be one of {listing(self.datasets)}", found=name, do=suggestion(name, self.datasets)
            )
        return self.datasets[name]

    def _terms(self, outputs: Any, batch: Any) -> dict[str, Tensor]:
        loss = self.recipe.compute_loss(outputs, batch)
        return dict(loss) if isinstance(loss, Mapping) else {"loss": loss}


def _check_description(described: Any) -> None:
    try:
        json.dumps(described)
    except (TypeError, ValueError) as error:
        raise SettingsError(
            "describe must return a dict of numbers, texts and lists", found=str(error),
            do="turn tensors into numbers with float() or .tolist()",
        ) from None  # fmt: skip
    if not isinstance(described, dict):
        raise SettingsError(
            "describe must return a dict", found=type(described).__name__, do='name what it returns: {"angle": ...}'
        )


def _with_sum(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return loss terms with their sum as `loss`."""
    return {"loss": sum(terms.values(), start=torch.zeros(()).to(next(iter(terms.values()))))} | terms


def _example(recipe: SimpleRecipe, datasets: Mapping[str, Any]) -> Tensor:
    sample = recipe.model_input(default_collate([datasets["train"][0]]))
    if not isinstance(sample, Tensor):
        raise DataError(
            "What the network takes of a sample must be a tensor",
            found=f"a {type(sample).__name__}",
            do="return tensors or arrays from the data set, or override model_input",
        )
    return sample


def _shape(value: Any) -> str:
    return f"a tensor {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
