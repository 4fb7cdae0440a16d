"""Model complexity: parameters, multiply-adds and activations, counted without running the model.

The convention, as in pycls, timm and fvcore: a multiply and its add are one operation ("FLOPs" in most papers' tables).
Counted are convolutions, matrix products and attention; normalisation, activations, pooling and resizing are not.
Activations are the elements that convolution and linear layers put out (Radosavovic et al. 2020, arXiv 2003.13678).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from ablata.nn.lazy_modules import initialize_lazy

_SMALL_INPUT, _SMALL_MODEL = 20_000, 2_000_000
"""Numbers in an input and in the parameters up to which a model is run: a few milliseconds."""


@dataclass(frozen=True)
class Complexity:
    """Parameters, multiply-adds and activations of a model for one input.

    Attributes:
        parameters: numbers in all parameters, trainable or frozen, shared ones once.
        flops: multiply-adds of one forward pass, each counted once.
        activations: elements put out by convolution and linear layers in one forward pass.
    """

    parameters: int
    flops: int
    activations: int

    def as_dict(self) -> dict[str, int]:
        """Return the three counts by name."""
        return asdict(self)


def count(model: nn.Module, example: Tensor) -> Complexity:
    """Count a model in evaluation mode.

    The pass runs on meta tensors: only shapes are computed, no random number is drawn and no buffer changes. A model
    that cannot run so, since it makes tensors or looks at values on the way, is run on the example itself; so is a
    small one, since shapes of batch normalisation load torch's compiler, a second or more of a start.

    Args:
        model: any model whose path does not depend on the values in its input.
        example: an input of the wanted shape, usually [1, channels, height, width]; its values do not matter.

    Returns:
        The counts for the example's whole batch.
    """
    initialize_lazy(model, example)
    with _evaluating(model), torch.no_grad():
        counted = _run(model, example) if _is_small(model, example) else None
        if counted is None or counted[0].attends:
            counted = _shapes(model, example) or _run(model, example)
    flops, sizes = counted
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(parameters, flops.total // 2, sum(sizes))


def _is_small(model: nn.Module, example: Tensor) -> bool:
    parameters = list(model.parameters())
    if example.numel() > _SMALL_INPUT or sum(parameter.numel() for parameter in parameters) > _SMALL_MODEL:
        return False
    return {tensor.device.type for tensor in (example, *parameters, *model.buffers())} == {"cpu"}


def _shapes(model: nn.Module, example: Tensor) -> tuple[_FlopCounter, list[int]] | None:
    """Run a model on tensors without values; None: it cannot."""
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    try:
        with _outputs(model) as sizes, _FlopCounter() as flops:
            functional_call(model, meta, (torch.empty_like(example, device="meta"),))
    except (RuntimeError, NotImplementedError):
        return None
    return flops, sizes


def _run(model: nn.Module, example: Tensor) -> tuple[_FlopCounter, list[int]]:
    """Run a model on an example; the state of the random generator stays as it was."""
    with _outputs(model) as sizes, _FlopCounter() as flops, torch.random.fork_rng(devices=[]):
        model(example)
    return flops, sizes


class _FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up operations by torch's own formulas, as `FlopCounterMode` does, which loads torch's compiler for it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        self.attends = False
        """Whether an attention was met, for which the processor's own kernel has no formula."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch that this mode needs no protection from its compiler, which never runs in it."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operation = getattr(func, "_overloadpacket", func)
        if operation not in flop_registry and hasattr(func, "decompose") and func is not torch.ops.prim.device.default:
            with self:
                made = func.decompose(*args, **kwargs)
                if made is not NotImplemented:
                    return made
        out = func(*args, **kwargs)
        self.attends |= "scaled_dot_product" in str(operation)
        if operation in flop_registry:
            self.total += flop_registry[operation](*args, **kwargs, out_val=out)
        return out


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _outputs(model: nn.Module) -> Iterator[list[int]]:
    sizes: list[int] = []

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        sizes.append(output.numel())

    hooks = [
        module.register_forward_hook(note) for module in model.modules() if isinstance(module, _ConvNd | nn.Linear)
    ]
    try:
        yield sizes
    finally:
        for hook in hooks:
            hook.remove()
