"""Train several runs of one network in one process, with their layers stacked into one network.

Each training is the ordinary one (`engine.train.training`), with its own data order, augmentation, optimiser, average,
watchdogs, evaluations and checkpoints. It stops at each part of a batch until all have come to theirs; then the forward
and backward passes of all are computed as one.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ablata.base.errors import AblataError
from ablata.engine.loop import Part
from ablata.engine.recipe import Recipe
from ablata.engine.together.network import StackedNetwork, why_not_stacked
from ablata.engine.together.random_states import RandomStates

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingEnd(Generic[T]):
    """How a training of a group ended.

    Attributes:
        result: what it returned; None: it raised.
        error: what it raised; None: nothing.
    """

    result: T | None
    error: Exception | None = None


def train_together(trainings: Sequence[Generator[Part, None, T]]) -> list[TrainingEnd[T]]:
    """Train all to their ends, each of which comes to one without an effect on the others.

    Args:
        trainings: yield the parts of their batches, as `engine.train.training` does; at most one step of each is lost
            if this is interrupted.

    Returns:
        How each ended, in their order.

    Raises:
        Exception: the first that is no `AblataError`, once all have ended.
    """
    group = _Group(trainings)
    while group.waiting:
        group.compute_gradients()
        group.go_on()
    ended = [group.ended[number] for number in range(len(trainings))]
    for one in ended:
        if one.error is not None and not isinstance(one.error, AblataError):
            raise one.error
    return ended


def why_alone(recipe: Recipe) -> str:
    """Return why runs of a recipe are trained one by one, as far as its settings tell; empty: they need not be."""
    if recipe.compute.compile:
        return "a compiled network is trained by itself (compute.compile=true)"
    if recipe.freeze is not None:
        return "a network of which parts are frozen is trained by itself (freeze)"
    if recipe.train.minutes is not None:
        return "a training of so many minutes has the processor to itself (train.minutes)"
    return recipe.why_alone()


class _Group(Generic[T]):
    """Trainings that have come to a part of a batch each, and those that have ended."""

    def __init__(self, trainings: Sequence[Generator[Part, None, T]]) -> None:
        self._trainings = trainings
        self.waiting: dict[int, Part] = {}
        self.ended: dict[int, TrainingEnd[T]] = {}
        self._failed: dict[int, Exception] = {}
        self._network: StackedNetwork | None = None
        self._members: tuple[int, ...] = ()
        self._why: str | None = None
        self._noise: RandomStates | None = None
        for member in range(len(trainings)):
            self._advance(member)

    def go_on(self) -> None:
        """Let every training go on to its next part, or to its end."""
        for member in list(self.waiting):
            self._advance(member)

    def compute_gradients(self) -> None:
        """Compute the gradients of the parts that wait; what a loss raises is raised in its training."""
        if self._members != tuple(self.waiting):
            self._join()
        if self._network is None:
            for member, part in self.waiting.items():
                self._alone(member, part)
        else:
            self._stacked(self._network)

    def _advance(self, member: int) -> None:
        training, error = self._trainings[member], self._failed.pop(member, None)
        try:
            part = next(training) if error is None else training.throw(error)
        except StopIteration as end:
            self._end(member, TrainingEnd(end.value))
        except Exception as raised:
            self._end(member, TrainingEnd(None, raised))
        else:
            self.waiting[member] = part
            self._noise = self._noise or RandomStates(part.state.device, len(self._trainings))
            if part.position == 0:
                self._noise.capture(member)

    def _end(self, member: int, ended: TrainingEnd[T]) -> None:
        self.waiting.pop(member, None)
        self.ended[member] = ended

    def _join(self) -> None:
        """Stack the networks of the trainings that wait, or say why they take turns."""
        states, first = [part.state for part in self.waiting.values()], self._why is None
        self._members, self._network = tuple(self.waiting), None
        models, outputs = [state.model for state in states], states[0].task.outputs
        for state in states:
            state.together = max(state.together, len(states))
        if self._why is None:
            images = [part.batch.images for part in self.waiting.values()]
            self._why = why_not_stacked(models, outputs, images) if len(states) > 1 else ""
        if not self._why and len(states) > 1:
            order, noise = self._members, self._noise
            assert noise is not None
            self._network = StackedNetwork(models, outputs, lambda number: noise.of(order[number]))
        told = f"trained together with {len(states) - 1} other runs, their layers stacked"
        if self._why:
            told = f"takes turns with {len(states) - 1} other runs in one process, not stacked: {self._why}"
        for state in states if first and len(states) > 1 else ():
            state.reporter.event("info", "together", told)

    def _alone(self, member: int, part: Part) -> None:
        assert self._noise is not None
        try:
            with self._noise.of(member):
                torch.autograd.backward(part.state.scaler.scale(part.loss(part.state.network)))
        except Exception as error:
            self._failed[member] = error

    def _stacked(self, network: StackedNetwork) -> None:
        assert self._noise is not None
        parts = list(self.waiting.items())
        if parts[0][1].position == 0:
            network.clear_gradients()
        with parts[0][1].state.precision.autocast():
            outputs = network.forward([part.batch.images for _, part in parts])
        losses: list[Tensor] = []
        for (member, part), own in zip(parts, outputs, strict=True):
            try:
                with self._noise.of(member):
                    losses.append(part.state.scaler.scale(part.loss(_KnownOutputs(part.batch.images, own))))
            except Exception as error:
                self._failed[member] = error
        if losses:
            torch.autograd.backward(torch.stack(losses).sum())
            network.hand_out_gradients()


class _KnownOutputs(nn.Module):
    """Stands for a network whose outputs for a batch are known.

    Args:
        images: of the batch.
        outputs: by name.
    """

    def __init__(self, images: Tensor, outputs: dict[str, Tensor]) -> None:
        super().__init__()
        self._images, self._outputs = images, outputs

    def forward(self, images: Any) -> dict[str, Tensor]:
        """Return the outputs.

        Raises:
            RuntimeError: asked about other images; a task whose loss does so must say so in `why_alone`.
        """
        if images is not self._images:
            raise RuntimeError("a task that is trained together may ask its network about the batch's images alone")
        return self._outputs
