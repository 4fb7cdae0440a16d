"""Layers behind global average pooling: normalisation, and channel attention.

Letters: B batch, C channels, H and W sides of the maps, r reduction.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.nn.conv_norm_act import make_norm
from ablata.nn.single_values import SingleValueError


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of pooled maps [B, C, 1, 1]; refuses a batch of one image, which has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, 1, 1].

        Raises:
            SingleValueError: in training, one value a channel.
        """
        if self.training and x.shape[0] * x.shape[2] * x.shape[3] < 2:
            raise SingleValueError(
                "Batch normalisation behind a mean over the image needs two images a batch in training",
                found="1 image",
                do="take a larger batch, or pooled_norm=group or none",
            )
        return super().forward(x)


def pooled_norm(name: str, channels: int) -> nn.Module:
    """Return a normalisation of pooled maps [B, channels, 1, 1]; batch refuses a batch of one image."""
    return PooledBatchNorm(channels) if name == "batch" else make_norm(name, channels)


def pooled_conv_norm_act(
    inputs: int, outputs: int, norm: str, activation: Literal["relu", "sigmoid", "none"] = "none"
) -> nn.Sequential:
    """Return a 1x1 convolution, normalisation and activation of means [B, inputs, 1, 1]."""
    unit = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=norm == "none"))
    unit.append(pooled_norm(norm, outputs))
    if activation != "none":
        unit.append(nn.ReLU(inplace=True) if activation == "relu" else nn.Sigmoid())
    return unit


class ConvGate(Settings):
    """Channel attention of one layer: 1x1 convolution, normalisation, activation."""

    kind: Literal["conv"] = "conv"
    norm: bool = True
    """Normalise, as `pooled_norm` says; without, the convolution has a bias."""
    activation: Literal["sigmoid", "relu"] = "sigmoid"
    """Last operation."""

    def build(self, channels: int, norm: str) -> MeanGate:
        """Make the gate for C channels."""
        return MeanGate(pooled_conv_norm_act(channels, channels, norm if self.norm else "none", self.activation))


class TwoLayerGate(Settings):
    """Channel attention of two layers: 1x1 convolution to C / r, ReLU, 1x1 back to C, sigmoid; without biases."""

    kind: Literal["two_layers"] = "two_layers"
    reduction: int = Field(default=4, ge=1)
    """r: channel reduction between the two layers."""
    norm: bool = False
    """Normalise behind each convolution, as `pooled_norm` says."""

    def build(self, channels: int, norm: str) -> MeanGate:
        """Make the gate for C channels."""
        hidden = max(1, channels // self.reduction)
        if self.norm:
            inner = pooled_conv_norm_act(channels, hidden, norm, "relu")
            return MeanGate(nn.Sequential(inner, pooled_conv_norm_act(hidden, channels, norm, "sigmoid")))
        reduce, expand = nn.Conv2d(channels, hidden, 1, bias=False), nn.Conv2d(hidden, channels, 1, bias=False)
        return MeanGate(nn.Sequential(reduce, nn.ReLU(inplace=True), expand, nn.Sigmoid()))


PooledGate = Annotated[ConvGate | TwoLayerGate, OpenPart()]


class MeanGate(nn.Module):
    """Channel weights from global average pooling.

    Args:
        layers: maps pooled maps [B, C, 1, 1] to weights of the same shape.
    """

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to weights [B, C, 1, 1]."""
        out: Tensor = self.layers(x.mean((2, 3), keepdim=True))
        return out


class Gated(nn.Module):
    """Channel attention: a map times the weights of its channels.

    Args:
        gate: maps [B, C, H, W] to weights [B, C, 1, 1].
    """

    def __init__(self, gate: MeanGate) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        out: Tensor = x * self.gate(x)
        return out
