"""Teachers: stored soft labels, a frozen network, the student's EMA or its last epoch, a peer.

A teacher is no part of the student's module: `model.train()` does not reach it, no gradient does, and it is not saved
with the student. Letters: B rows, K classes, N samples of the training source, T temperature.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, listing
from ablata.engine.optim.ema import Ema
from ablata.structures.batch import ImageBatch


class Teacher(ABC):
    """Gives soft targets: probabilities of the classes for each sample of a batch."""

    @property
    @abstractmethod
    def network(self) -> nn.Module | None:
        """The network that is scored beside the student; None while there is none."""

    @property
    def ready(self) -> bool:
        """Whether its predictions are used yet."""
        return True

    @abstractmethod
    def probabilities(self, batch: ImageBatch, outputs: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return softmax(logits / temperature), float32 [B, K], without gradient.

        Args:
            batch: what the student sees, mixed where mixing is on.
            outputs: the student's outputs for it.
            temperature: above 0.
        """

    def after_step(self, step: int) -> None:  # noqa: B027
        """Learn from the student after optimiser step number `step`; a frozen teacher does not."""

    def restart(self) -> None:  # noqa: B027
        """Begin with the student's weights as they are now; a frozen teacher keeps its own."""

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs; a frozen teacher's contents come from elsewhere."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            CheckpointError: it does not fit.
        """
        if state:
            raise CheckpointError(
                "A frozen teacher keeps no state",
                found=listing(sorted(state)[:3]),
                do="start the run anew; this checkpoint is of other settings",
            )


class StoredLabels(Teacher):
    """Soft labels by sample id.

    Args:
        logits: float32 [N, K], on the training device; rows of samples that are not trained on are not read.
        network: the network they come from.
    """

    def __init__(self, logits: Tensor, network: nn.Module) -> None:
        self.logits, self._network = logits, network

    @property
    def network(self) -> nn.Module:
        """The network that the labels come from."""
        return self._network

    def probabilities(self, batch: ImageBatch, outputs: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return the labels of the batch's samples, mixed as their images are."""
        own = (self.logits[batch.index] / temperature).softmax(1)
        if batch.mixing is None:
            return own
        partner = (self.logits[batch.mixing.partner_index] / temperature).softmax(1)
        return torch.lerp(partner, own, batch.mixing.lam[:, None])


class FrozenNetwork(Teacher):
    """A trained network that sees what the student sees.

    Args:
        network: on the training device; its gradients are switched off here.
        train_mode: normalise by batch statistics and drop out. Running statistics stay as they were all the same: that
            they drift in the public code changes nothing that it uses, and here would change the teacher's score.
    """

    def __init__(self, network: nn.Module, train_mode: bool = False) -> None:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.momentum = 0.0
        self._network = network.requires_grad_(False).train(train_mode)

    @property
    def network(self) -> nn.Module:
        """The frozen network."""
        return self._network

    @torch.no_grad()
    def probabilities(self, batch: ImageBatch, outputs: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return the network's predictions for the batch."""
        logits: Tensor = self._network(batch.images)["logits"]
        return (logits.float() / temperature).softmax(1)


class EmaTeacher(Teacher):
    """The student's own average, or the student as it was at the end of the last epoch.

    Args:
        student: the network in training, read after every step.
        ema: how it is averaged; None copies it at the end of every epoch.
        start_step: optimiser steps before it counts.
        steps_per_epoch: optimiser steps of an epoch.
        train_mode: as for `FrozenNetwork`.
    """

    def __init__(
        self, student: nn.Module, ema: Ema | None, start_step: int, steps_per_epoch: int, train_mode: bool
    ) -> None:
        self.student, self.ema, self.start_step, self.steps_per_epoch = student, ema, start_step, steps_per_epoch
        self.copy = copy.deepcopy(student).requires_grad_(False).train(train_mode)
        self.step = 0

    @property
    def ready(self) -> bool:
        """Whether its first steps are over; a copy also waits for the end of the first epoch."""
        return self.step >= max(self.start_step, 0 if self.ema else self.steps_per_epoch)

    @property
    def network(self) -> nn.Module | None:
        """The copy, once it counts."""
        return self.copy if self.ready else None

    @torch.no_grad()
    def probabilities(self, batch: ImageBatch, outputs: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return the copy's predictions for the batch."""
        logits: Tensor = self.copy(batch.images)["logits"]
        return (logits.float() / temperature).softmax(1)

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the copy towards the student, or to it at the end of an epoch."""
        self.step = step + 1
        if self.ema is None and self.step % self.steps_per_epoch:
            return
        weight = 1 - self.ema.decay_at(step) if self.ema else 1.0
        live = self.student.state_dict()
        for name, tensor in self.copy.state_dict().items():
            if tensor.is_floating_point() and weight < 1:
                tensor.lerp_(live[name], weight)
            else:
                tensor.copy_(live[name])

    def restart(self) -> None:
        """Copy the student's weights."""
        self.copy.load_state_dict(self.student.state_dict())

    def state(self) -> dict[str, Tensor]:
        """Return the copy's tensors and how many steps it has seen."""
        tensors = {f"teacher.{name}": tensor.cpu().contiguous() for name, tensor in self.copy.state_dict().items()}
        return tensors | {"teacher_step": torch.tensor(self.step)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            CheckpointError: it is no such state.
        """
        try:
            self.step = int(state["teacher_step"])
            weights = {name.removeprefix("teacher."): value for name, value in state.items() if name != "teacher_step"}
            self.copy.load_state_dict(weights)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                "A checkpoint must hold the online teacher's state",
                found=str(error),
                do="start the run anew; this checkpoint is of other settings",
            ) from None


class PeerPair(nn.Module):
    """Two networks of one kind that are trained together, each teaching the other.

    The outputs are the student's, and `peer_logits`. Both are saved; the student is scored and delivered.

    Args:
        student: delivered.
        peer: drawn with other weights.
    """

    def __init__(self, student: nn.Module, peer: nn.Module) -> None:
        super().__init__()
        self.student, self.peer = student, peer

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return the student's outputs; in training mode the peer's logits [B, K] too."""
        outputs: dict[str, Tensor] = self.student(images)
        if not self.training:
            return outputs
        return outputs | {"peer_logits": self.peer(images)["logits"]}


class Peer(Teacher):
    """The peer of a `PeerPair`, read from the student's own outputs.

    Args:
        pair: the two networks.
        start_step: optimiser steps before it counts.
    """

    def __init__(self, pair: PeerPair, start_step: int) -> None:
        self.pair, self.start_step, self.step = pair, start_step, 0

    @property
    def network(self) -> nn.Module:
        """The peer."""
        return self.pair.peer

    @property
    def ready(self) -> bool:
        """Whether its first steps are over."""
        return self.step >= self.start_step

    def probabilities(self, batch: ImageBatch, outputs: Mapping[str, Tensor], temperature: float) -> Tensor:
        """Return the peer's predictions for the batch."""
        return (outputs["peer_logits"].detach().float() / temperature).softmax(1)

    def after_step(self, step: int) -> None:
        """Count the steps."""
        self.step = step + 1

    def state(self) -> dict[str, Tensor]:
        """Return how many steps it has seen; its weights lie with the student's."""
        return {"teacher_step": torch.tensor(self.step)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what `state` returned.

        Raises:
            CheckpointError: it is no such state.
        """
        if set(state) != {"teacher_step"}:
            raise CheckpointError(
                "A checkpoint must hold the peer's step",
                found=listing(sorted(state)[:3]) or "none",
                do="start the run anew; this checkpoint is of other settings",
            )
        self.step = int(state["teacher_step"])
