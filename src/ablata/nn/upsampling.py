"""Upsampling of feature maps to a given size: nearest, bilinear, transposed convolution.

Letters: B batch, C channels, h and w sides of the small map, H and W sides of the large one, f = 2, 4, 8 ... factor.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import OpenPart
from ablata.base.settings import Settings


class UpsamplingSettings(Settings):
    """Base of the settings of upsampling; not itself a choice."""

    @abstractmethod
    def build(self, channels: int, factor: int) -> nn.Module:
        """Make the step.

        Args:
            channels: C.
            factor: f, what the sides of the map are multiplied by.

        Returns:
            A module called with a map [B, C, h, w] and a size (H, W) that returns [B, C, H, W].
        """


class Nearest(UpsamplingSettings):
    """Nearest-neighbour interpolation."""

    kind: Literal["nearest"] = "nearest"

    def build(self, channels: int, factor: int) -> Resize:
        """Make the step; neither argument matters, the size is given with the map."""
        return Resize("nearest", corners=None)


class Bilinear(UpsamplingSettings):
    """Bilinear interpolation."""

    kind: Literal["bilinear"] = "bilinear"
    align_corners: bool = False
    """Take the corners of both maps as the same points."""

    def build(self, channels: int, factor: int) -> Resize:
        """Make the step; neither argument matters, the size is given with the map."""
        return Resize("bilinear", corners=self.align_corners)


class Transposed(UpsamplingSettings):
    """Transposed convolution with kernels of twice the factor: 16x16 for 8 times; cut to the size that is asked for."""

    kind: Literal["deconv"] = "deconv"
    init: Literal["kaiming", "bilinear"] = "kaiming"
    """Initial kernels: random, or bilinear interpolation of each channel by itself."""
    steps: Literal["one", "doubling"] = "one"
    """One convolution of stride f, or 4x4 convolutions of stride 2 until f is reached."""
    rest: Literal[1, 2, 4, 8] = 1
    """Part of f that is left to bilinear interpolation behind the transposed convolution; 1: none."""

    def build(self, channels: int, factor: int) -> TransposedUpsampling:
        """Make the step for maps of `channels` channels that are `factor` times smaller than the result, a power of 2.

        Raises:
            ValueError: the factor is no power of 2 from 2 on.
            SettingsError: nothing of it is left to learn.
        """
        if self.rest > 1 and factor <= self.rest:
            raise SettingsError(
                "`rest` must be smaller than the factor of the upsampling",
                found=f"rest={self.rest} for maps that are {factor} times smaller than the result",
                do="set rest=1, or take a deeper map",
            )
        return TransposedUpsampling(self, channels, factor)


Upsampling = Annotated[Nearest | Bilinear | Transposed, OpenPart(UpsamplingSettings)]


class Resize(nn.Module):
    """Interpolation without weights.

    Args:
        mode: how values between those of the small map arise.
        corners: torch's `align_corners`; None where the mode has no such thing.
    """

    def __init__(self, mode: Literal["nearest", "bilinear"], *, corners: bool | None) -> None:
        super().__init__()
        self.mode, self.corners = mode, corners

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map [B, C, h, w] to [B, C, H, W], `size` being (H, W)."""
        if x.shape[2:] == size:
            return x
        return F.interpolate(x, size, mode=self.mode, align_corners=self.corners)


class TransposedUpsampling(nn.Module):
    """Transposed convolutions without bias, the rest by bilinear interpolation.

    Args:
        settings: number of steps, first weights, rest.
        channels: C.
        factor: f.
    """

    def __init__(self, settings: Transposed, channels: int, factor: int) -> None:
        super().__init__()
        if factor < 2 or factor & (factor - 1):
            raise ValueError(f"factor must be a power of 2 from 2 on, found {factor}")
        self.rest, factor = settings.rest, factor // settings.rest
        steps = [factor] if settings.steps == "one" else [2] * (factor.bit_length() - 1)
        self.convs = nn.Sequential(
            *(nn.ConvTranspose2d(channels, channels, 2 * f, f, padding=f // 2, bias=False) for f in steps)
        )
        self.reset(settings.init)

    @torch.no_grad()
    def reset(self, init: Literal["kaiming", "bilinear"]) -> None:
        """Initialize the kernels, at random or to bilinear interpolation."""
        for conv in self.convs:
            assert isinstance(conv, nn.ConvTranspose2d)
            if init == "kaiming":
                nn.init.kaiming_normal_(conv.weight, a=1)
                continue
            side = conv.kernel_size[0]
            ramp = 1 - ((torch.arange(side) + 0.5) / (side / 2) - 1).abs()
            conv.weight.zero_()
            for channel in range(conv.in_channels):
                conv.weight[channel, channel] = ramp[:, None] * ramp[None, :]

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """Map [B, C, h, w] to [B, C, H, W], `size` being (H, W), at most f times as large."""
        out: Tensor = self.convs(x)
        if self.rest > 1:
            out = F.interpolate(out, scale_factor=self.rest, mode="bilinear", align_corners=False)
        return out[:, :, : size[0], : size[1]]
