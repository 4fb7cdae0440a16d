"""Model complexity: parameters, multiply-adds and activations, counted without running the model.

The convention, as in pycls, timm and fvcore: a multiply and its add are one operation ("FLOPs" in most papers' tables).
Counted are convolutions, matrix products and attention; normalisation, activations, pooling and resizing are not.
Activations are the elements that convolution and linear layers put out (Radosavovic et al. 2020, arXiv 2003.13678).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from ablata.nn.lazy_modules import initialize_lazy


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
    that cannot run so, since it makes tensors or looks at values on the way, is run on the example itself.

    Args:
        model: any model whose path does not depend on the values in its input.
        example: an input of the wanted shape, usually [1, channels, height, width]; its values do not matter.

    Returns:
        The counts for the example's whole batch.
    """
    initialize_lazy(model, example)
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    meta = {name: torch.empty_like(tensor, device="meta") for name, tensor in state.items()}
    flops = FlopCounterMode(display=False)
    with _evaluating(model), _outputs(model) as sizes, flops, torch.no_grad():
        try:
            functional_call(model, meta, (torch.empty_like(example, device="meta"),))
        except (RuntimeError, NotImplementedError):
            with torch.random.fork_rng(devices=[]):
                model(example)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Complexity(parameters, flops.get_total_flops() // 2, sum(sizes))


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
