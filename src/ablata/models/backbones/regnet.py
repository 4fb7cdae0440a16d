"""RegNet X and Y: widths that follow a quantised line.

Source: Radosavovic et al. 2020, arXiv 2003.13678, equations 2 to 4; sizes from github.com/facebookresearch/pycls,
configs/dds_baselines. With 1,000 classes it has timm's parameters, such as 9,190,136 for x_1.6gf and 11,202,430 for
y_1.6gf.

Shapes: B batch, C channels of the image, H height and width of the image, W1 to W4 widths of the stages, K classes.

    input    [B, C, H, H]             stage3    [B, W3, H/16, H/16]
    stem     [B, 32, H/2, H/2]        stage4    [B, W4, H/32, H/32]
    stage1   [B, W1, H/4, H/4]        features  [B, W4]              mean over the image
    stage2   [B, W2, H/8, H/8]        logits    [B, K]
"""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.parts import NamedPart
from ablata.base.settings import Settings
from ablata.models.backbones.base import Backbone, BackboneModule, Classifier, PooledClassifier, init_convolutions
from ablata.nn.activations import ActivationChoice, make_channel_activation
from ablata.nn.convolutions import AnyConv, ConvUnit, PlainConv
from ablata.nn.drop_path import drop_path
from ablata.nn.gates import SqueezeExcite


class RegNetDesign(Settings):
    """Design parameters of a RegNet: w0, wa, wm, depth, group width."""

    w0: int = Field(default=48, ge=8, multiple_of=8)
    """Width that the line starts from, a multiple of 8."""
    wa: float = Field(default=20.71, ge=0)
    """Slope of the line: channels a block."""
    wm: float = Field(default=2.65, gt=1)
    """Factor from one stage's width to the next."""
    depth: int = Field(default=27, ge=4)
    """Blocks in all four stages."""
    group: int = Field(default=24, ge=1)
    """Channels in a group of the 3x3 convolutions."""

    def stages(self) -> list[tuple[int, int, int]]:
        """Return (width, blocks, channels of a group) of each stage.

        Raises:
            ValueError: the numbers do not give four stages.
        """
        line = [self.w0 + self.wa * block for block in range(self.depth)]
        powers = [round(math.log(width / self.w0) / math.log(self.wm)) for width in line]
        widths = Counter(round(self.w0 * self.wm**power / 8) * 8 for power in powers)
        if len(widths) != 4:
            raise ValueError(f"w0, wa, wm and depth must give 4 stages, got widths {sorted(widths)}")
        fitted = []
        for width, blocks in sorted(widths.items()):
            group = min(self.group, width)
            fitted.append((max(1, round(width / group)) * group, blocks, group))
        return fitted


SizeName = Literal[
    "x_200mf", "x_400mf", "x_600mf", "x_800mf", "x_1.6gf", "x_3.2gf", "x_4gf", "x_6.4gf", "x_8gf", "x_12gf", "x_16gf",
    "x_32gf", "y_200mf", "y_400mf", "y_600mf", "y_800mf", "y_1.6gf", "y_3.2gf", "y_4gf", "y_6.4gf", "y_8gf", "y_12gf",
    "y_16gf", "y_32gf", "custom",
]  # fmt: skip
_SIZES: dict[str, tuple[int, float, float, int, int]] = {
    "x_200mf": (24, 36.44, 2.49, 13, 8),
    "x_400mf": (24, 24.48, 2.54, 22, 16),
    "x_600mf": (48, 36.97, 2.24, 16, 24),
    "x_800mf": (56, 35.73, 2.28, 16, 16),
    "x_1.6gf": (80, 34.01, 2.25, 18, 24),
    "x_3.2gf": (88, 26.31, 2.25, 25, 48),
    "x_4gf": (96, 38.65, 2.43, 23, 40),
    "x_6.4gf": (184, 60.83, 2.07, 17, 56),
    "x_8gf": (80, 49.56, 2.88, 23, 120),
    "x_12gf": (168, 73.36, 2.37, 19, 112),
    "x_16gf": (216, 55.59, 2.1, 22, 128),
    "x_32gf": (320, 69.86, 2.0, 23, 168),
    "y_200mf": (24, 36.44, 2.49, 13, 8),
    "y_400mf": (48, 27.89, 2.09, 16, 8),
    "y_600mf": (48, 32.54, 2.32, 15, 16),
    "y_800mf": (56, 38.84, 2.4, 14, 16),
    "y_1.6gf": (48, 20.71, 2.65, 27, 24),
    "y_3.2gf": (80, 42.63, 2.66, 21, 24),
    "y_4gf": (96, 31.41, 2.24, 22, 64),
    "y_6.4gf": (112, 33.22, 2.27, 25, 72),
    "y_8gf": (192, 76.82, 2.19, 17, 56),
    "y_12gf": (168, 73.36, 2.37, 19, 112),
    "y_16gf": (200, 106.23, 2.48, 18, 112),
    "y_32gf": (232, 115.89, 2.53, 20, 232),
}
"""w0, wa, wm, depth, group."""


