"""The context path of BiSeNet, with every place where it was varied.

Source: Yu et al. 2018, arXiv 1808.00897, section 3.2.

Shapes: B batch, H and W the sides of the picture, Wn channels of the backbone's stage n (stride s = 2^(n+1)), D width
of the path, D' = D or what joining made of it, t the stride where the path ends. A side at stride s is ceil(H / s).

    refined32   [B, D, H/32, W/32]    merged16   [B, D, H/16, W/16]   what comes from 1/32, before 1/16 joins
    refined16   [B, D, H/16, W/16]    merged8    [B, D', H/8, W/8]    what comes from 1/16, before 1/8 joins
    refined8    [B, D, H/8, W/8]      context    [B, D', H/t, W/t]
    average     [B, D or W4, 1, 1]
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.bisenet_average import Average, GlobalAverage
from ablata.models.bisenet_spatial import STAGES
from ablata.nn.conv_norm_act import ConvNormAct, NormName
from ablata.nn.pooled_gates import ConvGate, PooledGate
from ablata.nn.upsampling import Upsampling

Kernel = Literal[0, 1, 3]
"""Side of a convolution; 0: there is none."""
Merge = Literal["sum", "concat"]


class Refinement(Settings):
    """From a stage to the map that is merged: a convolution and a gate (attention refinement), either left out at will.

    Source: section 3.2, figure 2(b); the convolution as in the published code.
    """

    kernel: Kernel = 3
    """Side of the convolution to D channels, with normalisation and ReLU; 0: none, and the stage's width stays."""
    gate: PooledGate | None = ConvGate()
    """Gate over channels; null: none."""
    gate_first: bool = False
    """Gate the stage itself, before the convolution."""
    residual: bool = False
    """Add what the gate lets through to what came in."""


class ContextPath(Settings):
    """The backbone's deep maps, refined and merged upwards."""

    width: int = Field(default=128, ge=1)
    """D."""
    levels: tuple[Literal[16, 8], ...] = (16,)
    """Strides that join on the way up; empty: stage 4 is alone."""
    stride: Literal[8, 16, 32] = 8
    """t: where the path ends."""
    refine: Refinement = Refinement()
    """What becomes of each stage first."""
    average: Average | None = Average()
    """The picture's mean; null: none."""
    after_upsample: Kernel = 3
    """Side of a convolution to D channels behind each enlargement; 0: none."""
    merge_kernel: Kernel = 0
    """Side of a convolution behind each joining (an FPN's output convolution, a U's); 0: none."""
    merge_width: int | None = Field(default=None, ge=1)
    """Its channels; null: D."""

    @model_validator(mode="after")
    def _fits_together(self) -> ContextPath:
        if list(self.levels) != sorted(set(self.levels), reverse=True):
            raise ValueError("levels must go up: [], [16], [16, 8] or [8]")
        if self.levels and self.stride > self.levels[-1]:
            raise ValueError(f"stride must be at most that of the last level, found stride={self.stride}")
        if self.merge_width is not None and not self.merge_kernel:
            raise ValueError("merge_width says how wide a convolution is: it needs merge_kernel 1 or 3")
        average = self.average
        if average and average.place == "level" and average.form == "mean":
            raise ValueError("average.place=level is added to the map it comes from: its form needs a convolution")
        return self

    def refuse_sum(self) -> None:
        """Check that levels can be added to what comes from below.

        Raises:
            ValueError: their widths differ.
        """
        if self.levels and self.refine.kernel == 0:
            raise ValueError("merge=sum needs equal widths: context.refine.kernel 1 or 3")
        joined = self.merge_width or self.width
        if len(self.levels) > 1 and self.merge_kernel and not self.after_upsample and joined != self.width:
            raise ValueError("merge=sum needs equal widths: context.merge_width=null or context.after_upsample 1 or 3")


