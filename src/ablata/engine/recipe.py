"""Recipe: the complete frozen settings of one training, the seed excluded.

The engine knows what every training has in common: length, batch, optimiser, schedule, averaging, precision. A task
adds its own parts (data, model, loss, protocols) in a subclass and says how it is built.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, create_model, model_validator

from ablata.base.errors import SettingsError
from ablata.base.metric import Metric
from ablata.base.parts import users_mistakes
from ablata.base.settings import INCIDENTAL, Settings, expand, placed, restore, settings_hash
from ablata.base.user_code import CodeFolder
from ablata.data.loading.loaders import refuse_less_than_a_batch
from ablata.engine.batch_norm import BnMomentum, PreciseBn
from ablata.engine.hardware.complexity import Complexity
from ablata.engine.optim.ema import Ema
from ablata.engine.optim.optimisers import AnyOptimiser, Sgd
from ablata.engine.optim.schedules import AnySchedule, Cosine
from ablata.engine.start import FirstTraining, Start
from ablata.engine.task import RunContext, Task

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from ablata.data.detection.class_graph import ClassGraph
    from ablata.data.loading.report import DataReport
    from ablata.engine.predictor import Predictor


@dataclass(frozen=True)
class Preview:
    """An image of what a recipe trains on, and lines that say what it shows."""

    image: Image.Image
    summary: str


_UNMEASURED = 100
"""Epochs that a training of so many minutes is taken for until it is measured, where only its parts are tried."""


class Train(Settings):
    """Training: length, batch size, evaluation and logging intervals."""

    ALTERNATIVES: ClassVar[tuple[str, ...]] = ("epochs", "steps", "minutes")

    epochs: Annotated[float, Field(gt=0)] | None = None
    """Passes over the training set; an override of this switches `steps` and `minutes` off."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Optimiser steps; an override of this switches `epochs` and `minutes` off."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """As many steps as fit into so many minutes here, evaluations included: measured before the first step and kept
    with the run, which is resumed with that number. It ends earlier where the machine became slower, when the time is
    over. An override of this switches `epochs` and `steps` off."""
    stop_epochs: Annotated[float, Field(gt=0)] | None = None
    """Stop after this many epochs, early, with the schedule still planned for the whole length; null: do not."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """End after so many evaluations in a row without a better score of the kind that the recipe is judged by (`judge`
    names another); null: train to the end."""
    batch: Annotated[int, Field(ge=1)] | Literal["auto"] = 128
    """Images in one optimiser step, over all processes and all accumulated parts together. auto: the largest power of
    two (times `accumulate`) that fits the memory here and makes at least eight steps of an epoch; measured before the
    run is recorded, whose settings have the number. The learning rate follows it only as `optim.scaling` says."""
    accumulate: Annotated[int, Field(ge=1)] = 1
    """Parts that the batch is computed in, one after the other, to save memory."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Largest total gradient norm; null does not clip."""
    bn_momentum: BnMomentum | None = None
    """Momentum of the running statistics of every batch normalisation; cumulative: the mean over all batches so
    far (torch's None); inverse_square: 1 / batch^2; null: as the model has it, mostly torch's 0.1."""
    precise_bn: PreciseBn | None = None
    """Take the statistics of batch normalisation anew from training images before each evaluation, for the scores and
    for what is delivered; null: the running ones. The training itself is the same either way."""
    evaluate_every: Annotated[float, Field(ge=0)] = 1.0
    """Epochs between two evaluations; 0 evaluates after the last step only."""
    evaluate_batch: Annotated[int, Field(ge=1), INCIDENTAL] = 512
    """Images in one evaluation step, on each process."""
    log_every: Annotated[int, Field(ge=1), INCIDENTAL] = 20
    """Steps between two log points; on a GPU values are read, and the step waited for, only then."""
    checkpoint_seconds: Annotated[float, Field(gt=0), INCIDENTAL] = 60.0
    """Longest time that a kill can lose."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        lengths = {name: getattr(self, name) for name in self.ALTERNATIVES}
        if sum(value is not None for value in lengths.values()) != 1:
            got = ", ".join(f"{name}={value}" for name, value in lengths.items())
            raise ValueError(f"give exactly one of train.epochs, train.steps and train.minutes, got {got}")
        if self.patience is not None and not self.evaluate_every:
            raise ValueError("train.patience counts evaluations on the way: set train.evaluate_every above 0")
        if self.batch != "auto" and self.batch % self.accumulate:
            raise ValueError(
                f"train.batch must be divisible by train.accumulate, got {self.batch} and {self.accumulate}"
            )
        return self

    @property
    def batch_size(self) -> int:
        """Return `batch` as a number.

        Raises:
            SettingsError: it is auto, and was not measured.
        """
        if self.batch == "auto":
            raise SettingsError(
                "A batch must be a number here", found="train.batch=auto, which `ablata train` measures",
                do="train.batch=32, or another number",
            )  # fmt: skip
        return self.batch

    def total_steps(self, steps_per_epoch: int) -> int:
        """Return the number of optimiser steps that the schedule is planned for; of minutes that were not measured yet
        some number."""
        if self.minutes is not None:
            return _UNMEASURED * steps_per_epoch
        return self.steps if self.steps is not None else max(1, round((self.epochs or 0) * steps_per_epoch))

    def shortened(self, factor: float) -> Self:
        """Return a training that is `factor` times as long, in whatever its length is given."""
        lengths: dict[str, Any] = {}
        if self.epochs is not None:
            lengths["epochs"] = self.epochs * factor
        if self.steps is not None:
            lengths["steps"] = max(1, round(self.steps * factor))
        if self.minutes is not None:
            lengths["minutes"] = self.minutes * factor
        if self.stop_epochs is not None:
            lengths["stop_epochs"] = self.stop_epochs * factor
        return self.model_copy(update=lengths)


class Compute(Settings):
    """Compute: precision, device, compilation, memory."""

    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 where the processor (AMX, AVX512-BF16) or GPU has it, else fp32; fp16 scales its loss, needs CUDA."""
    channels_last: bool = True
    """Memory order of images and weights; faster for convolutions."""
    compile: bool = False
    """Compile the model with torch.compile: a minute at the start, then steps of 0.63 of the time (ResNet-20)."""
    sync_batch_norm: bool = True
    """With several processes, normalise over the whole batch and not over each process's share."""
    shard: Annotated[bool, INCIDENTAL] = False
    """With several processes, share weights, gradients and optimiser state out among them (FSDP2), for networks that
    one cannot hold; one process alone has nothing to share."""
    device: str = "auto"
    """auto: the first CUDA device if there is one, else the processor. Or a torch device such as cuda:1."""
    threads: Annotated[int | None, Field(ge=1), INCIDENTAL] = None
    """Processor threads; null leaves torch's choice."""
    keep_memory: Annotated[bool, INCIDENTAL] = True
    """On Linux, keep large freed blocks in the process instead of returning them to the system at every step."""


