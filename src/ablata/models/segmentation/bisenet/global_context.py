"""The average branch of BiSeNet: what the whole image says, joined with a map.

Source: Yu et al. 2018, arXiv 1808.00897, section 3.2; forms and places as its public re-implementations tried them.

Shapes: B batch, W4 channels of the backbone's stage 4, D channels of the map that is joined, H and W its sides.

    stage4    [B, W4, H/32, W/32]
    average   [B, D, 1, 1]
    result    [B, D, H, W]
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.nn.pooled_gates import pooled_conv_norm_act


class GlobalContext(Settings):
    """What the whole image says, from the mean of the map at 1/32."""

    form: Literal["mean", "conv", "conv_relu", "conv_sigmoid"] = "conv_relu"
    """mean: of the map it joins, as it is. Others: of stage 4, through a 1x1 convolution and normalisation, then
    nothing, ReLU or a sigmoid."""
    join: Literal["add", "multiply"] = "add"
    """How it joins."""
    place: Literal["features", "refined", "merged", "level"] = "refined"
    """What it joins: stage 4; the refined map at 1/32; the result of the context path, before its `end_kernel`; or it
    comes as one more level, enlarged and convolved as the others are, added to the refined map."""


class GlobalContextModule(nn.Module):
    """The mean of the image, and its joining with a map.

    Args:
        settings: the variants; None: maps stay as they are.
        inputs: channels of stage 4.
        refined: channels of the refined map at 1/32.
        merged: channels of the path's result.
        norm: normalisation of means.
    """

    def __init__(self, settings: GlobalContext | None, inputs: int, refined: int, merged: int, norm: str) -> None:
        super().__init__()
        self.place = settings.place if settings else None
        self.multiply = settings is not None and settings.join == "multiply"
        self.layers: nn.Module | None = None
        if settings is not None and settings.form != "mean":
            outputs = {"features": inputs, "merged": merged}.get(settings.place, refined)
            activations: dict[str, Literal["none", "relu", "sigmoid"]] = {
                "conv": "none",
                "conv_relu": "relu",
                "conv_sigmoid": "sigmoid",
            }
            self.layers = pooled_conv_norm_act(inputs, outputs, norm, activations[settings.form])

    def forward(self, stage4: Tensor) -> Tensor | None:
        """Map [B, W4, H/32, W/32] to [B, D or W4, 1, 1]; None where the mean is that of the map it joins, or is off."""
        if self.layers is None:
            return None
        out: Tensor = self.layers(stage4.mean((2, 3), keepdim=True))
        return out

    def joined(self, place: str, x: Tensor, average: Tensor | None) -> Tensor:
        """Return `x` joined by the average if this is the place for it, else `x`."""
        if place != self.place:
            return x
        return self.with_level(x, x.mean((2, 3), keepdim=True) if average is None else average)

    def with_level(self, x: Tensor, level: Tensor) -> Tensor:
        """Add or multiply."""
        return x * level if self.multiply else x + level