class Refine(nn.Module):
    """Convolution and gate of one stage.

    Args:
        settings: the variants.
        inputs: channels of the stage.
        width: D.
        norms: normalisation of maps, and of means.
    """

    def __init__(self, settings: Refinement, inputs: int, width: int, norms: tuple[NormName, NormName]) -> None:
        super().__init__()
        self.outputs = width if settings.kernel else inputs
        self.conv = ConvNormAct(inputs, width, settings.kernel, norm=norms[0]) if settings.kernel else nn.Identity()
        gated = inputs if settings.gate_first else self.outputs
        self.gate = settings.gate.build(gated, norms[1]) if settings.gate else None
        self.gate_first, self.residual = settings.gate_first, settings.residual

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, Wn, H/s, W/s] to [B, D, H/s, W/s]."""
        if self.gate is not None and self.gate_first:
            x = self._gated(x, self.gate)
        out: Tensor = self.conv(x)
        return self._gated(out, self.gate) if self.gate is not None and not self.gate_first else out

    def _gated(self, x: Tensor, gate: nn.Module) -> Tensor:
        passed: Tensor = x * gate(x)
        return x + passed if self.residual else passed


class Context(nn.Module):
    """Refines and merges the stages; see the head of the file.

    Args:
        settings: the variants.
        widths: channels of the backbone's outputs by name.
        norms: normalisation of maps, and of means.
        merge: how a level joins what comes from below.
        upsample: how a map gets to the next level that joins.

    Attributes:
        widths: channels of the outputs, by the names that `forward` gives them.
    """

    def __init__(
        self,
        settings: ContextPath,
        widths: Mapping[str, int],
        norms: tuple[NormName, NormName],
        merge: Merge,
        upsample: Upsampling,
    ) -> None:
        super().__init__()
        self.merge, self.levels = merge, settings.levels
        self.refine = nn.ModuleDict(
            {
                str(stride): Refine(settings.refine, widths[STAGES[stride]], settings.width, norms)
                for stride in (32, *settings.levels)
            }
        )
        refined = {int(stride): self._outputs(stride) for stride in self.refine}
        self.widths = {f"refined{stride}": width for stride, width in refined.items()}
        ends = {32, *settings.levels, settings.stride}
        self.strides = sorted(ends, reverse=True)
        self.up, self.after, self.joined = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        width = refined[32]
        for above, stride in pairwise(self.strides):
            key = str(stride)
            self.up[key] = upsample.build(width, above // stride)
            if settings.after_upsample:
                self.after[key] = ConvNormAct(width, settings.width, settings.after_upsample, norm=norms[0])
                width = settings.width
            self.widths[f"merged{stride}"] = width
            if stride in settings.levels:
                width = width + refined[stride] if merge == "concat" else width
                if settings.merge_kernel:
                    outputs = settings.merge_width or settings.width
                    self.joined[key] = ConvNormAct(width, outputs, settings.merge_kernel, norm=norms[0])
                    width = outputs
        self.outputs = self.widths["context"] = width
        self.average = GlobalAverage(settings.average, widths["stage4"], refined[32], width, norms[1])
        self.level_conv = None
        if settings.average and settings.average.place == "level" and settings.after_upsample:
            self.level_conv = ConvNormAct(refined[32], refined[32], settings.after_upsample, norm=norms[0])

    def _outputs(self, stride: str) -> int:
        refine = self.refine[stride]
        assert isinstance(refine, Refine)
        return refine.outputs

    def forward(self, stages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map the backbone's outputs to those of the path, by name; those of strides that are not used are absent."""
        outputs: dict[str, Tensor] = {}
        deepest = stages["stage4"]
        average = self.average(deepest)
        if average is not None:
            outputs["average"] = average
        deepest = self.average.joined("features", deepest, average)
        for key, refine in self.refine.items():
            outputs[f"refined{key}"] = refine(deepest if key == "32" else stages[STAGES[int(key)]])
        x = self.average.joined("refined", outputs["refined32"], average)
        if self.average.place == "level" and average is not None:
            level = average.expand(-1, -1, *x.shape[2:])
            x = self.average.with_level(x, level if self.level_conv is None else self.level_conv(level))
        for stride in self.strides[1:]:
            key = str(stride)
            x = self.up[key](x, tuple(stages[STAGES[stride]].shape[2:]))
            if key in self.after:
                x = self.after[key](x)
            outputs[f"merged{key}"] = x
            if stride in self.levels:
                level = outputs[f"refined{key}"]
                x = torch.cat([x, level], 1) if self.merge == "concat" else x + level
                if key in self.joined:
                    x = self.joined[key](x)
        outputs["context"] = self.average.joined("merged", x, average)
        return outputs
