"""How fast batch normalisation's running statistics follow the batches: running = (1 - m) running + m of the batch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BnMomentum = Annotated[float, Field(gt=0, le=1)] | Literal["cumulative", "inverse_square"]
"""m itself; cumulative: the plain mean over all batches so far (torch's None); inverse_square: m = 1 / batch^2."""


def set_bn_momentum(model: nn.Module, rule: BnMomentum, batch: int) -> None:
    """Give all batch normalisations of a model one momentum.

    Args:
        model: changed in place.
        rule: m, or how it comes about.
        batch: images in one optimiser step.
    """
    momentum = None if rule == "cumulative" else 1 / batch**2 if rule == "inverse_square" else float(rule)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum
