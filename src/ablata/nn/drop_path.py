"""Stochastic depth (drop path): in training, whole residual branches are dropped for some images."""

from __future__ import annotations

from torch import nn


def drop_path(probability: float) -> nn.Module:
    """Make stochastic depth: a residual branch is dropped for each image by itself, and the others' are scaled up.

    Args:
        probability: of dropping, in 0..1 (1 excluded); 0 changes nothing and draws nothing.

    Source: Huang et al. 2016, arXiv 1603.09382; EfficientNet calls it drop connect.
    """
    if not probability:
        return nn.Identity()
    # torchvision takes a while to import, and few networks need it.
    from torchvision.ops import StochasticDepth

    made: nn.Module = StochasticDepth(probability, mode="row")
    return made


def linear_drop_rates(last: float, count: int) -> list[float]:
    """Return the linear decay rule: `count` drop probabilities that rise evenly from 0 to `last`."""
    return [last * index / max(1, count - 1) for index in range(count)]
