"""Batch normalisation in a form that torch.compile turns into fast loops on a CPU.

A compiler turns torch's own into Welford's recurrence, a chain of four dependent operations for each value, and folds
the root of a channel's variance into the loop over pixels. Sums about a guess of the mean, first over an image and
then over the batch, have no chain and do not cancel as E[x^2] - E[x]^2 of raw values does. Uncompiled, torch's own
kernel is the fast one.

Letters: B batch, C channels, H and W sides of the map.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class _Normalise(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, and its gradient written out.

    The guess is the mean of the batch's first image. The running mean would be one too, but a compiler may compute
    y once more for the backward pass, and the running mean has moved by then.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return y as [B, C, H, W] in the dtype of `x`, and mean and variance of the batch, float32 [C]."""
        inverse_count = x.shape[1] / x.numel()
        values = x.float()
        guess = values[0].mean((1, 2))
        deviation = values - guess[:, None, None]
        first, second = (_sum(power) * inverse_count for power in (deviation, deviation.square()))
        mean, variance = guess + first, (second - first.square()).clamp_min(0)
        inverse = torch.rsqrt(variance + eps)
        scale = (inverse * weight)[:, None, None]
        y = torch.addcmul(bias[:, None, None], values - mean[:, None, None], scale).to(x.dtype)
        ctx.save_for_backward(x, weight, mean, inverse)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx: Any, slope: Tensor, *unused: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of `x`, `weight` and `bias` from that of y; Ioffe & Szegedy 2015, section 3."""
        x, weight, mean, inverse = ctx.saved_tensors
        inverse_count = x.shape[1] / x.numel()
        slope, deviation = slope.float(), x.float() - mean[:, None, None]
        total, along = _sum(slope), _sum(slope * deviation)
        pull = along * inverse.square() * inverse_count
        centred = slope - (total * inverse_count)[:, None, None] - deviation * pull[:, None, None]
        return (centred * (weight * inverse)[:, None, None]).to(x.dtype), along * inverse, total, None


def _sum(values: Tensor) -> Tensor:
    """Sum [B, C, H, W] to [C], in two steps: one alone is compiled to a slower loop, and is less exact."""
    return values.sum((2, 3)).sum(0)


class MomentNorm(nn.BatchNorm2d):
    """Batch normalisation of [B, C, H, W]; its training statistics are plain sums where compiled.

    Source: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input`; the output has its shape and dtype."""
        if self.training and torch.compiler.is_compiling():
            return self.by_moments(input)
        return super().forward(input)

    def by_moments(self, input: Tensor) -> Tensor:
        """Normalise `input` by its own statistics and note them in the running ones.

        Raises:
            ValueError: one value a channel.
        """
        self._check_input_dim(input)
        size = input.numel() // input.shape[1]
        if size < 2:
            raise ValueError("`input` must have more than one value a channel in training, got 1")
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        y, mean, variance = _Normalise.apply(input, self.weight, self.bias, self.eps)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (size / (size - 1)), self.momentum)
        found: Tensor = y
        return found


def convert_moment_norm(model: nn.Module) -> None:
    """Make every plain `nn.BatchNorm2d` in `model` a `MomentNorm`, its parameters and buffers the same.

    Modules stay the same objects, so that whatever holds one still does. Subclasses, and those without weights, running
    averages or a fixed momentum, keep their own ways.
    """
    for module in model.modules():
        if type(module) is not nn.BatchNorm2d:
            continue
        if module.affine and module.track_running_stats and module.momentum is not None:
            module.__class__ = MomentNorm
