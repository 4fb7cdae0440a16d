"""The context path of BiSeNet, with all its variants.

Source: Yu et al. 2018, arXiv 1808.00897, section 3.2.

Shapes: B batch, H and W the sides of the image, Wn channels of the backbone's stage n (stride s = 2^(n+1)), D width
of the path, D' = D or what joining made of it, t the stride where the path ends. A side at stride s is ceil(H / s).

    refined32   [B, D, H/32, W/32]    merged16   [B, D, H/16, W/16]   what comes from 1/32, before 1/16 joins
    refined16   [B, D, H/16, W/16]    merged8    [B, D', H/8, W/8]    what comes from 1/16, before 1/8 joins
    refined8    [B, D, H/8, W/8]      context    [B, D', H/t, W/t]
    average     [B, D or W4, 1, 1]

Where all levels join at the end, merged<t> is what comes from 1/32 alone, and there is no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.segmentation.bisenet.spatial_path import STAGES
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.pooled_gates import ConvGate, PooledGate, pooled_conv_norm_act
from ablata.nn.upsampling import Upsampling


class GlobalContext(Settings):
    """Global context: global average pooling of the map at 1/32."""

    form: Literal["mean", "conv", "conv_relu", "conv_sigmoid"] = "conv_relu"
    """mean: of the map it joins, as it is. Others: of stage 4, through a 1x1 convolution and normalisation, then
    nothing, ReLU or a sigmoid."""
    join: Literal["add", "multiply"] = "add"
    """How it joins."""
    position: Literal["features", "refined", "merged", "level"] = "refined"
    """What it joins: stage 4; the refined map at 1/32; the result of the context path, before its `end_kernel`; or it
    comes as one more level, enlarged and convolved as the others are, added to the refined map."""


class GlobalContextModule(nn.Module):
    """Global context, and how it is joined with a map.

    Args:
        settings: the variants; None: maps stay as they are.
        inputs: channels of stage 4.
        refined: channels of the refined map at 1/32.
        merged: channels of the path's result.
        norm: normalisation of means.
    """

    def __init__(self, settings: GlobalContext | None, inputs: int, refined: int, merged: int, norm: str) -> None:
        super().__init__()
        self.position = settings.position if settings else None
        self.multiply = settings is not None and settings.join == "multiply"
        self.layers: nn.Module | None = None
        if settings is not None and settings.form != "mean":
            outputs = {"features": inputs, "merged": merged}.get(settings.position, refined)
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

    def joined(self, position: str, x: Tensor, average: Tensor | None) -> Tensor:
        """Return `x` joined by the average if it belongs here, else `x`."""
        if position != self.position:
            return x
        return self.with_level(x, x.mean((2, 3), keepdim=True) if average is None else average)

    def with_level(self, x: Tensor, level: Tensor) -> Tensor:
        """Add or multiply."""
        return x * level if self.multiply else x + level


Kernel = Literal[0, 1, 3]
"""Side of a convolution; 0: there is none."""
Merge = Literal["sum", "concat"]
JoinedAt = Literal["levels", "end"]


class AttentionRefinement(Settings):
    """Attention refinement module (ARM): a convolution and channel attention, either left out at will.

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
    """Context path: the backbone's deep maps, refined and merged upwards."""

    width: int = Field(default=128, ge=1)
    """D."""
    levels: tuple[Literal[16, 8], ...] = (16,)
    """Strides that join on the way up; empty: stage 4 is alone."""
    stride: Literal[8, 16, 32] = 8
    """t: where the path ends."""
    merge_at: JoinedAt = "levels"
    """levels: what comes from below is enlarged to the next level and joins it there, step by step. end: every level is
    enlarged to t at once, and all join there."""
    refine: AttentionRefinement = AttentionRefinement()
    """What becomes of each stage first."""
    average: GlobalContext | None = GlobalContext()
    """The image's mean; null: none."""
    after_upsample: Kernel = 3
    """Side of a convolution to D channels behind each enlargement; 0: none."""
    merge_kernel: Kernel = 0
    """Side of a convolution behind each joining (an FPN's output convolution, a U's); 0: none."""
    merge_width: int | None = Field(default=None, ge=1)
    """Its channels; null: D."""
    end_kernel: Kernel = 0
    """Side of a convolution to D channels that ends the path; 0: none."""

    @model_validator(mode="after")
    def _fits_together(self) -> ContextPath:
        if list(self.levels) != sorted(set(self.levels), reverse=True):
            raise ValueError("levels must go up: [], [16], [16, 8] or [8]")
        if self.levels and self.stride > self.levels[-1]:
            raise ValueError(f"stride must be at most that of the last level, found stride={self.stride}")
        if self.merge_at == "end" and not self.levels:
            raise ValueError("merge_at=end needs levels that join: [16] or [16, 8]")
        if self.merge_width is not None and not self.merge_kernel:
            raise ValueError("merge_width says how wide a convolution is: it needs merge_kernel 1 or 3")
        average = self.average
        if average and average.position == "level" and average.form == "mean":
            raise ValueError("average.position=level is added to the map it comes from: its form needs a convolution")
        return self

    def refuse_sum(self) -> None:
        """Check that levels can be added to what comes from below.

        Raises:
            ValueError: their widths differ.
        """
        if self.levels and self.refine.kernel == 0:
            raise ValueError("merge=sum needs equal widths: context.refine.kernel 1 or 3")
        joined = self.merge_width or self.width
        stepwise = len(self.levels) > 1 and self.merge_at == "levels"
        if stepwise and self.merge_kernel and not self.after_upsample and joined != self.width:
            raise ValueError("merge=sum needs equal widths: context.merge_width=null or context.after_upsample 1 or 3")


