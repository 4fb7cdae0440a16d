"""ResNet for 32 x 32 pictures.

Source: He et al. 2016a, arXiv 1512.03385, section 4.2; with pre-activation: He et al. 2016b, arXiv 1603.05027.

Three stages of n blocks of two 3x3 convolutions, depth 6n + 2, each stage half as large and twice as wide as the one
before. With 10 classes, width 16 and option A shortcuts the parameters are 0.27M (269,722) at depth 20, 0.46M (464,154)
at 32, 0.66M (658,586) at 44, 0.85M (853,018) at 56 and 1.7M (1,727,962) at 110, as in the paper's table 6.

Shapes: B batch, C channels of the picture, W width, H height and width of the picture, K classes, D = 4 W.

    input    [B, C, H, H]          stage2    [B, 2W, H/2, H/2]
    stem     [B, W, H, H]          stage3    [B, 4W, H/4, H/4]
    stage1   [B, W, H, H]          features  [B, D]    mean over the picture
                                   logits    [B, K]
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from ablata.base.settings import Settings


class CifarResNet(Settings):
    """Residual network of 6n + 2 layers for small pictures."""

    kind: Literal["cifar_resnet"] = "cifar_resnet"
    depth: int = Field(default=20, ge=8)
    """Layers with weights, 6n + 2: 20, 32, 44, 56, 110 in the paper."""
    width: int = Field(default=16, ge=1)
    """Channels of the first stage; the others have two and four times as many."""
    preactivation: bool = False
    """Normalise and activate before each convolution, and leave the residual path free of both."""
    shortcut: Literal["pad", "conv"] = "pad"
    """Where a stage begins: every second pixel and zero channels (pad, option A), or a 1x1 convolution (conv, B)."""
    zero_gamma: bool = False
    """Start every block as the identity: the last normalisation weight of a block begins at 0."""

    @field_validator("depth")
    @classmethod
    def _is_six_n_plus_two(cls, depth: int) -> int:
        if (depth - 2) % 6:
            below = depth - (depth - 2) % 6
            raise ValueError(f"must be 6n + 2, such as {below} or {below + 6}")
        return depth

    def build(self, classes: int, channels: int = 3) -> CifarResNetModel:
        """Make the model for pictures of `channels` channels; weights come from torch's global generator."""
        return CifarResNetModel(self, classes, channels)


class CifarResNetModel(nn.Module):
    """The network; see the head of the file for its shapes.

    Args:
        settings: depth, width and variants.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: CifarResNet, classes: int, channels: int) -> None:
        super().__init__()
        width, blocks = settings.width, (settings.depth - 2) // 6
        self.stem = _conv(channels, width)
        self.stem_norm = nn.Identity() if settings.preactivation else nn.BatchNorm2d(width)
        self.stage1 = _stage(settings, width, width, blocks)
        self.stage2 = _stage(settings, width, 2 * width, blocks)
        self.stage3 = _stage(settings, 2 * width, 4 * width, blocks)
        self.final_norm = nn.BatchNorm2d(4 * width) if settings.preactivation else nn.Identity()
        self.classifier = nn.Linear(4 * width, classes)
        self.preactivation = settings.preactivation
        _initialise(self, zero_gamma=settings.zero_gamma)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Map pictures [B, C, H, H] to the named outputs."""
        stem = self.stem_norm(self.stem(pictures))
        stem = stem if self.preactivation else F.relu(stem)
        stage1 = self.stage1(stem)
        stage2 = self.stage2(stage1)
        stage3 = self.stage3(stage2)
        last = F.relu(self.final_norm(stage3)) if self.preactivation else stage3
        features = last.mean((2, 3))
        return {
            "stem": stem,
            "stage1": stage1,
            "stage2": stage2,
            "stage3": stage3,
            "features": features,
            "logits": self.classifier(features),
        }


class Block(nn.Module):
    """x + conv-norm-relu-conv-norm(x), then relu (He et al. 2016a, figure 2).

    Args:
        inputs: channels of x.
        outputs: channels of the result; where they are more than those of x, the picture is halved.
        shortcut: how x reaches the new shape.
    """

    def __init__(self, inputs: int, outputs: int, shortcut: Literal["pad", "conv"]) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1, self.norm1 = _conv(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, shortcut, norm=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        residual = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(residual + self.shortcut(x))


class PreactivationBlock(nn.Module):
    """x + norm-relu-conv-norm-relu-conv(x) (He et al. 2016b, figure 1 b); arguments as for `Block`.

    Where the shape changes, the shortcut too starts from the normalised and activated x.
    """

    def __init__(self, inputs: int, outputs: int, shortcut: Literal["pad", "conv"]) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), _conv(inputs, outputs, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), _conv(outputs, outputs)
        self.changes = inputs != outputs
        self.shortcut = _shortcut(inputs, outputs, shortcut, norm=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        active = F.relu(self.norm1(x))
        residual = self.conv2(F.relu(self.norm2(self.conv1(active))))
        out: Tensor = residual + self.shortcut(active if self.changes else x)
        return out


class PadShortcut(nn.Module):
    """Option A: every second pixel, and zero channels in equal parts before and after; no parameters."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.before, self.after = added // 2, added - added // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, H, H] to [B, N + added, H / 2, H / 2]."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.before, self.after))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _shortcut(inputs: int, outputs: int, kind: Literal["pad", "conv"], *, norm: bool) -> nn.Module:
    if inputs == outputs:
        return nn.Identity()
    if kind == "pad":
        return PadShortcut(outputs - inputs)
    conv = nn.Conv2d(inputs, outputs, 1, 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs)) if norm else conv


def _stage(settings: CifarResNet, inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    block = PreactivationBlock if settings.preactivation else Block
    widths = [inputs] + [outputs] * blocks
    return nn.Sequential(*(block(widths[i], widths[i + 1], settings.shortcut) for i in range(blocks)))


def _initialise(model: nn.Module, *, zero_gamma: bool) -> None:
    """Draw convolutions and classifier from N(0, 2 / fan-in) (He et al. 2015, arXiv 1502.01852, equation 10)."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Block | PreactivationBlock) and zero_gamma:
            nn.init.zeros_(module.norm2.weight)
