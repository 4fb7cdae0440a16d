"""The networks of several trainings as one, and whether that is what they are by themselves."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ablata.engine.together.layers import MemberByMember, Turn, shares, side_by_side, stack
from ablata.engine.together.random_states import RandomStates

_TOLERANCE = 1e-4
"""Largest difference between a member's outputs alone and stacked, in times of the largest output."""


class StackedNetwork:
    """Networks of one form as one network.

    Args:
        models: the members', whose parameters and buffers become views of the stacked ones.
        outputs: names of the outputs that are wanted.
        turn: see `layers.Turn`.
    """

    def __init__(self, models: Sequence[nn.Module], outputs: Sequence[str], turn: Turn) -> None:
        self.outputs = tuple(outputs)
        self._network, self._count = stack(models, turn), len(models)
        self._shares = list(shares(self._network))

    def forward(self, images: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Return each member's outputs for its own images, [B, C, H, W] each."""
        return members_of(self._network(side_by_side(images)), self.outputs, self._count)

    def clear_gradients(self) -> None:
        """Forget the gradients of the last step."""
        for stacked, _ in self._shares:
            stacked.grad = None

    def hand_out_gradients(self) -> None:
        """Give every member's parameters their gradients."""
        for stacked, own in self._shares:
            if stacked.grad is not None:
                for parameter, gradient in zip(own, stacked.grad.unbind(), strict=True):
                    if parameter.requires_grad:
                        parameter.grad = gradient


def members_of(found: object, names: Sequence[str], count: int) -> list[dict[str, Tensor]]:
    """Divide named outputs [B, M * X, ...] of a stacked network among its members."""
    outputs = cast(dict[str, Tensor], found)
    parts = {name: outputs[name].chunk(count, 1) for name in names}
    return [{name: part[member] for name, part in parts.items()} for member in range(count)]


def why_not_stacked(models: Sequence[nn.Module], outputs: Sequence[str], images: Sequence[Tensor]) -> str:
    """Return why networks cannot be trained as one, found by trying it; empty: they can. They stay as they are.

    Args:
        models: in training mode.
        outputs: names of the outputs that are compared.
        images: a batch for each, float32 [B, C, H, W].
    """
    name, device = type(models[0]).__name__, images[0].device
    if not outputs:
        return f"{name} names none of its outputs"
    if len(list(models[0].parameters())) != len(list(models[0].named_parameters(remove_duplicate=False))):
        return f"{name} uses a parameter in two places"
    alone, stacked = copy.deepcopy(list(models)), copy.deepcopy(list(models))
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(0)
        noise = RandomStates(device, len(models))
        try:
            network = stack(stacked, noise.of)
            if isinstance(network, MemberByMember):
                return f"{name} has parameters of its own beside its layers"
            for mode in (False, True):
                network.train(mode)
                before = torch.get_rng_state()
                together = members_of(network(side_by_side(images)), outputs, len(models))
                if not torch.equal(before, torch.get_rng_state()):
                    return f"{name} draws random numbers outside its layers"
                for model, own, found in zip(alone, images, together, strict=True):
                    torch.manual_seed(0)
                    expected = model.train(mode)(own)
                    if wrong := [key for key in outputs if not _close(found[key], expected[key])]:
                        return f"stacked, {name} does not give what it gives alone: its output {wrong[0]} differs"
                torch.manual_seed(0)
        except Exception as error:  # whatever a network's own code may raise
            return f"{name} cannot be computed stacked: {str(error).splitlines()[0] if str(error) else error!r}"
    return ""


def _close(here: Tensor, there: Tensor) -> bool:
    if here.shape != there.shape:
        return False
    return float((here - there).abs().max()) <= _TOLERANCE * max(1.0, float(there.abs().max()))
