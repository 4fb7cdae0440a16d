"""Watchdogs: non-finite losses, missing gradients and collapsed loss terms are reported, with term, layer and step.

On a processor a value that is not finite is found in the step where it appears. On a GPU reading a value would make the
processor wait, so the first bad step of every term and layer is noted on the device and read at the next log point.
Several processes read at the log point too, where all of them end for the reason that one of them met.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ablata.base.errors import DivergedError
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.hardware.sharding import is_sharded, own_part

_NEVER = 2**62
_COLLAPSED = 1e-4
_PATIENCE = 3
_AT_FIRST = "no step was taken yet: look for a value that is not finite in the data, and in what network and loss make"
"""What to do where the first batch's loss or gradient is not finite, which no learning rate can have made."""


class FiniteWatch:
    """Notes the first step at which each of a row of values was not finite.

    Args:
        names: what the values are, in order.
        what: the kind of value, for the message: `loss term` or `gradient of`.
        device: where the values are.
        group: this process's place among several.
    """

    def __init__(
        self, names: Sequence[str], what: str, device: torch.device, group: ProcessGroup | None = None
    ) -> None:
        self.names, self.what = list(names), what
        self.group = group or ProcessGroup()
        self.immediate = device.type == "cpu" and self.group.is_single
        self.first_bad = torch.full((len(self.names),), _NEVER, dtype=torch.int64, device=device)

    def note(self, values: Tensor, step: int) -> None:
        """Look at the values [n] of a step.

        Raises:
            DivergedError: one of them is not finite (at once on a processor, else see `read`).
        """
        finite = torch.isfinite(values)
        if self.immediate and bool(finite.all()):
            return
        self.first_bad = torch.where(finite, self.first_bad, self.first_bad.clamp(max=step))
        if self.immediate:
            self.read()

    def read(self) -> None:
        """Read what was noted, by any process; all of them must read together.

        Raises:
            DivergedError: some value was not finite; names the first ones and their step.
        """
        first_bad = self.group.all_reduce_min(self.first_bad).tolist()
        step = min(first_bad, default=_NEVER)
        if step == _NEVER:
            return
        bad = [name for name, first in zip(self.names, first_bad, strict=True) if first == step]
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise DivergedError(
            "Loss and gradients must be finite",
            found=f"{self.what} {', '.join(bad[:3])}{more} is not finite at step {step}",
            do="lower optim.lr, lengthen schedule.warmup, or set train.clip" if step else _AT_FIRST,
        )


class GradientWatch:
    """Watches the gradients of a model.

    Args:
        model: its trainable parameters are watched.
        device: where they are.
        group: this process's place among several.
    """

    def __init__(self, model: nn.Module, device: torch.device, group: ProcessGroup | None = None) -> None:
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.parameters = [parameter for _, parameter in named]
        self.is_sharded = is_sharded(model)
        self.finite = FiniteWatch([name for name, _ in named], "gradient of", device, group)

    def missing(self) -> list[str]:
        """Return the names of trainable parameters that got no gradient in the last backward pass."""
        pairs = zip(self.finite.names, self.parameters, strict=True)
        return [name for name, parameter in pairs if parameter.grad is None and parameter.requires_grad]

    def clip(self, largest: float, norm: Tensor) -> None:
        """Scale all gradients so that their total norm, which `norm` has returned, is at most `largest`."""
        gradients = [own_part(parameter.grad) for parameter in self.parameters if parameter.grad is not None]
        if self.is_sharded:
            torch._foreach_mul_(gradients, (largest / (norm + 1e-6)).clamp(max=1.0))
        else:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, largest, norm)

    def norm(self, step: int, check: bool = True) -> Tensor:
        """Return the total gradient norm of this step, a scalar tensor.

        Args:
            step: the step at hand, for the message.
            check: refuse values that are not finite; a scaled fp16 training meets them by design.

        Raises:
            DivergedError: a gradient is not finite; names the layer.
        """
        gradients = [own_part(parameter.grad) for parameter in self.parameters if parameter.grad is not None]
        if not gradients:
            return torch.zeros((), device=self.finite.first_bad.device)
        norms = torch.stack(torch._foreach_norm(gradients))
        if self.is_sharded:
            # Of each gradient this process has a part of its own.
            norms = self.finite.group.all_reduce_sum(norms.square()).sqrt()
        if check and len(gradients) == len(self.parameters):
            self.finite.note(norms, step)
        elif check:
            zero, left = norms.new_zeros(()), iter(norms)
            self.finite.note(
                torch.stack([zero if parameter.grad is None else next(left) for parameter in self.parameters]), step
            )
        total: Tensor = torch.linalg.vector_norm(norms)
        return total


class CollapseWatch:
    """Notices a loss term that fell to nothing: below a ten-thousandth of its first value, or exactly constant."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._count: dict[str, float] = {}

    def state(self) -> list[dict[str, float]]:
        """Return what a checkpoint keeps of it, JSON-safe."""
        return [dict(self._first), dict(self._last), dict(self._count)]

    def load_state(self, state: list[dict[str, float]]) -> None:
        """Go on from what `state` returned."""
        self._first, self._last, self._count = map(dict, state)

    def note(self, terms: dict[str, float]) -> list[str]:
        """Take the means of one log interval; return a sentence for each term that has just collapsed."""
        messages = []
        for name, value in terms.items():
            first = self._first.setdefault(name, abs(value))
            still = value == self._last.get(name)
            dead = abs(value) < _COLLAPSED * first or still
            self._last[name] = value
            self._count[name] = self._count.get(name, 0) + 1 if dead else 0
            if self._count[name] == _PATIENCE:
                state = f"has stayed at exactly {value:g}" if still else f"fell from {first:.3g} to {value:.3g}"
                messages.append(f"loss term {name} {state}: it no longer teaches anything")
        return messages
