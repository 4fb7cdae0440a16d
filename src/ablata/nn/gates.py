"""Channel attention: squeeze-and-excitation (SE), and attentional feature fusion (AFF).

Letters: B batch, C channels, H height and width of the maps, r reduction.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.nn.activations import make_channel_activation
from ablata.nn.annealing import Temperature


class SqueezeExcite(Settings):
    """Squeeze-and-excitation: each channel is gated by global average pooling and two 1x1 convolutions.

    Source: Hu et al. 2018, arXiv 1709.01507.
    """

    kind: Literal["se"] = "se"
    reduction: float = Field(default=16.0, ge=1)
    """r: channel reduction between the two layers."""
    last_norm: bool = False
    """Batch normalisation behind the gate."""
    temperature: float = Field(default=1.0, ge=1)
    """The gate is sigmoid(z / temperature); the temperature falls from this to 1 in training. 1: no annealing."""
    anneal_steps: int = Field(default=12_500, ge=1)
    """Optimiser steps until the temperature is 1; ten epochs of ImageNet at batch 1024."""

    def build(self, channels: int, hidden: int, activation: str = "relu") -> SqueezeExciteGate:
        """Make the gate of maps with `channels` channels, `hidden` between its layers."""
        return SqueezeExciteGate(self, channels, hidden, activation)


class SqueezeExciteGate(nn.Module):
    """x sigmoid(expand(act(reduce(mean of x))) / temperature).

    Args:
        settings: temperature and last norm.
        channels: C.
        hidden: channels between the two layers, at least 1.
        activation: between the two layers.
    """

    def __init__(self, settings: SqueezeExcite, channels: int, hidden: int, activation: str) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, max(1, hidden), 1)
        self.act = make_channel_activation(activation, max(1, hidden))
        self.expand = nn.Conv2d(max(1, hidden), channels, 1)
        cools = settings.temperature > 1
        self.temperature = Temperature(settings.temperature, settings.anneal_steps) if cools else None
        self.norm = nn.BatchNorm2d(channels) if settings.last_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, H] to the same shape."""
        gate = self.expand(self.act(self.reduce(x.mean((2, 3), keepdim=True))))
        if self.temperature is not None:
            gate = gate / self.temperature()
        out: Tensor = self.norm(x * gate.sigmoid())
        return out


class AttentionalFusion(Settings):
    """Attentional feature fusion (AFF): residual and shortcut are weighted by attention, at each pixel and channel.

    Source: Dai et al. 2021, arXiv 2009.14082, equations 1 to 3 (AFF).
    """

    kind: Literal["aff"] = "aff"
    reduction: int = Field(default=4, ge=1)
    """r: channel reduction; 16 in the bottlenecks of its authors (YimianDai/open-aff)."""
    gain: float = Field(default=1.0, gt=0)
    """Factor on the result: 1 as in the equations; 2 as in the authors' code: attention of one half is then the plain
    addition."""

    def build(self, channels: int) -> AttentionalFusionGate:
        """Make the module for two maps of `channels` channels."""
        return AttentionalFusionGate(channels, max(1, channels // self.reduction), self.gain)


class AttentionalFusionGate(nn.Module):
    """gain (M x + (1 - M) y) with M = sigmoid(local(x + y) + global(mean of x + y)).

    Args:
        channels: C.
        hidden: channels inside both branches.
        gain: factor on the result.
    """

    def __init__(self, channels: int, hidden: int, gain: float = 1.0) -> None:
        super().__init__()
        self.local, self.whole = _bottleneck(channels, hidden), _bottleneck(channels, hidden)
        self.gain = gain

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse two maps [B, C, H, H] into one."""
        both = x + y
        weight = (self.local(both) + self.whole(both.mean((2, 3), keepdim=True))).sigmoid()
        out: Tensor = weight * x + (1 - weight) * y
        return out if self.gain == 1 else self.gain * out


def _bottleneck(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 1, bias=False),
        nn.BatchNorm2d(hidden),
        nn.ReLU(inplace=True),
        nn.Conv2d(hidden, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    )
