"""The spatial path of BiSeNet, with all its variants.

Source: Yu et al. 2018, arXiv 1808.00897, section 3.1.

Shapes: B batch, C channels of the image, H and W its sides, P width of the path. A side at stride s is ceil(H / s),
so any size of image will do.

    image  [B, C, H, W]
    first    [B, widths 0, H/2, W/2]
    second   [B, widths 1, H/4, W/4]
    third    [B, widths 2, H/8, W/8]
    last     [B, P, H/8, W/8]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator
from torch import nn

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.nn.conv_norm_act import ConvNormAct

STAGES = {4: "stage1", 8: "stage2", 16: "stage3", 32: "stage4"}
"""The backbone's output at each stride."""


class SpatialPath(Settings):
    """Spatial path: three convolutions of stride 2 and one of stride 1 on the image itself."""

    kind: Literal["convs"] = "convs"
    widths: tuple[int, int, int] = (64, 64, 64)
    """Channels of the three."""
    first: Literal["3x3", "7x7", "three_3x3"] = "7x7"
    """First convolution; three of 3x3: the first of stride 2, two of half the width before the last."""
    second: Literal[3, 5] = 3
    """Side of the second convolution."""
    third: Literal[3, 5] = 3
    """Side of the third convolution."""
    last: Literal[0, 1, 3] = 1
    """Side of the convolution of stride 1 at the end; 0: there is none."""
    width: int = Field(default=128, ge=1)
    """P: channels of the last convolution; without one, those of the third are P."""

    @model_validator(mode="after")
    def _widths_are_widths(self) -> SpatialPath:
        if min(self.widths) < 1 or (self.first == "three_3x3" and self.widths[0] < 2):
            raise ValueError("widths must be at least 1, and the first at least 2 with first=three_3x3")
        return self

    def build(self, channels: int, widths: Mapping[str, int], norm: str) -> nn.Sequential:
        """Make the path from [B, channels, H, W] to [B, P, H/8, W/8]; `widths` of the backbone do not matter."""
        first, second, third = self.widths
        if self.first == "three_3x3":
            half = first // 2
            path = nn.Sequential(
                ConvNormAct(channels, half, stride=2, norm=norm),
                ConvNormAct(half, half, norm=norm),
                ConvNormAct(half, first, norm=norm),
            )
        else:
            path = nn.Sequential(ConvNormAct(channels, first, int(self.first[0]), stride=2, norm=norm))
        path.append(ConvNormAct(first, second, self.second, stride=2, norm=norm))
        path.append(ConvNormAct(second, third, self.third, stride=2, norm=norm))
        if self.last:
            path.append(ConvNormAct(third, self.width, self.last, norm=norm))
        return path

    def outputs(self, widths: Mapping[str, int]) -> int:
        """Return P."""
        return self.width if self.last else self.widths[2]


class StagePath(Settings):
    """A stage of the backbone in the place of the spatial path."""

    kind: Literal["stage"] = "stage"
    stride: Literal[4, 8] = 8
    """Stride of the stage; 4 ("res2") is halved by a 3x3 convolution."""
    width: int | None = Field(default=None, ge=1)
    """P: channels of that convolution, or of a 1x1 at stride 8; null: the stage's own, at stride 8 as it is."""

    def build(self, channels: int, widths: Mapping[str, int], norm: str) -> nn.Module:
        """Make the step from the stage, whose width `widths` says, to [B, P, H/8, W/8]."""
        inputs = widths[STAGES[self.stride]]
        if self.stride == 8:
            return nn.Identity() if self.width is None else ConvNormAct(inputs, self.width, 1, norm=norm)
        return ConvNormAct(inputs, self.outputs(widths), stride=2, norm=norm)

    def outputs(self, widths: Mapping[str, int]) -> int:
        """Return P."""
        return self.width or widths[STAGES[self.stride]]


AnySpatial = Annotated[SpatialPath | StagePath, OpenPart()]
