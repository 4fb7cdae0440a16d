"""State of a training: how it is set up, evaluated, saved as a checkpoint and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ablata.base.errors import CheckpointError, SettingsError
from ablata.base.quantities import duration
from ablata.base.settings import expand, settings_hash
from ablata.engine.batch_norm import set_bn_momentum
from ablata.engine.checkpoints import (
    AVERAGE,
    BEST,
    LAST,
    RAW,
    Attempt,
    Checkpoint,
    clear_drafts,
    load_checkpoint,
    refuse_mismatch,
    refuse_other_run,
    save_checkpoint,
)
from ablata.engine.evaluation import EvalSchedule, Evaluator
from ablata.engine.freezing import Frozen
from ablata.engine.hardware.complexity import Complexity, count
from ablata.engine.hardware.precision import choose_precision
from ablata.engine.hardware.sharding import gathered, load_whole_state, shard, whole_state
from ablata.engine.hardware.timer import TimeBudget, Timer
from ablata.engine.loss_sums import LossSums
from ablata.engine.optim.parameter_groups import rate_factor
from ablata.engine.optim.state import load_optimiser_state, optimiser_state
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.resuming import refuse_other_beginning, refuse_other_training
from ablata.engine.shardable import refuse_unshardable
from ablata.engine.task import RunContext
from ablata.engine.watchdogs import CollapseWatch, FiniteWatch, GradientWatch
from ablata.nn.kernels.compiled_batch_norm import convert_moment_norm
from ablata.nn.kernels.sync_batch_norm import convert_sync_batchnorm
from ablata.records.run_folder.code import ids_of
from ablata.records.run_folder.gallery import write_gallery
from ablata.records.run_folder.items import ItemScores, has_items, write_items

T = TypeVar("T")

NOBODY = Attempt()

_PROCESSOR_OPTIONS: dict[str, Any] = {"inplace_buffers": False}
"""A kernel that writes where it reads, half a vector of 16 channels at a time, waits for each store before the next
load: twice the time of one that writes elsewhere."""


class TrainState:
    """State of one training.

    Args:
        recipe: what to train.
        seed: the run's seed.
        folder: where checkpoints go; taken up again if it holds one.
        context: device, cache folder, place among the processes.
        reporter: who listens.
        attempt: who writes.
        fork: folder of the run that is this training's beginning; None: it begins with its first step.

    Raises:
        UserError: data, settings or the checkpoint in `folder` do not fit; nothing was changed.
    """

    def __init__(
        self,
        recipe: Recipe,
        seed: int,
        folder: Path,
        context: RunContext,
        reporter: Reporter,
        attempt: Attempt = NOBODY,
        fork: Path | None = None,
    ) -> None:
        self.attempt = attempt
        self.fork, self.forked_at = fork, 0
        self._complexity: Complexity | None = None
        self._first_warnings: Sequence[str] | None = None
        self.recipe, self.seed, self.folder, self.context = recipe, seed, folder, context
        self.device, self.group = context.device, context.group
        self.reporter = reporter if context.group.is_main else Reporter()
        self.group.local_batch_size(recipe.train.batch_size, recipe.train.accumulate)
        self.precision = choose_precision(recipe.compute.precision, self.device)
        self.task = recipe.build(seed, context)
        self.is_sharded = recipe.compute.shard and not self.group.is_single
        if self.is_sharded:
            refuse_unshardable(recipe, self.precision)
        self._load_start()
        self.model = self._prepare_model(self.task.model)
        planned = recipe.train.total_steps(self.task.steps_per_epoch)
        self.total = planned + recipe.schedule.extra_steps(self.task.steps_per_epoch, planned)
        if recipe.train.stop_epochs is not None:
            self.total = min(self.total, max(1, round(recipe.train.stop_epochs * self.task.steps_per_epoch)))
        self.frozen = self._frozen()
        if recipe.freeze_epochs is None:
            self.frozen.at(0)
        self.optimiser = recipe.optim.build(self.model, recipe.train.batch_size)
        self.base_lr, self.lr_note = recipe.optim.scaled_lr(recipe.train.batch_size)
        self.schedule: Callable[[int], float] = recipe.schedule.build(self.base_lr, planned, self.task.steps_per_epoch)
        self.ema = recipe.ema.build(self.model) if recipe.ema else None
        self.evaluator = Evaluator(recipe.train, self.task, self.model, self.ema, self.group)
        self.eval_schedule = EvalSchedule(recipe.train, self.task.steps_per_epoch, self.total)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision.dtype == torch.float16)
        self.gradients = GradientWatch(self.model, self.device, self.group)
        self.watch_terms([])
        self.loss_sums = LossSums(self.group, self.device)
        self.collapse = CollapseWatch()
        self.frozen.at(0)
        self.step = self.first_step = 0
        self.learning_rate = math.nan
        self.scores: dict[str, float] = {}
        self.best: dict[str, Any] | None = None
        self.seconds_before = 0.0
        self.budget: TimeBudget | None = None
        self.out_of_time = False
        self.together = 1
        """Trainings whose steps were computed with this one's, at most, itself included."""
        self._resume()
        self.timer = Timer(self.total - self.step, self.evaluations_left())
        self.network = self._wrap_network()
        self.saved_at = time.monotonic()

    def _load_start(self) -> None:
        """Load the weights that the recipe starts from, unless this training has a checkpoint of its own."""
        start, parent = self.recipe.start, self.context.parent
        # A step that is only timed has no parent at hand, and needs none.
        if start is None or (start.run is None and parent is None) or self.group.any((self.folder / LAST).exists()):
            return
        self.task.notices = (*self.task.notices, self.task.load_start(start, parent))

    def _prepare_model(self, model: nn.Module) -> nn.Module:
        if self.recipe.train.bn_momentum is not None:
            set_bn_momentum(model, self.recipe.train.bn_momentum, self.recipe.train.batch_size)
        if not self.group.is_single and self.recipe.compute.sync_batch_norm:
            model = convert_sync_batchnorm(model)
        if self.recipe.compute.compile and self.device.type == "cpu":
            convert_moment_norm(model)
        # FSDP shares out rows of contiguous tensors alone; images keep their layout.
        is_last = self.recipe.compute.channels_last and not self.is_sharded
        self.task.model = model.to(self.device).to(
            memory_format=torch.channels_last if is_last else torch.contiguous_format
        )
        if self.is_sharded:
            # What looks at the whole network does so before.
            self._complexity = count(self.task.model, self.task.example())
            self._first_warnings = self.check_first_batch()
            shard(self.task.model, self.device)
        return self.task.model

    def _frozen(self) -> Frozen:
        epochs = self.recipe.freeze_epochs
        if epochs is not None and not self.group.is_single:
            raise SettingsError(
                "A network that several processes train cannot change on the way",
                found=f"freeze_epochs={epochs:g} with {self.group.world_size} processes",
                do="freeze_epochs=null, or one process",
            )
        steps = None if epochs is None else max(1, round(epochs * self.task.steps_per_epoch))
        return Frozen(self.model, self.recipe.frozen(), steps)

    def train_mode(self) -> None:
        """Put the network into training mode, all but what is frozen."""
        self.model.train()
        self.frozen.keep_still()

    def _wrap_network(self) -> nn.Module:
        """Return the model as the loss calls it: compiled, exchanging gradients, or as it is."""
        network = self.model
        if self.recipe.compute.compile:
            options = _PROCESSOR_OPTIONS if self.device.type == "cpu" else None
            chosen = _Outputs(self.model, self.task.outputs) if self.task.outputs else self.model
            network = cast(nn.Module, torch.compile(chosen, options=options))
        if self.group.is_single or self.is_sharded:
            return network
        return DistributedDataParallel(network, device_ids=[self.device] if self.device.type == "cuda" else None)

    def complexity(self) -> Complexity:
        """Count parameters, multiply-adds and activations of one training image."""
        return self._complexity or count(self.model, self.task.example())

    def check_first_batch(self) -> Sequence[str]:
        """Hold the first batch against the network's outputs; return what is worth a warning."""
        if self._first_warnings is not None:
            return self._first_warnings
        batch = next(self.task.batches(0, 1)).to(self.device)
        # A user's check may return nothing.
        return self.task.check(self.task.augment(batch, 0)) or ()

    # What the loop asks for, in the order of the loop.

    def set_learning_rate(self) -> None:
        """Set every parameter group's learning rate for the step at hand, and whether it learns at all."""
        self.frozen.at(self.step)
        self.learning_rate = self.schedule(self.step)
        for group in self.optimiser.param_groups:
            factor = rate_factor(group, self.step, self.task.steps_per_epoch)
            group["lr"] = self.learning_rate * group["lr_scale"] * factor
            if factor == 0 and self.network is self.model and not self.is_sharded:
                # Its gradient is no longer needed; a compiled or distributed network cannot change on the way.
                for parameter in group["params"]:
                    parameter.requires_grad_(False)

    def without_gradient_exchange(self) -> AbstractContextManager[object]:
        """Return the context for all but the last part of an accumulated batch."""
        return self.network.no_sync() if isinstance(self.network, DistributedDataParallel) else nullcontext()

    def watch_terms(self, names: list[str]) -> None:
        """Start watching the loss terms, whose names are known from the first batch on."""
        self.terms = FiniteWatch(names, "loss term", self.device, self.group)

    def check_first_loss(self, loss: Tensor) -> None:
        """Refuse a loss that has no gradient, and warn of one that is zero: nothing would be learnt.

        Raises:
            SettingsError: the loss does not depend on the network's outputs.
        """
        if not loss.requires_grad:
            raise SettingsError(
                "The loss must depend on the network's outputs",
                found="a loss without gradient",
                do="compute it from the outputs by torch's operations, without detach, item, argmax or a new tensor",
            )
        if not loss.detach().any():
            self.reporter.event("warning", "zero_loss", "the loss of the first batch is exactly zero")

    def warn_of_missing_gradients(self) -> None:
        """Say which trainable parameters the first backward pass did not reach."""
        if names := self.gradients.missing():
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            stay = "it stays" if len(names) == 1 else "they stay"
            self.reporter.event("warning", "no_gradient", f"no gradient reaches {shown}: {stay} as initialised")

    def stop_reason(self) -> str | None:
        """Return why to stop, on the word of the writing process."""
        return self._agree(self.reporter.stop_reason, None)

    def _agree(self, ask: Callable[[], T], otherwise: T) -> T:
        """Ask the writing process; several processes listen to it at log points, and take `otherwise` elsewhere."""
        if self.group.is_single:
            return ask()
        if self.step % self.recipe.train.log_every:
            return otherwise
        answer: T = self.group.broadcast_object(ask() if self.group.is_main else None)
        return answer

    # Evaluation.

    def evaluation_due(self) -> bool:
        """Tell whether this step ends an evaluation interval, or the training."""
        return self.eval_schedule.due(self.step) or self.out_of_time

    def finished(self) -> bool:
        """Tell whether the last step was taken, the score has not become better for as long as `patience` has it, or
        the time is over.

        The first two follow from the step and the best score alone, so that a resumed training ends where an
        uninterrupted one does; that the time was over is kept in the checkpoint.
        """
        if self.out_of_time:
            return True
        if self.step >= self.total or self.recipe.train.patience is None or self.best is None:
            return self.step >= self.total
        if not self.eval_schedule.due(self.step):
            return False
        since = self.eval_schedule.left(self.best["step"]) - self.eval_schedule.left(self.step)
        return since >= self.recipe.train.patience

    def watch_time(self) -> None:
        """End the training with this step where its minutes are over."""
        budget = self.budget
        if budget is None or self.finished():
            return
        evaluation = self.timer.evaluation_seconds()
        if self._agree(lambda: budget.is_over(self.seconds_before, evaluation), False):
            self.out_of_time = True
            self.reporter.event(
                "warning",
                "time",
                f"the {duration(budget.seconds)} that were asked for are over after step {self.step} of {self.total}: "
                "the machine became slower than it was when steps were measured; the schedule has not come to its end",
            )

    def evaluations_left(self) -> int:
        """Return how many evaluations are to come."""
        return self.eval_schedule.left(self.step)

    def evaluate(self) -> None:
        """Score the model, the averaged one too if there is one, and keep the best."""
        with self.timer.pause(evaluation=True), torch.no_grad(), self.precision.autocast():
            self.model.eval()
            self.scores = self.evaluator.scores(self.step)
            self._watch_ema()
            self.train_mode()
            self.reporter.metrics([(self.step, name, value) for name, value in self.scores.items()])
        self._keep_best()
        if self.finished():
            self.reporter.metrics(self._class_rows())

    def _class_rows(self) -> list[MetricRow]:
        """Return the scores of each class in the evaluation at hand, as points of curves."""
        return [
            (self.step, f"{split}/{protocol}/{name}", value)
            for split in self.task.splits
            for protocol in self.task.protocols
            for name, value in self.task.class_scores(split, protocol).items()
        ]

    def save_gallery(self) -> None:
        """Save the gallery of the finished run; what cannot be written is reported and costs nothing else."""
        if not self.group.is_main and not self.is_sharded:
            return
        shown = None
        with self.timer.pause(), torch.no_grad(), self.precision.autocast(), self.evaluator.with_eval_weights():
            self.model.eval()
            with gathered(self.model):
                if self.group.is_main:
                    shown = self.task.visualize(self.model)
            self.train_mode()
        try:
            if shown is not None:
                write_gallery(self.folder, shown, self.attempt.held)
        except OSError as error:
            self.reporter.event("warning", "shown", f"images of predictions could not be written: {error}")

    def save_items(self) -> None:
        """Save what the finished run got on each item; what cannot be written is reported and costs nothing else."""
        try:
            for split in self.task.splits:
                for protocol in self.task.protocols:
                    found = self._items(split, protocol)
                    if found is not None and self.group.is_main:
                        write_items(self.folder, found, self.attempt.held)
        except (OSError, ValueError) as error:
            self.reporter.event("warning", "items", f"scores of single items could not be written: {error}")

    def _items(self, split: str, protocol: str) -> ItemScores | None:
        """Return the items of the last evaluation, made again where this attempt went on after it and has none."""
        found = self.task.item_scores(split, protocol)
        kept = self.group.any(self.group.is_main and has_items(self.folder, split, protocol))
        if found is not None or kept or not self.task.keeps_items:
            return found
        with self.timer.pause(), torch.no_grad(), self.precision.autocast(), self.evaluator.with_eval_weights():
            self.model.eval()
            with gathered(self.model):
                self.task.evaluate(self.model, split, protocol)
            self.train_mode()
        return self.task.item_scores(split, protocol)

    def _watch_ema(self) -> None:
        if self.ema is None or not self.ema.warmed_up(self.step):
            return
        distance = float(self.ema.distance(self.model))
        if distance > 0.5:
            apart = f"averaged weights are {100 * distance:.0f}% away from the model at step {self.step}"
            self.reporter.event("warning", "ema_departs", f"{apart}: not converged yet")

    def _keep_best(self) -> None:
        metric = self.recipe.metric()
        value = self.scores[metric.key]
        sign = 1 if metric.higher_is_better else -1
        if math.isfinite(value) and (self.best is None or sign * value > sign * self.best["value"]):
            word = "highest" if metric.higher_is_better else "lowest"
            # The only evaluation of a training, at its end, chooses nothing.
            is_chosen = metric.split == "val" and (self.best is not None or self.step < self.total)
            bias = "; chosen on the split it is reported on, so it flatters" if is_chosen else ""
            why = f"{word} {metric.key} so far: {value:.6g} at step {self.step}{bias}"
            self.best = {"key": metric.key, "value": value, "step": self.step, "why": why}
            self.save("best")

    # Checkpoints.

    def checkpoint_due(self) -> bool:
        """Tell whether a kill would lose more than the recipe allows."""
        return self._agree(lambda: time.monotonic() - self.saved_at > self.recipe.train.checkpoint_seconds, False)

    def save(self, which: str) -> None:
        """Write `last` (all that resuming needs) or `best` (weights only), on the writing process."""
        with self.timer.pause():
            path = self.folder / (LAST if which == "last" else BEST)
            # Every process gives its part of the sums, at the same time.
            losses = self.loss_sums.state() if which == "last" else None
            if self.group.is_main:
                # Points first: a resumed training does not tell again what its checkpoint covers.
                self.reporter.flush()
            if self.group.is_main or self.is_sharded:
                # Shared tensors are gathered by all.
                checkpoint = self._full_checkpoint(losses) if losses else self._weights_checkpoint()
            if self.group.is_main:
                save_checkpoint(path, checkpoint, self.attempt.held)
                self.attempt.kept()
            if which == "last":
                self.saved_at = time.monotonic()

    def _facts(self) -> dict[str, Any]:
        return {
            "run": self.attempt.run,
            "attempt": self.attempt.number,
            "step": self.step,
            "total": self.total,
            "recipe": expand(self.recipe),
            "recipe_hash": settings_hash(self.recipe),
            "seed": self.seed,
            "contract": self.task.contract(),
            "precision": self.precision.name,
            "scores": self.scores,
            "best": self.best,
            "seconds": self.seconds(),
            **({"forked_at": self.forked_at} if self.forked_at else {}),
            **({"out_of_time": True} if self.out_of_time else {}),
        }

    def _full_checkpoint(self, losses: dict[str, Any]) -> Checkpoint:
        tensors, plain = optimiser_state(self.optimiser)
        groups = {RAW: whole_state(self.model), "optimiser": tensors, "task": dict(self.task.state())}
        if self.ema is not None:
            groups[AVERAGE] = self.ema.state()
        groups |= self.evaluator.state(self.step)
        facts = self._facts() | {"optimiser": plain, "scaler": self.scaler.state_dict()}
        facts |= {"losses": losses, "collapse": self.collapse.state()}
        return Checkpoint(groups, facts)

    def _weights_checkpoint(self) -> Checkpoint:
        """Return the weights alone, as they were scored: the averaged ones where averaging is on."""
        return Checkpoint({RAW: self.evaluator.eval_weights()}, self._facts())

    def _resume(self) -> None:
        """Continue from the folder's last checkpoint, if there is one, or from that of the run it is a fork of."""
        if self.group.is_main:
            with self.attempt.held():
                clear_drafts(self.folder)
        path = self.folder / LAST
        forking = not self.group.any(path.exists())
        if forking:
            if self.fork is None:
                return
            path = self.fork / LAST
        saved = load_checkpoint(path)
        facts = saved.facts
        if forking:
            refuse_other_beginning(path, facts, self.recipe, self.seed, self.task.steps_per_epoch)
        else:
            if self.attempt.run:
                refuse_other_run(facts, ids_of(self.folder), path)
            refuse_other_training(path, facts, self.recipe, self.seed, self.total)
        refuse_mismatch(facts["contract"], self.task.contract(), str(path))
        try:
            load_whole_state(self.model, saved.groups[RAW])
        except RuntimeError as error:
            raise CheckpointError(
                "A checkpoint must fit the network",
                found=f"{path}: {error}",
                do="give the settings that it was trained with, or begin anew with its weights: model.weights=FILE",
            ) from None
        load_optimiser_state(self.optimiser, saved.groups.get("optimiser", {}), facts["optimiser"])
        self.scaler.load_state_dict(facts["scaler"])
        if self.ema is not None and AVERAGE in saved.groups:
            self.ema.load(saved.groups[AVERAGE])
        elif self.ema is not None:
            self.ema.follow(self.model)
        self.task.load_state(saved.groups.get("task", {}))
        self.loss_sums.load_state(facts["losses"])
        self.collapse.load_state(facts["collapse"])
        self.step = self.first_step = facts["step"]
        if forking:
            # What the beginning cost, and its best checkpoint, are its own.
            self.forked_at = facts["step"]
            return
        self.forked_at, self.out_of_time = facts.get("forked_at", 0), facts.get("out_of_time", False)
        self.scores, self.best, self.seconds_before = facts["scores"], facts["best"], facts["seconds"]

    def seconds(self) -> float:
        """Return the training time so far, earlier attempts included; of a group's time its share."""
        return self.seconds_before + self.timer.seconds() / self.together


class _Outputs(nn.Module):
    """A model that gives only some of its named outputs."""

    def __init__(self, model: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.model(images)
        return {name: outputs[name] for name in self.names}
