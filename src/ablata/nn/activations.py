"""Activations beside torch's own: funnel ReLU, and a SiLU that keeps less memory; [B, C, H, W] to the same shape."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from ablata.base.user_code import parse_reference
from ablata.nn.named_layer import make_layer

ActivationChoice = Literal["relu", "leaky_relu", "silu", "silu_lean", "hardswish", "relu6", "frelu"]
"""leaky_relu: slope 0.01 below 0; silu: x sigmoid(x), also called swish; silu_lean: the same by a backward pass that
keeps only its input; hardswish: x relu6(x + 3) / 6; frelu: the larger of x
and a normalised 3x3 depthwise convolution of x."""


def make_channel_activation(name: str, channels: int, *, inplace: bool = True) -> nn.Module:
    """Return an activation for maps of `channels` channels; with `inplace`, those that can overwrite their input do.

    Args:
        name: an `ActivationChoice`, or a reference to a module class or a function of the user's own.
        channels: of the maps.
        inplace: whether the input may be overwritten.
    """
    if parse_reference(name) is not None:
        return make_layer(name, channels)
    if name == "relu":
        return nn.ReLU(inplace)
    if name == "relu6":
        return nn.ReLU6(inplace)
    if name == "leaky_relu":
        return nn.LeakyReLU(0.01, inplace)
    if name == "hardswish":
        return nn.Hardswish(inplace)
    if name == "silu":
        return nn.SiLU(inplace)
    return LeanSiLU() if name == "silu_lean" else FReLU(channels)


class LeanSiLU(nn.Module):
    """SiLU (swish), x sigmoid(x), whose backward pass keeps x and nothing else.

    In plain torch operations the sigmoid and x are both kept; here the sigmoid is computed again. `torch.nn.SiLU` does
    the same inside torch; this form shows what is kept, and is differentiable twice.

    Source: Ramachandran et al. 2017, arXiv 1710.05941; Elfwing et al. 2017, arXiv 1702.03118.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map floating values of any shape to the same shape and dtype."""
        out: Tensor = _LeanSiLU.apply(x)
        return out


class _LeanSiLU(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        gate = torch.sigmoid(x)
        out: Tensor = gradient * gate * (1 + x * (1 - gate))
        return out


class FReLU(nn.Module):
    """Funnel ReLU (FReLU): max(x, T(x)), T a 3x3 depthwise convolution with batch normalisation.

    Args:
        channels: C of the maps [B, C, H, W].

    Source: Ma et al. 2020, arXiv 2007.11824, equation 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to the same shape."""
        return torch.maximum(x, self.norm(self.conv(x)))