class AttentionRefinementModule(nn.Module):
    """Convolution and gate of one stage.

    Args:
        settings: the variants.
        inputs: channels of the stage.
        width: D.
        norms: normalisation of maps, and of means.
    """

    def __init__(self, settings: AttentionRefinement, inputs: int, width: int, norms: tuple[str, str]) -> None:
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


class ContextPathModule(nn.Module):
    """Refines and merges the stages; see the head of the file.

    Args:
        settings: the variants.
        widths: channels of the backbone's outputs by name.
        norms: normalisation of maps, and of means.
        merge: how a level joins what comes from below.
        upsample: how a map gets to the next level that joins, and how from the last one to the path's end.

    Attributes:
        widths: channels of the outputs, by the names that `forward` gives them.
    """

    def __init__(
        self,
        settings: ContextPath,
        widths: Mapping[str, int],
        norms: tuple[str, str],
        merge: Merge,
        upsample: tuple[Upsampling, Upsampling],
    ) -> None:
        super().__init__()
        self.merge, self.levels = merge, settings.levels
        self.refine = nn.ModuleDict(
            {
                str(stride): AttentionRefinementModule(settings.refine, widths[STAGES[stride]], settings.width, norms)
                for stride in (32, *settings.levels)
            }
        )
        refined = {int(stride): self._outputs(stride) for stride in self.refine}
        self.widths = {f"refined{stride}": width for stride, width in refined.items()}
        self.strides = sorted({32, *settings.levels, settings.stride}, reverse=True)
        self.straight = settings.merge_at == "end"
        self.up, self.after, self.joined = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        plan = self._plan_straight if self.straight else self._plan_steps
        width = plan(settings, refined, norms[0], upsample)
        self.average = GlobalContextModule(settings.average, widths["stage4"], refined[32], width, norms[1])
        ends = settings.end_kernel
        self.end = ConvNormAct(width, settings.width, ends, norm=norms[0]) if ends else nn.Identity()
        self.outputs = self.widths["context"] = settings.width if ends else width
        self.level_conv = None
        if settings.average and settings.average.position == "level" and settings.after_upsample:
            self.level_conv = ConvNormAct(refined[32], refined[32], settings.after_upsample, norm=norms[0])

    def _plan_steps(
        self, settings: ContextPath, refined: Mapping[int, int], norm: str, upsample: tuple[Upsampling, Upsampling]
    ) -> int:
        """Make the way up level by level; return the width where it ends."""
        width = refined[32]
        for above, stride in pairwise(self.strides):
            key, joins = str(stride), stride in settings.levels
            self.up[key] = upsample[0 if joins else 1].build(width, above // stride)
            if settings.after_upsample:
                self.after[key] = ConvNormAct(width, settings.width, settings.after_upsample, norm=norm)
                width = settings.width
            self.widths[f"merged{stride}"] = width
            if joins:
                width = width + refined[stride] if self.merge == "concat" else width
                width = self._plan_joining(settings, key, width, norm)
        return width

    def _plan_straight(
        self, settings: ContextPath, refined: Mapping[int, int], norm: str, upsample: tuple[Upsampling, Upsampling]
    ) -> int:
        """Make a way from every level straight to the end; return the width there."""
        widths = []
        for stride, width in refined.items():
            if stride > settings.stride:
                self.up[str(stride)] = upsample[0].build(width, stride // settings.stride)
                if settings.after_upsample:
                    self.after[str(stride)] = ConvNormAct(width, settings.width, settings.after_upsample, norm=norm)
                    width = settings.width
            widths.append(width)
        end = str(settings.stride)
        self.widths[f"merged{end}"] = widths[0]
        return self._plan_joining(settings, end, sum(widths) if self.merge == "concat" else widths[0], norm)

    def _plan_joining(self, settings: ContextPath, key: str, width: int, norm: str) -> int:
        """Make the convolution behind a joining of `width` channels; return how many leave it."""
        if not settings.merge_kernel:
            return width
        outputs = settings.merge_width or settings.width
        self.joined[key] = ConvNormAct(width, outputs, settings.merge_kernel, norm=norm)
        return outputs

    def _outputs(self, stride: str) -> int:
        refine = self.refine[stride]
        assert isinstance(refine, AttentionRefinementModule)
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
        if self.average.position == "level" and average is not None:
            level = average.expand(-1, -1, *x.shape[2:])
            x = self.average.with_level(x, level if self.level_conv is None else self.level_conv(level))
        x = self._straight(x, stages, outputs) if self.straight else self._stepwise(x, stages, outputs)
        outputs["context"] = self.end(self.average.joined("merged", x, average))
        return outputs

    def _stepwise(self, x: Tensor, stages: Mapping[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """Bring the map at 1/32 up level by level, and return what all levels make."""
        for stride in self.strides[1:]:
            key = str(stride)
            x = outputs[f"merged{key}"] = self._enlarged(x, key, stages[STAGES[stride]])
            if stride in self.levels:
                x = self._together([x, outputs[f"refined{key}"]], key)
        return x

    def _straight(self, x: Tensor, stages: Mapping[str, Tensor], outputs: dict[str, Tensor]) -> Tensor:
        """Bring every level to the end, and return what all make there."""
        end = self.strides[-1]
        maps = [self._enlarged(x, "32", stages[STAGES[end]])]
        outputs[f"merged{end}"] = maps[0]
        for stride in self.levels:
            level = outputs[f"refined{stride}"]
            maps.append(self._enlarged(level, str(stride), stages[STAGES[end]]) if stride > end else level)
        return self._together(maps, str(end))

    def _enlarged(self, x: Tensor, key: str, goal: Tensor) -> Tensor:
        """Bring a map to the height and width of `goal`."""
        out: Tensor = self.up[key](x, tuple(goal.shape[2:]))
        return self.after[key](out) if key in self.after else out

    def _together(self, maps: list[Tensor], key: str) -> Tensor:
        """Join maps of one size."""
        x = torch.cat(maps, 1) if self.merge == "concat" else reduce(torch.add, maps)
        return self.joined[key](x) if key in self.joined else x