class RegNet(Backbone, Classifier):
    """RegNet by its size, or by its own design."""

    kind: Literal["regnet"] = "regnet"
    size: SizeName = "y_1.6gf"
    """A published size (x: without gates, y: with them), or custom: what `design` says."""
    design: RegNetDesign | None = None
    """The numbers of a custom net; null with a published size."""
    attention: SqueezeExcite | None = SqueezeExcite(reduction=4)
    """Gate behind each 3x3 convolution; its reduction counts from the block's input. Null: none, as in the X nets."""
    activation: ActivationChoice | NamedPart = "relu"
    """Activation everywhere."""
    conv: AnyConv = PlainConv()
    """Form of the convolutions; the stem of a dynamic network is plain."""
    stem: int = Field(default=32, ge=1)
    """Channels of the stem."""
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the images for which a block is left out in training, the same for all blocks."""
    zero_init_residual: bool = False
    """Start every block as its shortcut: the last normalisation weight of the branch begins at 0."""

    @model_validator(mode="after")
    def _is_one_net(self) -> RegNet:
        if (self.size == "custom") != (self.design is not None):
            raise ValueError(f"size=custom goes with a design, got size={self.size}, design={self.design}")
        if self.design is not None:
            self.design.stages()
        if self.size.startswith("x") and self.attention is not None:
            raise ValueError(f"size={self.size} has no gates: set attention=null too, or take a y size")
        return self

    def stages(self) -> list[tuple[int, int, int]]:
        """Return (width, blocks, channels of a group) of each stage."""
        if self.design is not None:
            return self.design.stages()
        w0, wa, wm, depth, group = _SIZES[self.size]
        return RegNetDesign(w0=w0, wa=wa, wm=wm, depth=depth, group=group).stages()

    def build(self, classes: int, channels: int = 3) -> PooledClassifier:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        model = PooledClassifier(self.build_backbone(channels), classes)
        nn.init.normal_(model.classifier.weight, std=0.01)
        nn.init.zeros_(model.classifier.bias)
        return model

    def build_backbone(self, channels: int = 3) -> BackboneModule:
        """Make the stages alone."""
        backbone = RegNetBackbone(self, channels)
        init_convolutions(backbone)
        if self.zero_init_residual:
            for module in backbone.modules():
                if isinstance(module, RegNetBlock):
                    nn.init.zeros_(module.expand.norm.weight)
        return backbone

    def published_name(self, name: str) -> str | None:
        """Translate a name of timm's regnets to ours."""
        for pattern, ours in _PUBLISHED:
            name = re.sub(pattern, ours, name)
        return name


_PUBLISHED = (
    (r"^head\.fc\.", "classifier."),
    (r"^stem\.", "backbone.stem."),
    (r"^s(\d)\.b(\d+)\.", lambda found: f"backbone.stage{found[1]}.{int(found[2]) - 1}."),
    (r"(stage\d\.\d+)\.conv1\.", r"\1.reduce."),
    (r"(stage\d\.\d+)\.conv2\.", r"\1.grouped."),
    (r"(stage\d\.\d+)\.conv3\.", r"\1.expand."),
    (r"(stage\d\.\d+)\.se\.fc1\.", r"\1.attention.reduce."),
    (r"(stage\d\.\d+)\.se\.fc2\.", r"\1.attention.expand."),
    (r"(stage\d\.\d+)\.downsample\.", r"\1.shortcut."),
    (r"\.bn\.", ".norm."),
)


class RegNetBlock(nn.Module):
    """X or Y block: 1x1, grouped 3x3, SE, 1x1, each with batch normalisation; shortcut, activation.

    Args:
        settings: the variants.
        inputs: channels of the input [B, inputs, H, H].
        outputs: channels of the output, and inside; [B, outputs, H / stride, H / stride].
        stride: step of the 3x3 convolution.
        group: channels in one of its groups.
    """

    def __init__(self, settings: RegNet, inputs: int, outputs: int, stride: int, group: int) -> None:
        super().__init__()
        conv, act, gate = settings.conv, settings.activation, settings.attention
        self.reduce = ConvUnit(conv.build(inputs, outputs, 1), act)
        self.grouped = ConvUnit(conv.build(outputs, outputs, 3, stride, groups=outputs // group), act)
        self.attention = gate.build(outputs, round(inputs / gate.reduction), act) if gate else nn.Identity()
        self.expand = ConvUnit(conv.build(outputs, outputs, 1), None)
        changes = inputs != outputs or stride > 1
        self.shortcut = ConvUnit(conv.build(inputs, outputs, 1, stride), None) if changes else nn.Identity()
        self.drop, self.act = drop_path(settings.drop_path), make_channel_activation(act, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        branch = self.expand(self.attention(self.grouped(self.reduce(x))))
        out: Tensor = self.act(self.drop(branch) + self.shortcut(x))
        return out


class RegNetBackbone(BackboneModule):
    """Stem and four stages; see the head of the file for the shapes.

    Args:
        settings: size and variants.
        channels: C.
    """

    def __init__(self, settings: RegNet, channels: int) -> None:
        super().__init__()
        conv = PlainConv() if settings.conv.kind == "dynamic" else settings.conv
        self.stem = ConvUnit(conv.build(channels, settings.stem, 3, 2), settings.activation)
        self.widths, inputs = {"stem": settings.stem}, settings.stem
        self.strides = {"stem": 2, "stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
        for number, (width, blocks, group) in enumerate(settings.stages(), start=1):
            stage = nn.Sequential()
            for index in range(blocks):
                stage.append(RegNetBlock(settings, inputs, width, 2 if index == 0 else 1, group))
                inputs = width
            self.add_module(f"stage{number}", stage)
            self.widths[f"stage{number}"] = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to stem and stages by name."""
        x = self.stem(images)
        outputs = {"stem": x}
        for number in range(1, 5):
            x = outputs[f"stage{number}"] = self.get_submodule(f"stage{number}")(x)
        return outputs
