"""The one training loop. Read `train_steps` from top to bottom: that is what happens, in that order."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from ablata.base.errors import DivergedError, LeaseLostError, StoppedError
from ablata.base.seeds import derive
from ablata.engine.hardware.timer import Timer
from ablata.engine.reporting import Progress
from ablata.engine.train_state import TrainState


def train_steps(state: TrainState) -> None:
    """Train from the state's step to its last one; evaluate and save on the way and at the end.

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
        torch.manual_seed(derive(s.seed, "model", s.step, s.group.rank))
        batch = s.task.augment(next(batches).to(s.device), s.step)
        s.set_learning_rate()

        for position, part in enumerate(parts := batch.chunk(s.recipe.train.accumulate)):
            last = position == len(parts) - 1
            with s.precision.autocast(), nullcontext() if last else s.without_gradient_exchange():
                terms = s.task.loss(s.network, part)
                log.add(terms)
                loss = torch.stack(list(terms.values())).sum() / len(parts)
            if s.step == s.first_step and position == 0:
                s.check_first_loss(loss)
            torch.autograd.backward(s.scaler.scale(loss))

        s.scaler.unscale_(s.optimiser)
        if s.step == s.first_step:
            s.warn_of_missing_gradients()
        norm = s.gradients.norm(s.step, check=not s.scaler.is_enabled())
        if s.recipe.train.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(s.gradients.parameters, s.recipe.train.clip, norm)
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
