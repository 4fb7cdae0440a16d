"""Optimiser hooks: decoupled weight decay, Lookahead, gradient layouts.

As hooks they leave a plain `torch.optim.Optimizer`, so gradient scalers, schedules and checkpoints treat all alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.optim import Optimizer

from ablata.base.settings import Settings
from ablata.engine.hardware.sharding import is_shared


class Lookahead(Settings):
    """Lookahead: slow weights that follow the fast ones; every `steps` steps slow += alpha (fast - slow), fast = slow.

    The slow weights start as the weights before the first step (Zhang et al. 2019, arXiv 1907.08610, algorithm 1).
    """

    steps: int = Field(default=5, ge=1)
    """Steps of the inner optimiser between two synchronisations."""
    alpha: float = Field(default=0.5, gt=0, le=1)
    """How far the slow weights move towards the fast ones."""


def implementation(parameters: Sequence[Tensor], *, hooked: bool) -> tuple[bool, bool]:
    """Choose torch's fastest step: (fused, by lists of tensors).

    Fused is fastest on both devices, but skips a step with an infinite gradient inside the kernel, where hooks around
    the step cannot see it. Lists of tensors pay on the GPU only: on the processor they cost twice the plain loop.
    Parameters that are shared out among processes have neither kind of every step.
    """
    if any(is_shared(parameter) for parameter in parameters):
        return False, False
    devices = {parameter.device.type for parameter in parameters}
    return devices <= {"cpu", "cuda"} and not hooked, devices == {"cuda"}


def _moving(group: Mapping[str, Any]) -> list[Tensor]:
    return [parameter for parameter in group["params"] if parameter.grad is not None]


def match_layouts(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
    """Give every gradient the strides of its parameter: torch's fused step on the processor takes them as equal, and
    silently mixes up the elements where one is channels_last and the other is not."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None and parameter.grad.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)


def begin_momentum(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
    """Give parameters that get their first gradient later than others, such as frozen ones, a momentum of zero: torch's
    fused SGD takes either all or none of a group to have one. The first step is the same to the bit."""
    for group in optimiser.param_groups:
        moving = _moving(group)
        without = [one for one in moving if optimiser.state[one].get("momentum_buffer") is None]
        if group["momentum"] and len(without) < len(moving):
            for parameter in without:
                optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


@torch.no_grad()
def decay_weights(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
    """Shrink the weights by each group's `decoupled_decay_rate` before a step, times lr where it `decays_by_rate`."""
    for group in optimiser.param_groups:
        moving = _moving(group)
        if moving and group["decoupled_decay_rate"]:
            factor = group["lr"] if group["decays_by_rate"] else 1.0
            torch._foreach_mul_(moving, 1 - factor * group["decoupled_decay_rate"])


def add_lookahead(optimiser: Optimizer, settings: Lookahead) -> None:
    """Hook Lookahead around `optimiser.step`; its slow weights lie in the optimiser's own state as `lookahead_slow`.

    Args:
        optimiser: the inner one.
        settings: when, and how far.
    """
    for group in optimiser.param_groups:
        group["lookahead_step"] = 0
    starts: dict[Tensor, Tensor] = {}

    @torch.no_grad()
    def keep_start(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        """Keep the weights before the first step: the slow ones begin there."""
        # An optimiser takes a non-empty state for an initialised one: the slow weights enter it after its first step.
        for group in optimiser.param_groups:
            for parameter in _moving(group):
                if "lookahead_slow" not in optimiser.state[parameter]:
                    starts[parameter] = parameter.detach().clone()

    @torch.no_grad()
    def synchronise(optimiser: Optimizer, args: Any, kwargs: Any) -> None:
        """Move the slow weights, every few steps, and set the fast ones to them."""
        for parameter, start in starts.items():
            optimiser.state[parameter]["lookahead_slow"] = start
        starts.clear()
        for group in optimiser.param_groups:
            group["lookahead_step"] += 1
            fast = [parameter for parameter in group["params"] if "lookahead_slow" in optimiser.state[parameter]]
            if fast and group["lookahead_step"] % settings.steps == 0:
                slow = [optimiser.state[parameter]["lookahead_slow"] for parameter in fast]
                torch._foreach_lerp_(slow, fast, settings.alpha)
                torch._foreach_copy_(fast, slow)

    optimiser.register_step_pre_hook(keep_start)
    optimiser.register_step_post_hook(synchronise)
