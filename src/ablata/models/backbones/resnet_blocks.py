"""Residual blocks (basic and bottleneck) with the variants of ImageNet recipes.

Sources: He et al. 2016a, arXiv 1512.03385; with pre-activation He et al. 2016b, arXiv 1603.05027; the stride lies in
the 3x3 convolution of a bottleneck, as in torchvision; pooled shortcuts He et al. 2019, arXiv 1812.01187, section 4
(ResNet-D); hierarchical splits Yuan et al. 2020, arXiv 2010.07621 (HS-ResNet).

Shapes: B batch, N channels in, M in the middle, P out, H height and width of the maps, s stride, S splits.

    x          [B, N, H, H]        after the 3x3    [B, M, H/s, H/s]   (M = P in a block of two 3x3)
    reduced    [B, M, H, H]        result           [B, P, H/s, H/s]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import NamedPart, OpenPart
from ablata.base.settings import Settings
from ablata.nn.activations import ActivationChoice, make_channel_activation
from ablata.nn.conv_norm_act import make_norm
from ablata.nn.convolutions import AlignedConv2d, AnyConv, PlainConv
from ablata.nn.gates import AttentionalFusion, SqueezeExcite
from ablata.nn.pooled_gates import ConvGate, Gated, MeanGate, TwoLayerGate


class HierarchicalSplit(Settings):
    """Hierarchical-split block (HS-ResNet) in place of a bottleneck's 3x3 convolution."""

    kind: Literal["hierarchical"] = "hierarchical"
    splits: int = Field(default=8, ge=2)
    """S: groups of channels."""
    width: int | None = Field(default=None, ge=2)
    """Channels of a group in the first stage, doubled with each stage; null: what the bottleneck has, divided by S, as
    in bobo0810/HS-ResNet, and a ResNet-50 of 17.3 million parameters; 12 gives the 25.9 million nearest to its own. The
    authors gave no code (PaddlePaddle/PaddleClas issue 689)."""
    strided: Literal["apart", "pooled"] = "apart"
    """Where maps are halved. apart: nothing is handed on, the first group is averaged over 3x3 and each other convolved
    with the stride (its authors, PaddlePaddle/PaddleClas issue 472); pooled: all is averaged over 3x3 first."""


class BlockSettings(Settings):
    """Base of residual blocks' settings; not itself a choice."""

    preactivation: bool = False
    """Normalise and activate before each convolution, and leave the residual path free of both."""
    order: Literal["norm_act", "act_norm", "add_act_norm", "act_add_norm"] = "norm_act"
    """norm_act: conv-norm-act, the last activation after the addition. act_norm: activation before normalisation inside
    the block. add_act_norm: so inside, and add, activate, normalise at its end. act_add_norm: so inside, and activate
    both branches, add, normalise at its end."""
    shortcut: Literal["conv", "conv3x3", "pool_conv"] = "conv"
    """Where shapes change: a 1x1 or 3x3 convolution with the stride, or a mean over 2x2 and a 1x1 convolution
    (ResNet-D)."""
    shortcut_norm: bool | None = None
    """Normalise behind that convolution; null: yes, but not with pre-activation."""
    attention: (
        Annotated[
            SqueezeExcite | ConvGate | TwoLayerGate, OpenPart(adapt="ablata.nn.plain:gate", plain="an nn.Module class")
        ]
        | None
    ) = None
    """Gate at the end of the residual branch; null: none. conv is BiSeNet's attention refinement."""
    fusion: AttentionalFusion | None = None
    """How residual and shortcut become one; null: by addition."""
    activation: ActivationChoice | NamedPart = "relu"
    """Activation; frelu leaves relu in the last stage, as in its paper."""
    norm: Literal["batch"] | NamedPart = "batch"
    """Normalisation of the blocks' convolutions and shortcuts."""
    conv: AnyConv = PlainConv()
    """Form of the convolutions, also of stem and shortcuts; the stem of a dynamic network is plain, as in its paper."""
    split: HierarchicalSplit | None = None
    """What stands in the place of a bottleneck's 3x3 convolution; null: that convolution."""

    def middle(self, width: int, stage: int) -> int:
        """Return M of a bottleneck of a stage (0 to 3): `width`, or what the splits need."""
        if self.split is None:
            return width
        group = width // self.split.splits if self.split.width is None else self.split.width * 2**stage
        return self.split.splits * max(2, group)


