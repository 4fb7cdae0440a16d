"""Residual blocks of two 3x3 convolutions, with every place where published recipes change something.

Sources: He et al. 2016a, arXiv 1512.03385; with pre-activation He et al. 2016b, arXiv 1603.05027; dropout inside the
residual Zagoruyko & Komodakis 2016, arXiv 1605.07146, section 2.4.

Letters: B batch, C channels, H height and width of the image.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings

Share = Annotated[float, Field(ge=0, lt=1)]
ShortcutName = Literal["pad", "conv", "conv3x3"]


class ResidualSettings(Settings):
    """What residual blocks can do differently; not itself a choice."""

    kind: str
    """Which network."""
    shortcut: ShortcutName = "pad"
    """Where shapes change: picked pixels and zero channels (pad, option A), or a convolution of 1x1 (conv, option B) or
    3x3, which is normalised in networks without pre-activation."""
    zero_gamma: bool = False
    """Start the last normalisation weight of a block at 0: the block begins as the identity. With pre-activation and
    ReLU it stays the identity for ever: that weight lies before a ReLU, whose gradient at 0 is 0."""
    activation: Literal["relu", "leaky", "swish"] = "relu"
    """Activation after each normalisation; leaky has `slope` below 0, swish is x sigmoid(x)."""
    slope: float = Field(default=0.01, ge=0, lt=1)
    """Slope of the leaky ReLU below 0; the other activations have none."""
    init_slope: float = Field(default=0.0, ge=0, lt=1)
    """Slope a of the leaky ReLU that initial weights are drawn for, variance 2 / ((1 + a^2) fan-in); whatever the
    activation."""
    dropout: Share = 0.0
    """Share of the values in each residual path that is dropped in training."""
    channel_drop: int = Field(default=0, ge=0)
    """Most channels of each residual path, for each image, that are zeroed in training; 0 is off."""
    dropout_place: Literal["between", "before_last", "after_last"] = "before_last"
    """Where in the residual path both act: behind the first convolution, before the last one, or at the end."""

    def make_activation(self) -> nn.Module:
        """Return the activation. In place it would save memory, but cost 9 to 13% of a step on the processor."""
        if self.activation == "leaky":
            return nn.LeakyReLU(self.slope)
        return nn.ReLU() if self.activation == "relu" else nn.SiLU()

    def make_drop(self, place: str) -> nn.Module:
        """Return what drops values at a place of the residual path: nothing but at `dropout_place`."""
        chosen: list[nn.Module] = []
        if place == self.dropout_place and self.dropout:
            chosen.append(nn.Dropout(self.dropout))
        if place == self.dropout_place and self.channel_drop:
            chosen.append(ChannelDrop(self.channel_drop))
        return nn.Sequential(*chosen) if chosen else nn.Identity()


class BasicBlock(nn.Module):
    """x + conv-norm-act-conv-norm(x), then act (He et al. 2016a, figure 2).

    Args:
        inputs: channels of x.
        outputs: channels of the result.
        stride: step of the first convolution: 1, or 2 to halve the image.
        settings: the variants.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, settings: ResidualSettings) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv3x3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = make_shortcut(settings.shortcut, inputs, outputs, stride, norm=True)
        self.activation = settings.make_activation()
        self.between, self.before_last = settings.make_drop("between"), settings.make_drop("before_last")
        self.after_last = settings.make_drop("after_last")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        residual = self.between(self.conv1(x))
        residual = self.before_last(self.activation(self.norm1(residual)))
        residual = self.after_last(self.norm2(self.conv2(residual)))
        out: Tensor = self.activation(residual + self.shortcut(x))
        return out


class PreactivationBlock(nn.Module):
    """x + norm-act-conv-norm-act-conv(x) (He et al. 2016b, figure 1 b); arguments as for `BasicBlock`.

    Where the shape changes, the shortcut too starts from the normalised and activated x.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, settings: ResidualSettings) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), conv3x3(inputs, outputs, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), conv3x3(outputs, outputs)
        self.changes = inputs != outputs or stride > 1
        self.shortcut = make_shortcut(settings.shortcut, inputs, outputs, stride, norm=False)
        self.activation = settings.make_activation()
        self.between, self.before_last = settings.make_drop("between"), settings.make_drop("before_last")
        self.after_last = settings.make_drop("after_last")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        active = self.activation(self.norm1(x))
        residual = self.between(self.conv1(active))
        residual = self.before_last(self.activation(self.norm2(residual)))
        out: Tensor = self.after_last(self.conv2(residual)) + self.shortcut(active if self.changes else x)
        return out


class PadShortcut(nn.Module):
    """Option A: every second pixel at stride 2, and zero channels in equal parts before and after; no parameters.

    Args:
        added: zero channels.
        stride: step from one picked pixel to the next.
    """

    def __init__(self, added: int, stride: int = 2) -> None:
        super().__init__()
        self.before, self.after, self.stride = added // 2, added - added // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, H] to [B, C + added, H / stride, H / stride]."""
        picked = _pick(x, self.stride)
        batch, _, height, width = picked.shape
        before, after = (picked.new_zeros(batch, added, height, width) for added in (self.before, self.after))
        return torch.cat((before, picked, after), 1)


def _pick(x: Tensor, stride: int) -> Tensor:
    """Return x[:, :, ::s, ::s] by way of [B, C, H / s, s, W / s, s], whose gradient compiles to faster loops.

    Where a slice with a step is compiled, its backward pass asks of every value whether it was picked.
    """
    missing = [-side % stride for side in x.shape[2:]]
    if any(missing):
        x = F.pad(x, (0, missing[1], 0, missing[0]))
    batch, channels, height, width = x.shape
    return x.view(batch, channels, height // stride, stride, width // stride, stride)[:, :, :, 0, :, 0]


class ChannelDrop(nn.Module):
    """Zero some whole channels of each image in training; the others are not enlarged, unlike with dropout.

    How many is drawn evenly from 0 to `most` for each image, then which.

    Args:
        most: the highest number of channels.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, H] to the same shape."""
        if not self.training:
            return x
        images, channels = x.shape[:2]
        rank = torch.rand(images, channels, device=x.device).argsort(1).argsort(1)
        count = torch.randint(self.most + 1, (images, 1), device=x.device)
        return x.masked_fill((rank < count)[:, :, None, None], 0)


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3x3 convolution without bias: [B, inputs, H, H] to [B, outputs, ceil(H / stride), ceil(H / stride)]."""
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def make_shortcut(kind: ShortcutName, inputs: int, outputs: int, stride: int, *, norm: bool) -> nn.Module:
    """Return what brings the input of a block to the shape of its output; the identity where they agree.

    Args:
        kind: see `ResidualSettings.shortcut`.
        inputs: channels of the input.
        outputs: channels of the output.
        stride: that of the block.
        norm: normalise behind a convolution.
    """
    if inputs == outputs and stride == 1:
        return nn.Identity()
    if kind == "pad":
        return PadShortcut(outputs - inputs, stride)
    side = 3 if kind == "conv3x3" else 1
    conv = nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs)) if norm else conv
