"""Convolutions with weight standardisation, with weight alignment, and dynamic convolution.

All map [B, C, H, W] to [B, D, ceil(H / stride), ceil(W / stride)] without bias: a normalisation follows them. Their
weight is [D, C / groups, k, k], that of the dynamic form [K D, C / groups, k, k].
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal, TypedDict, Unpack

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.nn.activations import make_channel_activation
from ablata.nn.annealing import Temperature
from ablata.nn.kernels.im2col_conv import PatchConv2d


class Convolution(Settings):
    """Base of the settings of 2-d convolutions; not itself a choice."""

    @abstractmethod
    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution C = inputs to D = outputs with an odd square kernel."""


class PlainConv(Convolution):
    """Plain convolution, torch's own."""

    kind: Literal["plain"] = "plain"

    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution C = inputs to D = outputs with an odd square kernel."""
        if (kernel, stride, dilation, groups) == (3, 1, 1, 1):
            return PatchConv2d(inputs, outputs)
        return nn.Conv2d(inputs, outputs, **_arguments(kernel, stride, dilation, groups))


class StandardizedConv(Convolution):
    """Weight standardisation: each filter has mean 0 and variance 1 whenever it is used.

    Source: Qiao et al. 2019, arXiv 1903.10520, equations 5 to 7.
    """

    kind: Literal["weight_standardized"] = "weight_standardized"
    eps: float = Field(default=1e-6, gt=0)
    """Added to the variance."""

    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution; see `PlainConv.build`."""
        return StandardizedConv2d(self.eps, inputs, outputs, **_arguments(kernel, stride, dilation, groups))


class AlignedConv(Convolution):
    """Weight alignment: each filter has mean 0 and He's variance 2 / n (n its inputs) times a learnt factor.

    Source: Shi et al. 2020, arXiv 2010.07160 (WeightAlign).
    """

    kind: Literal["weight_aligned"] = "weight_aligned"
    eps: float = Field(default=1e-6, gt=0)
    """Added to the variance."""

    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution; see `PlainConv.build`."""
        return AlignedConv2d(self.eps, inputs, outputs, **_arguments(kernel, stride, dilation, groups))


class DynamicConv(Convolution):
    """Dynamic convolution: K kernels, averaged for each image by attention weights with an annealed temperature.

    Source: Chen et al. 2020, arXiv 1912.03458.
    """

    kind: Literal["dynamic"] = "dynamic"
    kernels: int = Field(default=4, ge=1)
    """K."""
    reduction: int = Field(default=4, ge=1)
    """Channel reduction between the two layers of the attention."""
    temperature: float = Field(default=30.0, ge=1)
    """Of the attention's softmax; falls in a straight line to 1."""
    anneal_steps: int = Field(default=12_500, ge=1)
    """Optimiser steps until the temperature is 1; the paper's ten epochs of ImageNet at batch 1024."""

    def build(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Conv2d:
        """Make the convolution; see `PlainConv.build`."""
        return DynamicConv2d(self, inputs, outputs, **_arguments(kernel, stride, dilation, groups))


AnyConv = Annotated[
    PlainConv | StandardizedConv | AlignedConv | DynamicConv,
    OpenPart(Convolution, adapt="ablata.nn.plain:convolution", plain="an nn.Module class"),
]


class _Arguments(TypedDict):
    kernel_size: int
    stride: int
    padding: int
    dilation: int
    groups: int
    bias: bool


def _arguments(kernel: int, stride: int, dilation: int, groups: int) -> _Arguments:
    return _Arguments(
        kernel_size=kernel,
        stride=stride,
        padding=kernel // 2 * dilation,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def standardized(weight: Tensor, eps: float) -> Tensor:
    """Return filters [D, ...] with mean 0 and variance w.var() / (w.var() + eps) each, in the weight's dtype."""
    variance, mean = torch.var_mean(weight, (1, 2, 3), correction=0, keepdim=True)
    return (weight - mean) * torch.rsqrt(variance + eps)


class StandardizedConv2d(nn.Conv2d):
    """Convolution with standardised filters; `eps` is added to their variance, the rest is torch's."""

    def __init__(self, eps: float, inputs: int, outputs: int, **arguments: Unpack[_Arguments]) -> None:
        super().__init__(inputs, outputs, **arguments)
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [B, C, H, W]."""
        out: Tensor = self._conv_forward(input, standardized(self.weight, self.eps), None)
        return out


class AlignedConv2d(nn.Conv2d):
    """Convolution with aligned filters: standardised, times sqrt(2 / n) and the learnt `gamma` [D]."""

    def __init__(self, eps: float, inputs: int, outputs: int, **arguments: Unpack[_Arguments]) -> None:
        super().__init__(inputs, outputs, **arguments)
        self.eps = eps
        self.gamma = nn.Parameter(torch.ones(outputs))

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [B, C, H, W]."""
        scale = self.gamma * (2 / self.weight[0].numel()) ** 0.5
        out: Tensor = self._conv_forward(input, standardized(self.weight, self.eps) * scale[:, None, None, None], None)
        return out


class DynamicConv2d(nn.Conv2d):
    """Convolution whose filters are a mean of K, weighted for each image.

    Args:
        settings: K and its attention.
        inputs: C.
        outputs: D.
        arguments: as for torch's convolution.
    """

    def __init__(self, settings: DynamicConv, inputs: int, outputs: int, **arguments: Unpack[_Arguments]) -> None:
        super().__init__(inputs, outputs, **arguments)
        self.weight = nn.Parameter(torch.cat([self._drawn() for _ in range(settings.kernels)]))
        hidden = max(1, inputs // settings.reduction)
        self.reduce, self.choose = nn.Linear(inputs, hidden), nn.Linear(hidden, settings.kernels)
        self.temperature = Temperature(settings.temperature, settings.anneal_steps)

    def _drawn(self) -> Tensor:
        self.reset_parameters()
        return self.weight.detach().clone()

    def attention(self, input: Tensor) -> Tensor:
        """Return the weights of the K kernels for each image, [B, K], rows summing to 1."""
        chosen = self.choose(F.relu(self.reduce(input.mean((2, 3)))))
        weights: Tensor = (chosen / self.temperature()).softmax(1)
        return weights

    def forward(self, input: Tensor) -> Tensor:
        """Convolve [B, C, H, W]: the images of the batch become groups of one convolution."""
        count, filters = input.shape[0], self.weight.shape[1:]
        attention = self.attention(input)
        mixed = (attention @ self.weight.reshape(attention.shape[1], -1)).view(count * self.out_channels, *filters)
        stacked = input.reshape(1, -1, *input.shape[2:])
        out = F.conv2d(stacked, mixed, None, self.stride, self.padding, self.dilation, self.groups * count)
        joined: Tensor = out.view(count, self.out_channels, *out.shape[2:])
        return joined


class ConvUnit(nn.Sequential):
    """Convolution of a chosen form, batch normalisation, activation.

    Args:
        conv: the convolution, as the settings above build it.
        activation: what follows the normalisation; None: nothing.
    """

    def __init__(self, conv: nn.Conv2d, activation: str | None) -> None:
        super().__init__()
        self.conv, self.norm = conv, nn.BatchNorm2d(conv.out_channels)
        self.act = make_channel_activation(activation, conv.out_channels) if activation else nn.Identity()
