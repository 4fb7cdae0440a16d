"""Optimiser state in checkpoints: tensors by the names of parameters, and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ablata.base.errors import CheckpointError, listing
from ablata.engine.hardware.sharding import shared_like, whole

_EVOLVING = ("lr", "lookahead_step")
"""Values of a group that a training changes, beside counters that an optimiser adds to it (timm's `step`); all others
come from the settings and are not restored."""
_TOLD = {"name", "parameters"}
"""What a saved group is told by."""


def optimiser_state(optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split an optimiser's state into tensors for safetensors and plain values for JSON.

    Returns:
        Tensors on the processor, contiguous, by `parameter name:state name`; and a tree of plain values: the groups'
        names, parameters, learning rates and counters, and state that is not a tensor.
    """
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for name, parameter in _named(optimiser):
        for key, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}:{key}"] = whole(value.detach()).to("cpu", copy=True).contiguous()
            elif value is not None:
                values[f"{name}:{key}"] = value
    groups = [
        {"name": group["name"], "parameters": list(group["param_names"])}
        | {key: _plain(value) for key, value in group.items() if key in _EVOLVING or _counts(key, value, optimiser)}
        for group in optimiser.param_groups
    ]
    return tensors, {"optimiser": type(optimiser).__name__, "groups": groups, "values": values}


def load_optimiser_state(optimiser: Optimizer, tensors: Mapping[str, Tensor], tree: Mapping[str, Any]) -> None:
    """Load what `optimiser_state` returned into an optimiser built from the same settings for the same model.

    Training goes on bit for bit as if it had not been interrupted.

    Raises:
        CheckpointError: the state is of another optimiser, of other groups, or of tensors of other shapes.
    """
    expected = [(group["name"], list(group["param_names"])) for group in optimiser.param_groups]
    found = [(group["name"], list(group["parameters"])) for group in tree["groups"]]
    if tree["optimiser"] != type(optimiser).__name__ or found != expected:
        raise CheckpointError(
            "A checkpoint's optimiser must be of the kind and have the parameter groups of the recipe",
            found=f"{tree['optimiser']} with groups {listing(name for name, _ in found)}; "
            f"the recipe has {type(optimiser).__name__} with groups {listing(name for name, _ in expected)}",
            do="resume with the recipe that the run was started with",
        )
    index = {name: position for position, (name, _) in enumerate(_named(optimiser))}
    parameters = dict(_named(optimiser))
    state: dict[int, dict[str, Any]] = {}
    # Those of timm keep rows and columns of a factored state too.
    own_forms = type(optimiser).__module__.startswith("timm.")
    for full, value in [*tensors.items(), *tree["values"].items()]:
        name, _, key = full.rpartition(":")
        state.setdefault(index[name], {})[key] = _laid_out(full, value, parameters[name], own_forms)
    groups = optimiser.state_dict()["param_groups"]
    for group, saved in zip(groups, tree["groups"], strict=True):
        group |= {key: _value(saved[key]) for key in saved if key in _EVOLVING or key not in _TOLD | group.keys()}
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def _named(optimiser: Optimizer) -> list[tuple[str, Tensor]]:
    return [
        pair for group in optimiser.param_groups for pair in zip(group["param_names"], group["params"], strict=True)
    ]


def _counts(key: str, value: Any, optimiser: Optimizer) -> bool:
    """Tell whether a value of a group is a counter of the optimiser's own: a number that is no setting of it."""
    number = isinstance(value, int | float) or (isinstance(value, Tensor) and value.ndim == 0)
    return key not in optimiser.defaults and number and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Write a number for JSON, one in a tensor with its type."""
    return [str(value.dtype).removeprefix("torch."), value.item()] if isinstance(value, Tensor) else value


def _value(plain: Any) -> Any:
    return torch.tensor(plain[1], dtype=getattr(torch, plain[0])) if isinstance(plain, list) else plain


def _laid_out(name: str, value: Any, parameter: Tensor, own_forms: bool) -> Any:
    if not isinstance(value, Tensor) or value.ndim == 0 or (own_forms and value.shape != parameter.shape):
        return value
    if value.shape != parameter.shape:
        raise CheckpointError(
            "An optimiser's state must have the shape of its parameter",
            found=f"{name}: {tuple(value.shape)}, the parameter is {tuple(parameter.shape)}",
            do="resume with the settings that the run was started with, or start a new one",
        )
    return torch.empty_like(parameter, dtype=value.dtype).copy_(shared_like(value, parameter))