class Judge(Settings):
    """The score that a recipe is judged by, in place of its task's own."""

    name: str
    """Name of a score, such as one of `metrics`."""
    higher_is_better: bool = True
    """false for an error or a loss."""
    unit: str = ""
    """% for percent, empty for a plain number."""

    def of(self, usual: Metric) -> Metric:
        """Return the score: of the same split and protocol as the task's own."""
        return replace(usual, name=self.name, higher_is_better=self.higher_is_better, unit=self.unit)


class Recipe(Settings):
    """Base of all recipes: what the loop itself needs.

    A subclass adds a `task` literal that tells recipes apart in files, its own parts, and `build`.
    """

    task: str
    """Which system this is; fixed by the recipe."""
    name: Annotated[str, INCIDENTAL] = "unnamed"
    """The name under which the recipe is listed."""
    train: Train = Train(epochs=1)
    optim: AnyOptimiser = Sgd()
    schedule: AnySchedule = Cosine()
    ema: Ema | None = None
    freeze: tuple[str, ...] | str | None = None
    """Parameters that stay as they are: backbone (what weights were read for), or patterns of names with `*` and `?`.
    What is frozen is in evaluation mode too; null: everything learns."""
    freeze_epochs: Annotated[float, Field(gt=0)] | None = None
    """Freeze for so many epochs, then let all learn: the head first; null: to the end."""
    compute: Compute = Compute()
    start: Start | None = None
    """An earlier run whose weights the training begins with; null: with initial weights of the model's own."""

    @model_validator(mode="after")
    def _freezes_what_can_change(self) -> Self:
        if self.freeze_epochs is not None and self.freeze is None:
            raise ValueError("freeze_epochs needs freeze, such as freeze=backbone")
        if self.freeze_epochs is not None and self.compute.compile:
            raise ValueError(
                "a compiled network cannot change on the way: set compute.compile=false or no freeze_epochs"
            )
        return self

    def frozen(self) -> tuple[str, ...]:
        """Return what `freeze` names."""
        return (self.freeze,) if isinstance(self.freeze, str) else self.freeze or ()

    def effective(self) -> Self:
        """Return the recipe as it is trained, with settings that other settings replace put in their place."""
        return self

    def parent(self) -> Self | None:
        """Return the recipe whose run must have completed before this one starts, such as a teacher's; None: none.

        Raises:
            SettingsError: it was written by another version, and does not fit this one.
        """
        first = self.start.first if self.start is not None else None
        if first is None:
            return None
        older = restore(type(self), first.recipe, source="start.first.recipe")
        if settings_hash(older) != first.hash:
            raise SettingsError("A training that comes first must be the one that was asked for",
                                found=f"start.first.hash={first.hash}, its settings have {settings_hash(older)}",
                                do="ask the study anew under another name")  # fmt: skip
        return older

    def begun_with(self, first: Recipe) -> Self:
        """Return the recipe that begins with the weights that another training of its kind ends with.

        Args:
            first: the training that comes first.
        """
        kind = next(one for one in get_args(type(self).model_fields["start"].annotation) if one is not type(None))
        told = FirstTraining(hash=settings_hash(first), recipe=expand(placed(first)))
        return self.model_copy(update={"start": kind(first=told)})

    def continued(self, parent: Path | None) -> Self:
        """Return the recipe for a training that begins with the weights of a run of this one; `start` is to be set.

        Args:
            parent: folder of the run that was trained before that one, such as its teacher's; None: there was none.
        """
        return self.model_copy(update={"start": None})

    @abstractmethod
    def build(self, seed: int, context: RunContext) -> Task[Any]:
        """Build the task: data set, model with freshly drawn weights, loss.

        Args:
            seed: the run's seed; torch's global generator already stands at the `init` stream.
            context: device, cache folder and share of the work of this process.

        Raises:
            UserError: the data or a combination of settings is wrong; raised before the first step.
        """

    def why_alone(self) -> str:
        """Return why runs of it are trained one by one; empty: those of one network can be trained together.

        They can where the loss asks the network about a batch's images and nothing else.
        """
        return f"the task {self.task} is trained one run at a time"

    @abstractmethod
    def complexity(self) -> Complexity:
        """Count parameters, multiply-adds and activations for one image of the data's nominal shape; reads no data."""

    def nominal_network(self) -> nn.Module | None:
        """Return the network as it is built before any weights are read, to be counted and for its parameters' names;
        None where a task cannot build it without data."""
        return None

    @abstractmethod
    def metric(self) -> Metric:
        """Return the score by which the best checkpoint is chosen and arms are compared."""

    @abstractmethod
    def data_fingerprint(self, cache: Path) -> str:
        """Return a hash of the data that is trained and scored on, splits included.

        Args:
            cache: where prepared data is kept between runs.

        Raises:
            DataError: the data is missing or damaged.
        """

    def training_samples(self, cache: Path) -> int | None:
        """Return the number of training samples; None where a task does not tell it before it is built.

        Raises:
            DataError: the data is missing or damaged.
        """
        return None

    def class_names(self, cache: Path) -> tuple[str, ...]:
        """Return the classes whose scores are recorded one by one; none where a task has no such scores.

        Raises:
            DataError: the data is missing or damaged.
        """
        return ()

    def item_images(self, cache: Path, split: str, items: Sequence[str]) -> dict[str, bytes]:
        """Return small JPEG files of some items of a split; those that a task has no images of are left out.

        Args:
            cache: where prepared data is kept.
            split: the split.
            items: what they are called in `Task.item_scores`.

        Raises:
            DataError: the data is missing or damaged.
        """
        return {}

    def refuse_small_data(self, cache: Path) -> None:
        """Refuse a training set that does not fill a batch, before anything is built or recorded.

        Raises:
            DataError: it does not, or is missing or damaged.
        """
        with users_mistakes(self, "give their samples"):
            count = self.training_samples(cache)
        if count is not None:
            refuse_less_than_a_batch(count, self.train.batch_size)

    def nominal_batch(self, cache: Path) -> Tensor | None:
        """Return images as the network sees them in a training step, without values (device meta); None: it is not
        known before the task is built, or tells nothing of a network.

        Args:
            cache: where prepared data is kept.

        Raises:
            DataError: the data is missing or damaged, or its images do not make a batch.
        """
        return None

    # Other forms of the recipe, and looking at its data. A task offers what it can; the rest is refused in words.

    def shortened(self, factor: float) -> Self:
        """Return the recipe with every length multiplied: training, warm-up, cycles, milestones, rounds.

        Args:
            factor: above 0, such as 0.02 for four epochs in place of two hundred.
        """
        update = {"train": self.train.shortened(factor), "schedule": self.schedule.shortened(factor)}
        return self.model_copy(update=update)

    def synthetic(self, steps: int = 2, batch: int = 8) -> Self:
        """Return the recipe with a few steps on a few generated images, to see that it builds and learns at all.

        Network, loss, optimiser and augmentation stay what they are as far as generated images allow.

        Args:
            steps: optimiser steps.
            batch: images in a step.

        Raises:
            SettingsError: the task has no generated images.
        """
        length = {"epochs": None, "steps": steps, "minutes": None, "stop_epochs": None, "patience": None}
        once = {"batch": batch, "accumulate": 1, "evaluate_every": 0}
        update = {
            "train": self.train.model_copy(update=length | once),
            "schedule": self.schedule.model_copy(update={"warmup": None}),
            "compute": self.compute.model_copy(update={"precision": "fp32", "compile": False, "threads": 1}),
            "start": None,
        }
        return self.model_copy(update=update | self.synthetic_parts(steps))

    def synthetic_parts(self, steps: int) -> dict[str, Any]:
        """Return the task's own settings of `synthetic`, such as `data`.

        Raises:
            SettingsError: the task has no generated images.
        """
        raise self._not_offered("A short training on generated images")

    def on_other_data(self, kind: str, crop_factor: float) -> Self:
        """Return the recipe on another data set, augmented and scored as before, but in smaller crops and windows.

        Args:
            kind: of the data set, such as `camvid`.
            crop_factor: on the sides of crops and windows, above 0.

        Raises:
            SettingsError: there is no such set, or the task cannot exchange its images.
        """
        raise self._not_offered("Exchanging the data set")

    def check_data(self, cache: Path) -> DataReport:
        """Read the data whole and report what it holds and what is wrong.

        Args:
            cache: where prepared data is kept.

        Raises:
            SettingsError: the task has no such check.
            DataError: the data is missing, or cannot be read at all.
        """
        raise self._not_offered("A check of the data")

    def count_class_graph(self, cache: Path) -> tuple[ClassGraph, tuple[str, ...]]:
        """Count which classes are on the same training images.

        Args:
            cache: where prepared data is kept.

        Returns:
            The graph, and the data's notices.

        Raises:
            SettingsError: the task has no such graph.
            DataError: the graph does not fit the classes.
        """
        raise self._not_offered("A class graph")

    def preview(self, *, seed: int, step: int, count: int, cache: Path) -> Preview:
        """Draw the images of one training step, each as it is and as the network of that seed sees it.

        Args:
            seed: the run's seed.
            step: the training step, from 0.
            count: how many images of the batch, at most.
            cache: where prepared data is kept.

        Raises:
            SettingsError: the task has no preview.
            DataError: the data is missing or damaged, or the batch larger than the training set.
        """
        raise self._not_offered("A preview")

    @classmethod
    def predictor_class(cls) -> type[Predictor]:
        """Return what uses a trained network on image files and exports it.

        Raises:
            SettingsError: the task has none.
        """
        raise SettingsError(
            "Predictions and exports need a recipe whose task offers them",
            found=f"a recipe of the task {cls.model_fields['task'].default}, which does not",
            do="define predictor_class in the recipe (docs/extend/task.md)",
        )

    @classmethod
    def predictor_settings(cls, tree: Mapping[str, Any], source: str, code: CodeFolder | None = None) -> Settings:
        """Restore the settings that a predictor needs; here those of the network and the data.

        The rest, such as a loss, is of no use to it and need not be there.

        Args:
            tree: the recipe's expanded settings.
            source: where they come from, for messages.
            code: copies of the users' files that they refer to; None: there are none.

        Raises:
            SettingsError: the settings are of another version, or a user's file is gone.
        """
        fields: Any = {name: (cls.model_fields[name].annotation, cls.model_fields[name]) for name in ("model", "data")}
        kind = create_model(cls.__name__, __base__=Settings, **fields)
        return restore(kind, {name: tree.get(name) for name in fields}, source=source, code=code)

    def _not_offered(self, what: str) -> SettingsError:
        return SettingsError(
            f"{what} needs a recipe whose task offers it",
            found=f"{self.name} is a recipe of the task {self.task}, which does not",
            do="ablata recipes list says what each recipe trains",
        )
