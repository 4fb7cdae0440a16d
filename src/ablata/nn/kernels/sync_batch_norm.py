"""Synchronized batch normalisation (SyncBatchNorm) on the CPU too; torch's own is for GPUs only."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(_BatchNorm):
    """Synchronized batch normalisation of [B, C, ...]: its training statistics cover the batches of all processes.

    The processes may hold batches of different sizes. One sum of 1 + 2 C numbers is exchanged in each direction. In
    evaluation mode, and in a single process, it is torch's ordinary batch normalisation.

    Source: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"`input` must have at least 2 dimensions, got {input.ndim}")

    def forward(self, input: Tensor) -> Tensor:
        """Normalise `input` [B, C, ...]; the output has its shape and dtype.

        Raises:
            ValueError: one value a channel in all processes together.
        """
        by_batch = self.training or self.running_mean is None
        if not (by_batch and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        self._check_input_dim(input)
        values = input.float() if input.element_size() < 4 else input
        mean, variance, count = self._joined_statistics(values)
        if self.training and self.running_mean is not None and self.running_var is not None:
            self._track(mean.detach(), variance.detach(), count)
        weight, bias = (one.to(values.dtype) if one is not None else None for one in (self.weight, self.bias))
        scale = torch.rsqrt(variance + self.eps) * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
        shape = [1, -1] + [1] * (input.ndim - 2)
        return torch.addcmul(shift.view(shape), values, scale.view(shape)).to(input.dtype)

    def _joined_statistics(self, values: Tensor) -> tuple[Tensor, Tensor, int]:
        # Deviations are from the running mean, equal in all processes: E[x^2] - E[x]^2 of the raw values cancels badly.
        centre = (self.running_mean if self.running_mean is not None else values.new_zeros(1)).to(values.dtype).clone()
        others = [axis for axis in range(values.ndim) if axis != 1]
        deviation = values - centre.view([1, -1] + [1] * (values.ndim - 2))
        size = values.new_full((1,), values.numel() // values.shape[1])
        sums = torch.cat([size, deviation.sum(others), deviation.square().sum(others)])
        total = _SumOverProcesses.apply(sums)
        count = int(total[0])
        if count < 2:
            raise ValueError("`input` must have more than one value a channel in all processes together, got 1")
        first, second = (total[1:] / count).chunk(2)
        return centre + first, (second - first.square()).clamp_min(0), count

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        factor = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), factor)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), factor)


def convert_sync_batchnorm(model: nn.Module) -> nn.Module:
    """Replace every batch normalisation of `model` by one over all processes, keeping its parameters and buffers.

    Args:
        model: changed in place, unless it is itself a batch normalisation.

    Returns:
        The model: with torch's SyncBatchNorm where its parameters are on a GPU, with this module's elsewhere.
    """
    if any(parameter.is_cuda for parameter in model.parameters()):
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return converted
    if isinstance(model, _BatchNorm) and not isinstance(model, SyncBatchNorm | nn.SyncBatchNorm):
        return _synchronised(model)
    for name, child in model.named_children():
        setattr(model, name, convert_sync_batchnorm(child))
    return model


def _synchronised(norm: _BatchNorm) -> SyncBatchNorm:
    new = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new.weight, new.bias = norm.weight, norm.bias
    new.running_mean, new.running_var = norm.running_mean, norm.running_var
    new.num_batches_tracked = norm.num_batches_tracked
    new.training = norm.training
    return new
