"""Optimisers that step without torch's compiler: torch loads `torch._dynamo` for the first one that is built."""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

T = TypeVar("T", bound=Optimizer)

_KEPT_FROM_COMPILER = ("state_dict", "load_state_dict", "zero_grad", "add_param_group")


def eager(kind: type[T]) -> type[T]:
    """Return one of torch's optimisers without what only matters where the optimiser itself is compiled.

    That is never done here, and loading the compiler takes a second or more of each start. What is computed is the
    same: methods are those that torch wraps, and where they are not wrapped the class is returned as it is.

    Args:
        kind: a class of `torch.optim`, which is not differentiated through.
    """
    return cast("type[T]", _made(kind))  # type: ignore[arg-type]  # a class can be hashed


@cache
def _made(kind: type[Optimizer]) -> type[Optimizer]:
    wrapped = {name: getattr(getattr(kind, name), "__wrapped__", None) for name in _KEPT_FROM_COMPILER}
    step = _innermost(kind.step)
    if step is None or None in wrapped.values():
        return kind
    methods: dict[str, Any] = {**wrapped, "step": torch.no_grad()(step), "__module__": kind.__module__}
    return type(kind.__name__, (kind,), methods)


def _innermost(method: Any) -> Any:
    """Return what a method wraps, and again; None: it wraps nothing. Profiling is wrapped around anew by torch."""
    found = None
    while (inner := getattr(method, "__wrapped__", None)) is not None:
        found = method = inner
    return found
