"""Stochastic depth (drop path): in training, whole residual branches are dropped for some images."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Stochastic depth: drop a residual branch for each image with a probability, and scale up the others'.

    Args:
        drop_prob: the probability, in 0..1 (1 excluded); 0 changes nothing and draws nothing.

    Source: Huang et al. 2016, arXiv 1603.09382; EfficientNet calls it drop connect.
    """

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, ...] to the same shape."""
        if not self.training or self.drop_prob == 0:
            return x
        kept = x.new_empty((x.shape[0], *[1] * (x.ndim - 1))).bernoulli_(1 - self.drop_prob)
        return x * kept / (1 - self.drop_prob)


def linear_drop_rates(last: float, count: int) -> list[float]:
    """Return the linear decay rule: `count` drop probabilities that rise evenly from 0 to `last`."""
    return [last * index / max(1, count - 1) for index in range(count)]
