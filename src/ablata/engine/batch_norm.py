"""Batch normalisation's running statistics: momentum, and precise batch norm.

Running statistics mix those of many past weights. For precise ones the present weights see some training images, each
layer normalising by its batch as in training, and mean and variance of all that a layer saw take the place of its
running ones. Dropout and dropped paths are off, as they are when the model is scored. The training's own statistics
come back.

Source: Wu & Johnson 2021, arXiv 2105.07576, section 3 (equation 1: moments pooled over all batches).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablata.base.settings import Settings
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.nn.dtypes import as_float32

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


Images = Literal["training", "plain"]
Statistics = Mapping[str, tuple[Tensor, Tensor]]
"""Mean and variance, float32 [C] each, by the name of the layer."""


class PreciseBn(Settings):
    """Precise batch norm (Wu & Johnson 2021, arXiv 2105.07576): statistics computed anew before each evaluation."""

    samples: Annotated[int, Field(ge=2)] = 8192
    """Images, in whole batches of `train.batch` and at most once through the training set; pycls takes 8,192."""
    images: Images = "training"
    """training: those of the last steps, augmented as there; plain: as validation images are prepared, chosen by the
    seed and always the same."""

    def batches(self, batch: int, steps_per_epoch: int) -> int:
        """Return how many global batches that are."""
        return min(-(-self.samples // batch), steps_per_epoch)


class _Moments:
    """Count, mean and sum of squared deviations of all values of each channel so far, merged batch by batch.

    Merging by deviations (Chan et al. 1983) loses no digits where the mean is far from 0, as E[x^2] - E[x]^2 does.
    """

    def __init__(self, channels: int, device: torch.device) -> None:
        self.count = 0
        self.mean = torch.zeros(channels, dtype=torch.float64, device=device)
        self.squares = torch.zeros_like(self.mean)

    def add(self, values: Tensor) -> None:
        """Take in [B, C, ...]."""
        values = values.detach()
        others = [axis for axis in range(values.ndim) if axis != 1]
        variance, mean = torch.var_mean(as_float32(values), others, correction=0)
        count = values.numel() // values.shape[1]
        apart = mean.double() - self.mean
        total = self.count + count
        self.squares += count * variance.double() + apart.square() * (self.count * count / total)
        self.mean += apart * (count / total)
        self.count = total


def batch_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """Return the layers of a model that keep running statistics, by name."""
    found = ((name, module) for name, module in model.named_modules() if isinstance(module, _BatchNorm))
    return {name: module for name, module in found if module.running_mean is not None}


@torch.no_grad()
def population_statistics(model: nn.Module, images: Iterable[Tensor], group: ProcessGroup) -> Statistics:
    """Compute the population statistics (mean and variance) of each batch normalisation over images.

    Args:
        model: in evaluation mode; left as it was.
        images: this process's share, float32 [b, C, H, W] on the model's device; at least one batch.
        group: the moments are pooled over its processes.
    """
    layers = batch_norms(model)
    moments = {name: _Moments(layer.num_features, _device(layer)) for name, layer in layers.items()}
    handles = [
        layer.register_forward_pre_hook(partial(_watch, moments[name]), with_kwargs=False)
        for name, layer in layers.items()
    ]
    try:
        with _by_batch(layers.values()):
            for part in images:
                model(part)
    finally:
        for handle in handles:
            handle.remove()
    return _reduce({name: moment for name, moment in moments.items() if moment.count}, group)


@contextmanager
def with_statistics(model: nn.Module, statistics: Statistics) -> Iterator[nn.Module]:
    """Use these statistics instead of the running ones within a `with` block; no step inside."""
    layers = batch_norms(model)
    own = {name: (layers[name].running_mean, layers[name].running_var) for name in statistics}
    for name, (mean, variance) in statistics.items():
        layers[name].running_mean, layers[name].running_var = mean, variance
    try:
        yield model
    finally:
        for name, (kept_mean, kept_variance) in own.items():
            layers[name].running_mean, layers[name].running_var = kept_mean, kept_variance


def buffers(statistics: Statistics) -> dict[str, Tensor]:
    """Return statistics under the names that they have in a model's state."""
    return {
        f"{name}.{kind}": tensor
        for name, pair in statistics.items()
        for kind, tensor in zip(("running_mean", "running_var"), pair, strict=True)
    }


def _watch(moments: _Moments, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
    moments.add(inputs[0])


@contextmanager
def _by_batch(layers: Iterable[_BatchNorm]) -> Iterator[None]:
    """Let layers in evaluation mode normalise by their batch: torch does where there are no running statistics."""
    kept = [(layer, layer.running_mean, layer.running_var, layer.training) for layer in layers]
    for layer, *_ in kept:
        layer.running_mean = layer.running_var = None
        if isinstance(layer, nn.SyncBatchNorm):
            # torch's own joins the processes' batches in training mode only.
            layer.training, layer.track_running_stats = True, False
    try:
        yield
    finally:
        for layer, mean, variance, training in kept:
            layer.running_mean, layer.running_var, layer.training = mean, variance, training
            layer.track_running_stats = True


def _reduce(moments: Mapping[str, _Moments], group: ProcessGroup) -> Statistics:
    """Return mean and variance over all processes; every process has seen the same layers."""
    if not moments:
        return {}
    sizes = [len(moment.mean) for moment in moments.values()]
    counts = torch.cat([torch.full_like(moment.mean, moment.count) for moment in moments.values()])
    means = torch.cat([moment.mean for moment in moments.values()])
    squares = torch.cat([moment.squares for moment in moments.values()])
    total = group.all_reduce_sum(counts)
    mean = group.all_reduce_sum(means * (counts / total))
    variance = group.all_reduce_sum(squares + counts * (means - mean).square()) / total
    pairs = zip(torch.split(mean.float(), sizes), torch.split(variance.float(), sizes), strict=True)
    return {name: (moment.clone(), other.clone()) for name, (moment, other) in zip(moments, pairs, strict=True)}


def _device(layer: _BatchNorm) -> torch.device:
    assert layer.running_mean is not None
    return layer.running_mean.device