class ConvNormUnit(nn.Module):
    """A convolution with its normalisation and activation.

    Args:
        conv: the convolution.
        channels: channels of normalisation and activation: its outputs, or its inputs with pre-activation.
        settings: order of the two, and whether they come first.
        activation: which activation.
    """

    def __init__(self, conv: nn.Module, channels: int, settings: BlockSettings, activation: str) -> None:
        super().__init__()
        self.conv, self.norm = conv, make_norm(settings.norm, channels)
        self.norm_first, self.preactivation = settings.order == "norm_act", settings.preactivation
        # An activation that comes first would overwrite what the shortcut still needs.
        self.act = make_channel_activation(activation, channels, inplace=self.norm_first or not settings.preactivation)

    def norm_act(self, x: Tensor) -> Tensor:
        """Normalise and activate, in the order of the settings."""
        out: Tensor = self.act(self.norm(x)) if self.norm_first else self.norm(self.act(x))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [B, C, H, H] and prepare, or the other way round with pre-activation."""
        out: Tensor = self.conv(self.norm_act(x)) if self.preactivation else self.norm_act(self.conv(x))
        return out


class ResidualBlock(nn.Module):
    """Residual block: basic (two 3x3 convolutions) or bottleneck (1x1, 3x3, 1x1).

    Args:
        settings: the variants.
        channels: N, M, P.
        bottleneck: which of the two; the first has no M.
        stride: s.
        dilation: distance of the 3x3 kernels' taps.
        activation: which activation this stage has.
    """

    def __init__(
        self,
        settings: BlockSettings,
        channels: tuple[int, int, int],
        *,
        bottleneck: bool,
        stride: int,
        dilation: int,
        activation: str,
    ) -> None:
        super().__init__()
        inputs, middle, outputs = channels
        convs: list[tuple[int, int, nn.Module]]
        if bottleneck:
            convs = [
                (inputs, middle, settings.conv.build(inputs, middle, 1)),
                (middle, middle, _spatial(settings, middle, stride, dilation, activation)),
                (middle, outputs, settings.conv.build(middle, outputs, 1)),
            ]
        else:
            convs = [
                (inputs, outputs, settings.conv.build(inputs, outputs, 3, stride, dilation)),
                (outputs, outputs, settings.conv.build(outputs, outputs, 3, 1, dilation)),
            ]
        self.units = nn.ModuleDict()
        for number, (before, after, conv) in enumerate(convs, start=1):
            self.units[str(number)] = (
                conv
                if isinstance(conv, SplitConv)
                else ConvNormUnit(conv, before if settings.preactivation else after, settings, activation)
            )
        self.attention = _gate(settings, outputs)
        self.fusion = settings.fusion.build(outputs) if settings.fusion else None
        self.shortcut = Shortcut(settings, inputs, outputs, stride) if inputs != outputs or stride > 1 else None
        self.order, self.preactivation = settings.order, settings.preactivation
        self.shortcut_act = (
            make_channel_activation(activation, outputs, inplace=False)
            if self.order == "act_add_norm"
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, H, H] to [B, P, H/s, H/s]."""
        first, *others = self.units.values()
        if self.preactivation:
            assert isinstance(first, ConvNormUnit)
            active = first.norm_act(x)
            y = first.conv(active)
            for unit in others:
                y = unit(y)
            return self._add_shortcut(self.attention(y), active if self.shortcut else x)
        y = first(x)
        for unit in others[:-1]:
            y = unit(y)
        return self._last_unit(others[-1], y, x)

    def _last_unit(self, last: nn.Module, y: Tensor, x: Tensor) -> Tensor:
        """Apply the last convolution and what follows it."""
        assert isinstance(last, ConvNormUnit)
        y = last.conv(y)
        if self.order in ("norm_act", "act_norm"):
            out: Tensor = last.act(self._add_shortcut(self.attention(last.norm(y)), x))
        elif self.order == "add_act_norm":
            out = last.norm(last.act(self._add_shortcut(self.attention(y), x)))
        else:
            out = last.norm(self._add_shortcut(last.act(self.attention(y)), x))
        return out

    def _add_shortcut(self, branch: Tensor, x: Tensor) -> Tensor:
        short = self.shortcut_act(self.shortcut(x) if self.shortcut is not None else x)
        out: Tensor = branch + short if self.fusion is None else self.fusion(branch, short)
        return out

    def zero_init_residual(self) -> None:
        """Let the branch begin at 0, so that the block begins as its shortcut.

        The weight of the branch's last normalisation is set to 0. Where the branch ends with a convolution, its weights
        are: a normalisation before it would stay at 0 for ever, since relu passes no gradient there.

        Raises:
            SettingsError: the last normalisation has no weight.
        """
        last = [unit for unit in self.units.values() if isinstance(unit, ConvNormUnit)][-1]
        gate_norm = getattr(self.attention, "norm", None)
        if isinstance(gate_norm, nn.BatchNorm2d):
            nn.init.zeros_(gate_norm.weight)
        elif not self.preactivation and self.order in ("norm_act", "act_norm"):
            weight = getattr(last.norm, "weight", None)
            if weight is None:
                raise SettingsError(
                    "zero_init_residual needs a normalisation with a weight",
                    found=str(last.norm),
                    do="model.zero_init_residual=false",
                )
            nn.init.zeros_(weight)
        else:
            silent = last.conv.gamma if isinstance(last.conv, AlignedConv2d) else last.conv.weight
            assert isinstance(silent, nn.Parameter)
            nn.init.zeros_(silent)


