"""Convolution, normalisation and activation, in this order, with the choices that models share."""

from __future__ import annotations

from typing import Literal

from torch import nn

from ablata.base.user_code import parse_reference
from ablata.nn.named_layer import make_layer

NormName = Literal["batch", "group", "none"]
"""batch: statistics over the batch; group: over groups of channels of each image; none: a bias instead."""
ActivationName = Literal["relu", "leaky_relu", "silu", "gelu", "none"]
"""leaky_relu: slope 0.1 below 0, where the other networks have 0.01."""


def make_norm(name: str, channels: int) -> nn.Module:
    """Return a normalisation of [B, channels, H, W]; groups hold 8 channels, or all where 8 do not divide them.

    Args:
        name: a `NormName`, or a reference to a module class of the user's own.
        channels: of the maps.
    """
    if parse_reference(name) is not None:
        return make_layer(name, channels)
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "group":
        return nn.GroupNorm(channels // 8 if channels % 8 == 0 else 1, channels)
    return nn.Identity()


def make_activation(name: str) -> nn.Module:
    """Return an activation, an `ActivationName` or the user's own; those that can work in place do."""
    if parse_reference(name) is not None:
        return make_layer(name)
    if name == "relu":
        return nn.ReLU(inplace=True)
    if name == "leaky_relu":
        return nn.LeakyReLU(0.1, inplace=True)
    if name == "silu":
        return nn.SiLU(inplace=True)
    return nn.GELU() if name == "gelu" else nn.Identity()


class ConvNormAct(nn.Sequential):
    """Convolution [B, C_in, H, W] -> [B, C_out, ceil(H / stride), ceil(W / stride)], normalisation, activation.

    The convolution has a bias only where no normalisation follows.

    Args:
        inputs: C_in.
        outputs: C_out.
        kernel: side of the kernel, odd; the padding keeps the size at stride 1.
        stride: step of the kernel.
        norm: which normalisation.
        activation: which activation.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        norm: str = "batch",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=norm == "none")
        self.norm = make_norm(norm, outputs)
        self.act = make_activation(activation)
