"""Lazy modules (nn.LazyLinear, nn.LazyConv2d), whose weights take their shape from the first input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def initialize_lazy(model: nn.Module, images: Tensor | Callable[[], Tensor]) -> None:
    """Give lazy modules their weights by a pass in evaluation mode; nothing is done where there are none.

    Args:
        model: any network; its weights are drawn from torch's global generator.
        images: float [B, C, H, W] as the network takes them, or what returns such.
    """
    if not any(is_lazy(one) for one in (*model.parameters(), *model.buffers())):
        return
    was = model.training
    with torch.no_grad():
        model.eval()(images if isinstance(images, Tensor) else images())
    model.train(was)