class Shortcut(nn.Module):
    """Shortcut of a residual block (projection); arguments as for `ResidualBlock`."""

    def __init__(self, settings: BlockSettings, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        pools = settings.shortcut == "pool_conv" and stride > 1
        # Maps with an odd side keep their last row and column, as the strided convolution does.
        self.pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if pools else nn.Identity()
        kernel = 3 if settings.shortcut == "conv3x3" else 1
        self.conv = settings.conv.build(inputs, outputs, kernel, 1 if pools else stride)
        norm = not settings.preactivation if settings.shortcut_norm is None else settings.shortcut_norm
        self.norm = make_norm(settings.norm, outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, H, H] to [B, P, H/s, H/s]."""
        out: Tensor = self.norm(self.conv(self.pool(x)))
        return out


class SplitConv(nn.Module):
    """Hierarchical-split convolution of S groups of channels.

    The first group stays as it is; each other is convolved together with half of the one before's result. Every
    convolution has its own normalisation and activation. The halves that are not handed on are joined; the last group
    hands nothing on. For strides see `HierarchicalSplit.strided`.

    Args:
        settings: form and order of the convolutions, S.
        channels: M, divisible by S.
        stride: s.
        dilation: distance of the kernels' taps.
        activation: which activation.
    """

    def __init__(self, settings: BlockSettings, channels: int, stride: int, dilation: int, activation: str) -> None:
        super().__init__()
        assert settings.split is not None
        self.splits, width = settings.split.splits, channels // settings.split.splits
        self.apart = stride > 1 and settings.split.strided == "apart"
        self.pool = nn.AvgPool2d(3, stride, 1) if stride > 1 else nn.Identity()
        self.units, handed = nn.ModuleList(), 0
        for _ in range(self.splits - 1):
            conv = settings.conv.build(width + handed, width + handed, 3, stride if self.apart else 1, dilation)
            self.units.append(ConvNormUnit(conv, width + handed, settings, activation))
            handed = 0 if self.apart else (width + handed) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, M, H, H] to [B, M, H/s, H/s]."""
        if self.apart:
            first, *groups = x.chunk(self.splits, 1)
            made = [unit(group) for unit, group in zip(self.units, groups, strict=True)]
            return torch.cat([self.pool(first), *made], 1)
        first, *groups = self.pool(x).chunk(self.splits, 1)
        return torch.cat([first, *self._pass_on(groups)], 1)

    def _pass_on(self, groups: Sequence[Tensor]) -> list[Tensor]:
        joined: list[Tensor] = []
        handed: Tensor | None = None
        for number, (unit, group) in enumerate(zip(self.units, groups, strict=True), start=1):
            made = unit(group if handed is None else torch.cat((group, handed), 1))
            if number == len(groups):
                joined.append(made)
                break
            half = made.shape[1] // 2
            handed, kept = made[:, :half], made[:, half:]
            joined.append(kept)
        return joined


def _gate(settings: BlockSettings, channels: int) -> nn.Module:
    gate = settings.attention
    if gate is None:
        return nn.Identity()
    if isinstance(gate, SqueezeExcite):
        return gate.build(channels, int(channels // gate.reduction))
    made = gate.build(channels, "batch")
    return Gated(made) if isinstance(made, MeanGate) else made


def _spatial(settings: BlockSettings, channels: int, stride: int, dilation: int, activation: str) -> nn.Module:
    if settings.split:
        return SplitConv(settings, channels, stride, dilation, activation)
    return settings.conv.build(channels, channels, 3, stride, dilation)
