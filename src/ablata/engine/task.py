"""Task: what one system does differently inside the one training loop.

A task must give a model, `steps_per_epoch`, `example`, `batches`, `loss` and `evaluate`; everything else has a default.
The loop calls, in this order and nowhere else:

    load_start(start, parent)              once, where the recipe starts from an earlier run's weights
    check(batch)                           once, before the first step
    batches(start, stop), augment(batch)   every step
    loss(model, batch) -> named terms      every step
    after_step(step)                       every step, after the optimiser
    norm_images(images, start, count)  at every evaluation where the recipe asks for precise normalisation
    evaluate(model, split, protocol)       at every evaluation, for the raw and the averaged model
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError, choices, suggestion
from ablata.engine.batch_norm import Images
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.start import Start
from ablata.nn.loaded_weights import LoadedWeights
from ablata.records.run_folder.gallery import Gallery
from ablata.records.run_folder.items import ItemScores

B = TypeVar("B")
"""The batches of a task, such as `ImageBatch`: they have a length, `to(device)` and `chunk(n)`."""


@dataclass(frozen=True)
class RunContext:
    """Run context: device, folders and process group of a training process.

    Args:
        device: where the model and its batches are.
        cache: folder for prepared data.
        group: its share of a distributed run.
        channels_last: memory order of images and weights.
        parent: folder of the run that this one starts from; None where there is none, or where a model is only scored.
        trust_code: whether the code of a checkpoint that came from elsewhere may be run.
    """

    device: torch.device
    cache: Path
    group: ProcessGroup = field(default_factory=ProcessGroup)
    channels_last: bool = True
    parent: Path | None = None
    trust_code: bool = False


@dataclass(frozen=True)
class EvalReport:
    """A detailed evaluation of a model on one split; what a task does not have is empty.

    Args:
        scores: totals by name, as `Task.evaluate` gives them.
        classes: class names.
        class_metric: what `class_scores` are: `accuracy`, `iou` or `AP`.
        class_scores: percent for each class, nan for one that the split does not hold.
        confusion: confusion matrix, counts, true classes in rows.
        confusion_classes: names of its rows and columns where they are not the classes alone: a detector's background.
        class_details: further numbers of each class by name, in percent, nan where there is none.
        results: the predictions in the form of a public format, such as COCO's results; None unless asked for.
        samples: tensors with a row for every sample, in the order of the split; empty unless asked for.
    """

    scores: dict[str, float]
    classes: tuple[str, ...] = ()
    class_metric: str = ""
    class_scores: tuple[float, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    confusion_classes: tuple[str, ...] = ()
    class_details: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] | None = None
    samples: dict[str, Tensor] = field(default_factory=dict)


class Task(ABC, Generic[B]):
    """Model, data and loss of one training.

    Attributes:
        model: the network, on its device.
        steps_per_epoch: optimiser steps in one pass over the training set.
        splits: the splits that are evaluated.
        protocols: the ways each split is scored.
        offered_protocols: further protocols by which a finished run can be scored.
        outputs: the model's named outputs that the loss uses; a compiled model gives no others in training, since every
            output costs a gradient, even one that nobody uses. Empty: all that there are.
        notices: what is worth knowing of the data, such as files that were left out.
    """

    model: nn.Module
    steps_per_epoch: int
    splits: tuple[str, ...] = ("val",)
    protocols: tuple[str, ...] = ("plain",)
    offered_protocols: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    keeps_items: ClassVar[bool] = False
    """Whether `item_scores` has the items of every evaluation."""
    results_format: ClassVar[str] = ""
    """Name of the public format that `EvalReport.results` are in; empty: there are none."""

    def contract(self) -> dict[str, Any]:
        """Return what a checkpoint promises: classes, ids, ignore label, protocols, image backend; JSON-safe.

        What both sides name must be equal where the checkpoint is used; here the protocols alone.
        """
        return {"protocols": list(self.protocols)}

    def match_contract(self, contract: Mapping[str, Any]) -> None:
        """Fit the data at hand to a checkpoint that is to be scored on it, such as classes in another order; here
        nothing."""

    def load_start(self, start: Start, parent: Path | None) -> str:
        """Load the weights of an earlier run into the model, before the first step.

        Args:
            start: which run's.
            parent: folder of the run that was trained for this one, if there is one.

        Returns:
            A sentence on what was taken.

        Raises:
            CheckpointError: they are not there, or do not fit; both sides are named.
        """
        return start.load_into(self.model, self.contract().get("classes", ()), parent)

    def score_at(self, threshold: float) -> None:
        """Count predictions from a score on in `evaluate_detailed`, where the task has precision and recall.

        Raises:
            SettingsError: it has none; or the threshold is not in [0, 1].
        """
        raise SettingsError(
            "A score threshold is of tasks that count detections",
            found=f"{type(self).__name__}, which has none",
            do="leave --score out",
        )

    def split_fingerprint(self, split: str) -> str:
        """Return what identifies the content of a split that is no part of the data's fingerprint; empty: it is."""
        return ""

    @abstractmethod
    def example(self) -> Tensor:
        """Return one prepared image [1, C, H, W] of the size the model is trained on, to count its operations."""

    def check(self, batch: B) -> Sequence[str]:
        """Compare outputs and labels on one batch, refuse what does not fit and tell what looks wrong; here nothing.

        Returns:
            Warnings, a sentence each, which are told before the first step.

        Raises:
            UserError: an output does not fit its label.
        """
        return ()

    @abstractmethod
    def batches(self, start: int, stop: int) -> Iterator[B]:
        """Yield this process's share of the batches of steps `start` to `stop`, on the device or ready to go there."""

    def augment(self, batch: B, step: int) -> B:
        """Augment and normalise a batch on its device, by random numbers of seed and step alone; here as it is."""
        return batch

    @abstractmethod
    def loss(self, model: nn.Module, batch: B) -> dict[str, Tensor]:
        """Return the loss as named scalar terms, weights included; their sum is minimised."""

    def watched_terms(self, losses: dict[str, float]) -> dict[str, float]:
        """Return the loss terms as the watch for collapsed ones is to see them: here as they are.

        A task joins or leaves out terms that may rightly be nothing for long, such as those of a pyramid's levels.

        Args:
            losses: means of a log interval, by term.
        """
        return losses

    def check_protocol(self, name: str) -> None:
        """Refuse a way to score that is neither one of the task's own nor offered.

        Raises:
            SettingsError: names those there are.
        """
        known = dict.fromkeys((*self.protocols, *self.offered_protocols))
        if name not in known:
            raise SettingsError(
                f"--protocol must be one of {choices(known, name)}", found=name, do=suggestion(name, known)
            )

    @abstractmethod
    def evaluate(self, model: nn.Module, split: str, protocol: str) -> dict[str, float]:
        """Score the model; every sample of the split counts once, over all processes."""

    @contextmanager
    def evaluating_part(self, samples: int) -> Iterator[float]:
        """Evaluate so many samples of each split at most within a `with` block, where a task can; here always all.

        Yields:
            The fraction of all samples that are evaluated, above 0, at most 1.
        """
        yield 1.0

    def class_scores(self, split: str, protocol: str) -> dict[str, float]:
        """Return each class's score in the last evaluation of a split by a protocol, in percent, by `iou/CLASS`.

        Before the slash stands what the scores are: `accuracy`, `iou` or `AP`. nan for a class that the split does not
        hold; nothing by default.
        """
        return {}

    def item_scores(self, split: str, protocol: str) -> ItemScores | None:
        """Return what the last `evaluate` of a split by a protocol got on each item, such as an image.

        Called on every process; the items are those of all of them. None by default, and where there was none.
        """
        return None

    def evaluate_detailed(
        self, model: nn.Module, split: str, samples: bool = False, protocol: str | None = None
    ) -> EvalReport:
        """Score the model in full, on one process; here the totals alone.

        Args:
            model: in evaluation mode, on the task's device.
            split: any split of the data, the training set too.
            samples: return what was predicted for every sample.
            protocol: how to score; None: the first of the task's.

        Raises:
            DataError: there is no such split.
            SettingsError: samples are asked for that the task does not keep.
        """
        if samples:
            raise SettingsError(
                "--save-predictions needs a task that keeps what is predicted for every sample",
                found=f"{type(self).__name__}, which does not",
                do="leave --save-predictions out",
            )
        return EvalReport(self.evaluate(model, split, protocol or self.protocols[0]))

    def visualize(self, model: nn.Module) -> Gallery | None:
        """Return what the finished run keeps to be looked at, such as images of predictions; nothing by default.

        Args:
            model: in evaluation mode, with the weights that the run delivers. Called on the writing process alone.
        """
        return None

    def split_record(self) -> dict[str, Any]:
        """Return data fingerprint and which samples each split holds, to be kept with the run; nothing by default."""
        return {}

    def weights_notices(self, begun: Sequence[LoadedWeights]) -> list[str]:
        """Return what does not go together between the images and the weights that the network begins with.

        Args:
            begun: what was read from files.
        """
        return [note for one in begun for note in one.notes]

    def norm_images(self, images: Images, start: int, count: int) -> Iterator[Tensor]:
        """Yield prepared training images, float32 [b, C, H, W] on the device, for precise normalisation.

        They come from a reader of their own, so that the order of the training is not disturbed. Called once before the
        first step, unread, for a task to refuse.

        Args:
            images: augmented as in training, or as validation images are prepared.
            start: the step whose batch comes first, where they are augmented.
            count: global batches, of which this process yields its share.

        Raises:
            SettingsError: this task has none, or not these; none by default.
        """
        raise SettingsError(
            "train.precise_bn is for tasks that can show their training images again",
            found=f"{type(self).__name__}, which cannot",
            do="train.precise_bn=null",
        )

    def after_step(self, step: int) -> None:
        """Do what a task must do after an optimiser step, such as cooling a temperature; nothing by default."""

    def state(self) -> Mapping[str, Tensor]:
        """Return tensors beyond the model's that a resumed run needs, such as a memory bank; none by default."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: there is a state but the task has no use for it.
        """
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, got {sorted(state)}")
