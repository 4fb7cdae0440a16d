"""Frozen parameters: what stays as it is, for the whole training or for its first epochs.

A part of the network of which every parameter is frozen is in evaluation mode: its normalisation keeps the statistics
that it came with, and its dropout rests.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from ablata.base.errors import SettingsError, choices, nearest
from ablata.nn.loaded_weights import backbone_parameters

BACKBONE = "backbone"


class Frozen:
    """What of a network is frozen, and until when.

    Args:
        model: the bare network.
        chosen: `backbone`, and patterns of parameters' names with `*` and `?`; none: nothing is frozen.
        steps: optimiser steps after which all learn; None: never.

    Raises:
        SettingsError: a pattern fits no parameter, or nothing would learn.
    """

    def __init__(self, model: nn.Module, chosen: Sequence[str], steps: int | None) -> None:
        self.model, self.steps = model, steps
        self.names = _chosen(model, chosen)
        self.parameters = [one for name, one in model.named_parameters() if name in self.names and one.requires_grad]
        self.still = _still(model, self.names) if chosen else []
        self.active = False

    def at(self, step: int) -> None:
        """Freeze, or let learn, as the step has it."""
        active = bool(self.names) and (self.steps is None or step < self.steps)
        if active == self.active:
            return
        self.active = active
        for parameter in self.parameters:
            parameter.requires_grad_(not active)
        self.model.train(self.model.training)
        self.keep_still()

    def keep_still(self) -> None:
        """Put what is frozen into evaluation mode, after the network was put into training mode."""
        if self.active:
            for module in self.still:
                module.eval()


def _chosen(model: nn.Module, chosen: Sequence[str]) -> set[str]:
    names = [name for name, _ in model.named_parameters()]
    backbone = backbone_parameters(model) if BACKBONE in chosen else set()
    found: set[str] = set()
    for pattern in chosen:
        fitting = backbone if pattern == BACKBONE else {name for name in names if fnmatchcase(name, pattern)}
        if not fitting:
            close = nearest(pattern, names)
            tops = dict.fromkeys(name.partition(".")[0] for name in names)
            raise SettingsError(
                "freeze must fit parameters of the network",
                found=f"{pattern!r} fits none",
                do=f"did you mean {close}?" if close else f"names begin with {choices(tops, pattern)}",
            )
        found |= fitting
    if found and all(name in found for name, one in model.named_parameters() if one.requires_grad):
        raise SettingsError("freeze must leave something to learn", found="it fits every parameter of the network",
                            do="freeze=backbone, or narrower patterns")  # fmt: skip
    return found


def _still(model: nn.Module, frozen: set[str]) -> list[nn.Module]:
    """Return the modules of which every parameter is frozen, and which have some."""
    still = []
    for name, module in model.named_modules():
        inside = [f"{name}.{own}" if name else own for own, _ in module.named_parameters()]
        if inside and frozen.issuperset(inside):
            still.append(module)
    return still
