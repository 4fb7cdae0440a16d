"""The one training loop. Read `steps` from top to bottom: that is what happens, in that order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import DivergedError, LeaseLostError, StoppedError
from ablata.base.seeds import derive
from ablata.engine.hardware.timer import Timer
from ablata.engine.reporting import Progress
from ablata.engine.train_state import TrainState
from ablata.nn.single_values import single_values_in_words


def train_steps(state: TrainState) -> None:
    """Train from the state's step to its last one, alone; see `steps`."""
    deque(steps(state), maxlen=0)


def steps(state: TrainState, *, together: bool = False) -> Iterator[Part]:
    """Train from the state's step to its last one; evaluate and save on the way and at the end.

    Args:
        state: the training.
        together: yield each part of a batch, for whoever asked to compute its gradient with those of other trainings;
            nothing is yielded otherwise.

    Raises:
        SettingsError: the first loss does not depend on the network's outputs.
        DivergedError: a loss or gradient is not finite.
        StoppedError: the user asked to stop; everything is saved.
        LeaseLostError: another worker has taken the run; nothing more is written.
    """
    s = state
    batches = s.task.batches(s.step, s.total)
    log = LossLog(s)
    s.timer = Timer(s.total - s.step, s.evaluations_left())
    while not s.finished():
        seed_model_noise(s.device, derive(s.seed, "model", s.step, s.group.rank))
        batch = s.task.augment(next(batches).to(s.device), s.step)
        s.set_learning_rate()

        for position, piece in enumerate(pieces := batch.chunk(s.recipe.train.accumulate)):
            part = Part(s, log, piece, position, len(pieces))
            if together:
                yield part
            else:
                torch.autograd.backward(s.scaler.scale(part.loss(s.network)))

        s.scaler.unscale_(s.optimiser)
        if s.step == s.first_step:
            s.warn_of_missing_gradients()
        norm = s.gradients.norm(s.step, check=not s.scaler.is_enabled())
        if s.recipe.train.clip is not None:
            s.gradients.clip(s.recipe.train.clip, norm)
        s.scaler.step(s.optimiser)
        s.scaler.update()
        s.optimiser.zero_grad(set_to_none=True)
        if s.ema is not None:
            s.ema.update(s.model, s.step, s.learning_rate)
        s.task.after_step(s.step)
        s.step += 1
        s.timer.step_done()
        s.watch_time()

        if s.step % s.recipe.train.log_every == 0 or s.step == s.total:
            log.flush(norm)
        if s.evaluation_due():
            log.read_watchdogs()
            s.evaluate()
        if s.finished() or s.checkpoint_due():
            log.read_watchdogs()
            s.save("last")
        if (reason := s.stop_reason()) and not s.finished():
            stop_early(s, log, reason)


@dataclass(frozen=True)
class Part:
    """Part of a training's batch, whose loss and gradient are to be computed.

    Attributes:
        state: the training.
        log: takes the loss terms.
        batch: the samples.
        position, count: which part it is, of how many.
    """

    state: TrainState
    log: LossLog
    batch: Any
    position: int
    count: int

    def loss(self, network: nn.Module) -> Tensor:
        """Return the part's share of the batch's loss, a scalar, with `network` in place of the state's model.

        Raises:
            SettingsError: the first loss does not depend on the network's outputs, or one image a batch is too few.
        """
        s, last = self.state, self.position == self.count - 1
        exchange = nullcontext() if last else s.without_gradient_exchange()
        with s.precision.autocast(), exchange, single_values_in_words():
            terms = s.task.loss(network, self.batch)
            self.log.add(terms)
            loss = torch.stack(list(terms.values())).sum() / self.count
        if s.step == s.first_step and self.position == 0:
            s.check_first_loss(loss)
        return loss


def seed_model_noise(device: torch.device, seed: int) -> None:
    """Seed torch's global generators of the processor and of the device, as `torch.manual_seed` does.

    That one also notes who called it, for devices that are not in use: 0.16 ms, where a small network's step takes 5.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def stop_early(state: TrainState, log: LossLog, reason: str) -> None:
    """End before the last step, for a reason that the reporter gave.

    Raises:
        StoppedError: the user asked; saved.
        LeaseLostError: another worker has the run; nothing is written, its files are no longer ours.
    """
    if reason == "lost":
        raise LeaseLostError("A worker must hold the lease of the run it trains", found="another worker took it over")
    log.read_watchdogs()
    state.save("last")
    raise StoppedError(f"Stopped after step {state.step} of {state.total} as asked; everything is saved")


class LossLog:
    """Collects loss terms without reading them, and reports their means at log points.

    Args:
        state: the training it belongs to.
    """

    def __init__(self, state: TrainState) -> None:
        self.state = state
        self.watching = False

    def add(self, terms: dict[str, Tensor]) -> None:
        """Add the loss terms of one part of a batch."""
        values = torch.stack([term.detach().float() for term in terms.values()])
        if not self.watching:
            self.state.watch_terms(list(terms))
            self.watching = True
        self.state.terms.note(values, self.state.step)
        self.state.loss_sums.add(list(terms), values)

    def read_watchdogs(self) -> None:
        """Refuse to go on, or to save, once a value was not finite.

        Raises:
            DivergedError: names the term or layer and its step.
        """
        s = self.state
        s.terms.read()
        s.gradients.finite.read()
        if s.scaler.is_enabled() and s.scaler.get_scale() < 1e-3:
            raise DivergedError(
                "fp16 needs gradients that some loss scale keeps finite",
                found=f"the scale fell to {s.scaler.get_scale():g} at step {s.step}",
                do="use compute.precision=bf16 or fp32, or lower optim.lr",
            )

    def flush(self, norm: Tensor) -> None:
        """Read the means since the last call, check them, and report curves and progress."""
        s = self.state
        self.read_watchdogs()
        losses = s.loss_sums.means()
        for message in s.collapse.note(s.task.watched_terms(losses)):
            s.reporter.event("warning", "collapse", message)
        rows = [(s.step, f"train/{name}", value) for name, value in losses.items()]
        rows += [(s.step, "train/gradient_norm", float(norm)), (s.step, "train/lr", s.learning_rate)]
        s.reporter.metrics(rows)
        s.reporter.progress(
            Progress(
                step=s.step,
                total=s.total,
                epoch=s.step / s.task.steps_per_epoch,
                losses=losses,
                learning_rate=s.learning_rate,
                images_per_second=s.timer.steps_per_second() * s.recipe.train.batch_size,
                seconds_left=s.timer.seconds_left(),
                scores=s.scores,
            )
        )
