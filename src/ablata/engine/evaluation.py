"""Evaluation during training: when it is due, and of which weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.engine.batch_norm import Statistics, batch_norms, buffers, population_statistics, with_statistics
from ablata.engine.checkpoints import AVERAGE, RAW, statistics_of
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.hardware.sharding import gathered, whole_state
from ablata.engine.optim.ema import ModelEma
from ablata.engine.recipe import Train
from ablata.engine.task import Task


class EvalSchedule:
    """Evaluation schedule: the steps that are followed by an evaluation.

    Args:
        train: how often.
        steps_per_epoch: of the task.
        total: steps of the training.
    """

    def __init__(self, train: Train, steps_per_epoch: int, total: int) -> None:
        wanted = train.evaluate_every * steps_per_epoch
        self.total, self.interval = total, max(1, round(wanted)) if wanted else 0

    def due(self, step: int) -> bool:
        """Tell whether `step` steps end an evaluation interval, or the training."""
        return step == self.total or bool(self.interval and step % self.interval == 0)

    def left(self, step: int) -> int:
        """Return how many evaluations are to come after `step` steps."""
        if not self.interval:
            return 1
        return self.total // self.interval - step // self.interval + bool(self.total % self.interval)


class Evaluator:
    """Scores the weights and their average, each with statistics of its own where the recipe asks for precise ones.

    Args:
        train: what the statistics are taken from.
        task: scores.
        model: the bare model, which the training goes on with.
        average: its average, or None.
        group: this process's place.

    Raises:
        SettingsError: precise statistics are asked for of a network without batch normalisation, or of a task that
            has none.
    """

    def __init__(
        self, train: Train, task: Task[Any], model: nn.Module, ema: ModelEma | None, group: ProcessGroup
    ) -> None:
        self.train, self.task, self.model, self.ema, self.group = train, task, model, ema, group
        self._statistics: dict[str, Statistics] = {}
        self._step: int | None = None
        if train.precise_bn is not None:
            if not batch_norms(model):
                raise SettingsError(
                    "train.precise_bn needs a network with batch normalisation",
                    found="a network without running statistics",
                    do="train.precise_bn=null",
                )
            task.norm_images(train.precise_bn.images, 0, 1)

    def scores(self, step: int) -> dict[str, float]:
        """Score the model, in evaluation mode, after `step` steps.

        With averaging on, plain names such as `val/plain/top1` are the averaged model's, since that is the one the run
        delivers, and `raw/val/plain/top1` the last weights'.
        """
        raw = self._scored(RAW, step)
        scores = raw
        if self.ema is not None:
            with self.ema.applied(self.model):
                scores = self._scored(AVERAGE, step) | {f"raw/{name}": value for name, value in raw.items()}
        self._step = step
        return scores

    def eval_weights(self) -> dict[str, Tensor]:
        """Return the state that was scored last under plain names: of the average where there is one."""
        with self.with_eval_weights():
            return {name: tensor.clone() for name, tensor in whole_state(self.model).items()}

    @contextmanager
    def with_eval_weights(self) -> Iterator[None]:
        """Use the evaluation weights within a `with` block, and the model's own again afterwards."""
        which = RAW if self.ema is None else AVERAGE
        averaged = nullcontext() if self.ema is None else self.ema.applied(self.model)
        with averaged, with_statistics(self.model, self._statistics.get(which, {})):
            yield

    def state(self, step: int) -> dict[str, dict[str, Tensor]]:
        """Return the statistics as groups of a checkpoint, if the weights after `step` steps were those scored."""
        if self._step != step:
            return {}
        return {statistics_of(which): buffers(found) for which, found in self._statistics.items() if found}

    def _scored(self, which: str, step: int) -> dict[str, float]:
        if self.train.precise_bn is not None:
            self._statistics[which] = self._precise(step)
        with with_statistics(self.model, self._statistics.get(which, {})), gathered(self.model):
            return {
                f"{split}/{protocol}/{name}": value
                for split in self.task.splits
                for protocol in self.task.protocols
                for name, value in self.task.evaluate(self.model, split, protocol).items()
            }

    def _precise(self, step: int) -> Statistics:
        settings = self.train.precise_bn
        assert settings is not None
        count = settings.batches(self.train.batch_size, self.task.steps_per_epoch)
        seen = self.task.norm_images(settings.images, max(0, step - count), count)
        parts = (part for images in seen for part in images.chunk(self.train.accumulate))
        with gathered(self.model):
            return population_statistics(self.model, parts, self.group)
