"""Exponential moving average of a model's weights, scored beside the weights themselves.

The EMA is a set of weights of its own: one tensor for every floating parameter and buffer. To score it, `with
average.applied(model):` exchanges the two sets without a copy, so hooks, tied weights and compiled code see the model
they know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
import torch.distributed as dist
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import CheckpointError, listing
from ablata.base.settings import Settings
from ablata.engine.hardware.sharding import is_sharded, own_part, shared_like, whole_of

_SETTLED = 100
"""Averagings after which an average that is far from the model is worth a warning."""


class Ema(Settings):
    """EMA of the weights: ema = d ema + (1 - d) weights, then ema -= lr weight_decay ema.

    With t the number of averagings before this one, the decay d is
    none: `decay`; power: min(decay, 1 - (1 + t / gamma)^-power), timm's; ramp: min(decay, (t + 1) / (t + 10)).
    A training that goes on from its average after each step is Lookahead with one step and alpha = 1 - d.
    """

    kind: Literal["ema"] = "ema"
    decay: float = Field(default=0.9999, ge=0, lt=1)
    """Largest fraction of the old average that is kept; 0 makes the average equal to the weights."""
    warmup: Literal["none", "power", "ramp"] = "power"
    """How the decay rises at the start; without it a large decay keeps the random initial weights for long."""
    gamma: float = Field(default=1.0, gt=0)
    """Averagings after which the power form has risen markedly."""
    power: float = Field(default=2 / 3, gt=0)
    """Exponent of the power form: 2/3 for a million steps, 3/4 for fewer."""
    every: int = Field(default=1, ge=1)
    """Steps between two averagings."""
    copy_steps: int = Field(default=0, ge=0)
    """First steps of the training in which the EMA only follows the weights."""
    buffers: Literal["average", "copy"] = "average"
    """What happens to floating buffers such as the running statistics of batch normalisation."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Each averaging shrinks all averaged weights by the learning rate times this, beside or in place of the decay that
    the optimiser applies to the weights themselves."""

    def build(self, model: nn.Module) -> ModelEma:
        """Start an average at the present weights of the bare `model`, on its device."""
        return ModelEma(self, model)

    def decay_at(self, step: int) -> float:
        """Return the decay of the averaging after optimiser step number `step` (0, 1, ...)."""
        if step < self.copy_steps:
            return 0.0
        done = (step - self.copy_steps) // self.every
        if self.warmup == "power":
            return min(self.decay, 1 - math.pow(1 + done / self.gamma, -self.power))
        if self.warmup == "ramp":
            return min(self.decay, (done + 1) / (done + 10))
        return self.decay


class ModelEma:
    """EMA of one model's weights.

    Args:
        settings: decay, its warm-up, interval.
        model: the bare model (not wrapped for distribution or compiling), float32 or float64 weights.

    Raises:
        ValueError: weights of 16 bits, in which an average stands still.
    """

    def __init__(self, settings: Ema, model: nn.Module) -> None:
        self.settings = settings
        live = _floating(model)
        short = [name for name, tensor in live.items() if tensor.element_size() < 4]
        if short:
            raise ValueError(f"`model` must have weights of 32 bits or more, got {live[short[0]].dtype} in {short[0]}")
        self.weights = {name: own_part(tensor.detach()).clone() for name, tensor in live.items()}
        # Of a network that is shared out among processes each keeps its part of the average.
        self._live = live if is_sharded(model) else {}
        trainable = _parameter_names(model)
        self._parameters = [name for name in live if name in trainable]
        self._averaged = [name for name in live if settings.buffers == "average" or name in self._parameters]
        self._copied = [name for name in live if name not in set(self._averaged)]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int, learning_rate: float | None = None) -> None:
        """Update the EMA after an optimiser step; does nothing between two averagings.

        Args:
            model: the model that stepped.
            step: number of the step (0, 1, ...).
            learning_rate: the step's; needed where the average has a weight decay.

        Raises:
            ValueError: there is a weight decay and no learning rate.
        """
        if self.settings.weight_decay and learning_rate is None:
            raise ValueError("`learning_rate` must be given to an average with weight decay")
        since = step - self.settings.copy_steps
        if since >= 0 and (since + 1) % self.settings.every:
            return
        live = _floating(model)
        weight = 1 - self.settings.decay_at(step)
        torch._foreach_lerp_(*self._pairs(self._averaged, live), weight)
        if self.settings.weight_decay and learning_rate and since >= 0:
            decaying = [self.weights[name] for name in self._parameters]
            torch._foreach_mul_(decaying, 1 - learning_rate * self.settings.weight_decay)
        if self._copied:
            torch._foreach_copy_(*self._pairs(self._copied, live))

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Set the EMA to the model's weights, as it is where it has only followed them so far."""
        names = list(self.weights)
        torch._foreach_copy_(*self._pairs(names, _floating(model)))

    def _pairs(self, names: list[str], live: Mapping[str, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return [self.weights[name] for name in names], [own_part(live[name]) for name in names]

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[nn.Module]:
        """Put the average into `model` for the length of a `with` block; no step and no update may happen inside."""
        self._exchange(model)
        try:
            yield model
        finally:
            self._exchange(model)

    def _exchange(self, model: nn.Module) -> None:
        for name, tensor in _floating(model).items():
            if (part := own_part(tensor)) is tensor:
                tensor.data, self.weights[name] = self.weights[name], tensor.data
            else:
                # FSDP gathers from the memory that its parts lie in.
                kept = part.detach().clone()
                part.detach().copy_(self.weights[name])
                self.weights[name] = kept

    @torch.no_grad()
    def distance(self, model: nn.Module) -> Tensor:
        """Return |ema - weights| / |weights| over all parameters, a scalar left on the device.

        A healthy average comes back to a few hundredths after its warm-up; one near 1 has not followed the model.
        """
        average, live = self._pairs(self._parameters, _floating(model))
        apart = torch.stack(torch._foreach_norm(torch._foreach_sub(average, live)))
        size = torch.stack(torch._foreach_norm(live))
        squares = torch.stack([apart.square().sum(), size.square().sum()])
        if self._live:
            dist.all_reduce(squares)
        relative: Tensor = (squares[0] / squares[1]).sqrt()
        return relative

    def warmed_up(self, step: int) -> bool:
        """Tell whether enough was averaged by optimiser step number `step` for `distance` to mean something."""
        return step - self.settings.copy_steps >= _SETTLED * self.settings.every

    def state(self) -> dict[str, Tensor]:
        """Return the EMA weights by name, on the CPU and contiguous, for safetensors."""
        whole = {name: whole_of(tensor, self._live.get(name, tensor)) for name, tensor in self.weights.items()}
        return {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in whole.items()}

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Raises:
            CheckpointError: other names or other shapes.
        """
        shapes = {name: tuple(self._live.get(name, tensor).shape) for name, tensor in self.weights.items()}
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        if found != shapes:
            wrong = sorted(name for name in shapes | found if shapes.get(name) != found.get(name))
            raise CheckpointError(
                "A checkpoint's moving average must have the tensors of the model",
                found=f"different, missing or unknown: {listing(wrong[:5])}",
                do="resume with the recipe that the run was started with",
            )
        for name, tensor in state.items():
            self.weights[name].copy_(own_part(shared_like(tensor, self._live.get(name, tensor))))


def _floating(model: nn.Module) -> dict[str, Tensor]:
    """Return the floating tensors of a model's state by name, a shared tensor once, under its first name."""
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor.is_floating_point():
            unique.setdefault(id(tensor), (name, tensor))
    return dict(unique.values())


def _parameter_names(model: nn.Module) -> set[str]:
    return {name for name, _ in model.named_parameters(remove_duplicate=False)}
