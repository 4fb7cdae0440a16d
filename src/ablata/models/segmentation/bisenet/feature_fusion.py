"""Feature fusion of BiSeNet's two paths.

Source: Yu et al. 2018, arXiv 1808.00897, section 3.3, figure 2(c).

Shapes: B batch, P and D' channels of the paths, h and w sides at 1/8 of the image, F width, u stride.

    spatial  [B, P, h, w]     fused  [B, F, h/u, w/u]     (u = 1 but for the fusion module)
    context  [B, D', h, w]
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.pooled_gates import ConvGate, PooledGate


class SumFusion(Settings):
    """Sum of both paths; their widths must be equal."""

    kind: Literal["sum"] = "sum"

    def build(self, inputs: tuple[int, int], norms: tuple[str, str]) -> SumOrConcat:
        """Make the step for P and D' channels.

        Raises:
            SettingsError: P and D' differ.
        """
        if inputs[0] != inputs[1]:
            raise SettingsError(
                "fusion=sum needs paths of equal width",
                found=f"{inputs[0]} channels of detail, {inputs[1]} of context",
                do="make spatial.width equal to the width of the context path, or take fusion=concat",
            )
        return SumOrConcat("sum")

    def outputs(self, inputs: tuple[int, int]) -> int:
        """Return F."""
        return inputs[0]

    def step(self) -> int:
        """Return u."""
        return 1


class ConcatFusion(Settings):
    """Concatenation of both paths."""

    kind: Literal["concat"] = "concat"

    def build(self, inputs: tuple[int, int], norms: tuple[str, str]) -> SumOrConcat:
        """Make the step for P and D' channels."""
        return SumOrConcat("concat")

    def outputs(self, inputs: tuple[int, int]) -> int:
        """Return F."""
        return sum(inputs)

    def step(self) -> int:
        """Return u."""
        return 1


class FeatureFusion(Settings):
    """Feature fusion module (FFM): concatenation, a convolution, then x + x gate(x).

    Two gates were published under this name, and neither reads checkpoints of the other: `gate=conv` (mean, 1x1,
    normalisation, sigmoid) and `gate=two_layers` (mean, 1x1 to a quarter, ReLU, 1x1, sigmoid).
    """

    kind: Literal["ffm"] = "ffm"
    gate: PooledGate = ConvGate()
    """Gate over channels."""
    width: int | None = Field(default=256, ge=1)
    """Channels of the convolution; null: as many as come in."""
    kernel: Literal[1, 3] = 1
    """Side of the convolution."""
    stride: Literal[1, 2] = 1
    """u: step of the convolution."""
    project: int | None = Field(default=None, ge=1)
    """Channels of one more 1x1 convolution, with normalisation and ReLU, at the end; null: there is none."""

    def build(self, inputs: tuple[int, int], norms: tuple[str, str]) -> FusionModule:
        """Make the module for P and D' channels; `norms` are those of maps and of means."""
        return FusionModule(self, sum(inputs), norms)

    def outputs(self, inputs: tuple[int, int]) -> int:
        """Return F."""
        return self.project or self.width or sum(inputs)

    def step(self) -> int:
        """Return u."""
        return self.stride


AnyFusion = Annotated[SumFusion | ConcatFusion | FeatureFusion, OpenPart()]


class SumOrConcat(nn.Module):
    """Sum or concatenation.

    Args:
        how: which.
    """

    def __init__(self, how: Literal["sum", "concat"]) -> None:
        super().__init__()
        self.how = how

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Map two maps of one size to one."""
        return spatial + context if self.how == "sum" else torch.cat([spatial, context], 1)


class FusionModule(nn.Module):
    """The feature fusion module.

    Args:
        settings: the variants.
        inputs: P + D'.
        norms: normalisation of maps, and of means.
    """

    def __init__(self, settings: FeatureFusion, inputs: int, norms: tuple[str, str]) -> None:
        super().__init__()
        width = settings.width or inputs
        self.conv = ConvNormAct(inputs, width, settings.kernel, stride=settings.stride, norm=norms[0])
        self.gate = settings.gate.build(width, norms[1])
        self.project = ConvNormAct(width, settings.project, 1, norm=norms[0]) if settings.project else nn.Identity()

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Map [B, P, h, w] and [B, D', h, w] to [B, F, h/u, w/u]."""
        x = self.conv(torch.cat([spatial, context], 1))
        out: Tensor = self.project(x + x * self.gate(x))
        return out
