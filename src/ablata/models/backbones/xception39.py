"""Xception39, the small backbone of BiSeNet.

Source: Chollet 2017, arXiv 1610.02357, cut down as in Yu et al. 2018, arXiv 1808.00897, and its published code: stages
of 4, 8 and 4 blocks of three separable 3x3 convolutions.

Shapes: B batch, C channels of the image, W width, H height and width of the image, K classes.

    input    [B, C, H, H]             stage3    [B, 8W, H/16, H/16]
    stem     [B, W/2, H/2, H/2]       stage4    [B, 16W, H/32, H/32]
    stage1   [B, W/2, H/4, H/4]       features  [B, 16W]            mean over the image
    stage2   [B, 4W, H/8, H/8]        logits    [B, K]
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.models.backbones.base import Backbone, BackboneModule, Classifier, PooledClassifier, init_convolutions
from ablata.nn.conv_norm_act import ConvNormAct


class Xception39(Backbone, Classifier):
    """Xception39: a network of depthwise separable convolutions for large images."""

    kind: Literal["xception39"] = "xception39"
    width: int = Field(default=16, ge=2, multiple_of=2)
    """W: channels in the middle of the first stage's blocks; doubled with each stage."""
    blocks: tuple[int, int, int] = (4, 8, 4)
    """Blocks of the stages at stride 8, 16 and 32."""

    def build(self, classes: int, channels: int = 3) -> PooledClassifier:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return PooledClassifier(self.build_backbone(channels), classes)

    def build_backbone(self, channels: int = 3) -> Xception39Backbone:
        """Make the stages alone."""
        backbone = Xception39Backbone(self, channels)
        init_convolutions(backbone)
        return backbone


class SeparableUnit(nn.Module):
    """Depthwise separable convolution: 3x3 depthwise, normalisation, 1x1, normalisation, perhaps activation.

    Args:
        inputs: channels in.
        outputs: channels out.
        stride: step of the 3x3 convolution.
        act: activate at the end.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, *, act: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.norm = nn.BatchNorm2d(inputs)
        self.pointwise = ConvNormAct(inputs, outputs, 1, activation="relu" if act else "none")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        out: Tensor = self.pointwise(self.norm(self.depthwise(x)))
        return out


class SeparableBlock(nn.Module):
    """Residual block of three separable convolutions, with 4 M channels out.

    Args:
        inputs: channels in.
        middle: M.
        stride: 1, or 2 with a separable convolution as shortcut.
    """

    def __init__(self, inputs: int, middle: int, stride: int) -> None:
        super().__init__()
        self.shortcut = SeparableUnit(inputs, 4 * middle, stride, act=False) if stride > 1 else nn.Identity()
        self.branch = nn.Sequential(
            SeparableUnit(inputs, middle, stride, act=True),
            SeparableUnit(middle, middle, act=True),
            SeparableUnit(middle, 4 * middle, act=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, 4 M, H / stride, H / stride]."""
        return F.relu(self.shortcut(x) + self.branch(x))


class Xception39Backbone(BackboneModule):
    """Stem, pooling and three stages; see the head of the file for the shapes.

    Args:
        settings: width and depth.
        channels: C.
    """

    def __init__(self, settings: Xception39, channels: int) -> None:
        super().__init__()
        inputs = settings.width // 2
        self.stem = ConvNormAct(channels, inputs, stride=2)
        self.stage1 = nn.MaxPool2d(3, 2, padding=1)
        self.widths = {"stem": inputs, "stage1": inputs}
        self.strides = {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
        for index, blocks in enumerate(settings.blocks):
            middle = settings.width * 2**index
            stage = nn.Sequential()
            for number in range(blocks):
                stage.append(SeparableBlock(inputs, middle, 2 if number == 0 else 1))
                inputs = 4 * middle
            self.add_module(f"stage{index + 2}", stage)
            self.widths[f"stage{index + 2}"] = inputs

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to stem and stages by name."""
        x = self.stem(images)
        outputs = {"stem": x}
        for number in range(1, 5):
            x = outputs[f"stage{number}"] = self.get_submodule(f"stage{number}")(x)
        return outputs
