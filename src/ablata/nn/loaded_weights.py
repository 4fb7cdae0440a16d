"""What a network was given from files of weights, kept with the network until the run records it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import nn

from ablata.base.errors import listing

_SHOWN = 3
_KEPT = "loaded_weights"


@dataclass(frozen=True)
class LoadedWeights:
    """Weights that a network began with.

    Args:
        file: absolute path of the file.
        sha256: of its content.
        source: where it comes from, as far as that is known, with its licence; empty: from the user.
        how: how its names were translated.
        averaged: whether the file's averaged weights (EMA) were taken.
        taken: how many tensors of the network it filled.
        left: names in the file that were not used.
        new: names of the network that begin anew.
        notes: what does not go together, a sentence each.
        expected: what images must be like, where that is known: mean, std, size, interpolation.
    """

    file: str
    sha256: str
    source: str
    how: str
    averaged: bool
    taken: int
    left: tuple[str, ...]
    new: tuple[str, ...]
    notes: tuple[str, ...] = ()
    expected: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return it JSON-safe, for the run's folder."""
        return asdict(self)

    def __str__(self) -> str:
        averaged = ", its averaged ones" if self.averaged else ""
        check = "; check its first score" if "order" in self.how else ""
        file = f"{self.file} (sha256 {self.sha256[:12]}){averaged}"
        return (
            f"weights of {file}: {self.taken} tensors taken {self.how}{check}; "
            f"left in the file: {_some(self.left)}; new in the network: {_some(self.new)}"
        )


def keep_loaded(model: nn.Module, loaded: LoadedWeights) -> None:
    """Note with a network what it was given."""
    setattr(model, _KEPT, (*getattr(model, _KEPT, ()), loaded))


def loaded_weights(model: nn.Module) -> list[LoadedWeights]:
    """Return what a network and its parts were given from files."""
    return [one for module in model.modules() for one in getattr(module, _KEPT, ())]


def backbone_parameters(model: nn.Module) -> set[str]:
    """Return the names of the parameters that others build on: what was read from files, but no classifier; in a
    network without files all that is called backbone, or all before its last layer."""
    names = [name for name, _ in model.named_parameters()]
    last = last_modules(model)
    loaded = {
        f"{place}.{name}" if place else name
        for place, module in model.named_modules()
        for one in getattr(module, _KEPT, ())
        for name in _all_but(module, one.new)
    }
    if not loaded:
        loaded = {name for name in names if name.startswith("backbone.")} or set(names)
    if any(_KEPT in vars(module) for place, module in model.named_modules() if place):
        # What was loaded into a part has no classifier of the whole.
        last = set()
    return {name for name in names if name in loaded and name.rpartition(".")[0] not in last}


def last_modules(model: nn.Module) -> set[str]:
    """Return the names of the last linear layer or convolution of a network, in the order in which it was made, and of
    the layers behind it."""
    named = dict(model.named_modules())
    names = [name for name, module in named.items() if next(module.parameters(recurse=False), None) is not None]
    layers = [index for index, name in enumerate(names) if isinstance(named[name], nn.Linear | nn.Conv2d)]
    return set(names[layers[-1] :]) if layers else set()


def _all_but(module: nn.Module, new: tuple[str, ...]) -> set[str]:
    return {name for name, _ in module.named_parameters()} - set(new)


def _some(names: tuple[str, ...]) -> str:
    return listing(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
