"""EfficientNet, and its lite form.

Sources: Tan & Le 2019, arXiv 1905.11946, table 1 and section 3.3; the lite form
github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite. With its defaults and 1,000 classes it has
timm's parameters: b0 5,288,548, b1 7,794,184, b2 9,109,994, b3 12,233,232, b4 19,341,616, b5 30,389,784, b6 43,040,704,
b7 66,347,960; lite0 4,652,008, lite1 5,416,680, lite2 6,092,072, lite3 8,197,096, lite4 13,006,568. Padding is even on
both sides; weights that were trained with TensorFlow's uneven padding are those of another network.

Shapes: B batch, C channels of the image, H height and width of the image, D features, K classes; widths of b0.

    input    [B, C, H, H]             stage3    [B, 112, H/16, H/16]
    stem     [B, 16, H/2, H/2]        stage4    [B, 320, H/32, H/32], or [B, D, H/32, H/32] with head=backbone
    stage1   [B, 24, H/4, H/4]        features  [B, D]    D = 1280, mean over the image
    stage2   [B, 40, H/8, H/8]        logits    [B, K]
"""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.parts import NamedPart
from ablata.models.backbones.base import Backbone, BackboneModule, Classifier, PooledClassifier, init_convolutions
from ablata.nn.activations import ActivationChoice
from ablata.nn.convolutions import AnyConv, ConvUnit, PlainConv
from ablata.nn.drop_path import drop_path
from ablata.nn.gates import SqueezeExcite


class _Scale(NamedTuple):
    width: float
    depth: float
    dropout: float


class _StageRow(NamedTuple):
    expansion: int
    kernel: int
    stride: int
    width: int
    blocks: int


_SCALES = {
    "b0": _Scale(1.0, 1.0, 0.2),
    "b1": _Scale(1.0, 1.1, 0.2),
    "b2": _Scale(1.1, 1.2, 0.3),
    "b3": _Scale(1.2, 1.4, 0.3),
    "b4": _Scale(1.4, 1.8, 0.4),
    "b5": _Scale(1.6, 2.2, 0.4),
    "b6": _Scale(1.8, 2.6, 0.5),
    "b7": _Scale(2.0, 3.1, 0.5),
    "lite0": _Scale(1.0, 1.0, 0.2),
    "lite1": _Scale(1.0, 1.1, 0.2),
    "lite2": _Scale(1.1, 1.2, 0.3),
    "lite3": _Scale(1.2, 1.4, 0.3),
    "lite4": _Scale(1.4, 1.8, 0.3),
}
_GROUPS = (
    _StageRow(1, 3, 1, 16, 1),
    _StageRow(6, 3, 2, 24, 2),
    _StageRow(6, 5, 2, 40, 2),
    _StageRow(6, 3, 2, 80, 3),
    _StageRow(6, 5, 1, 112, 3),
    _StageRow(6, 5, 2, 192, 4),
    _StageRow(6, 3, 1, 320, 1),
)
_OUTPUTS = {0: "stem", 1: "stage1", 2: "stage2", 4: "stage3", 6: "stage4"}
"""The output that a group of blocks ends."""


class EfficientNetSettings(Backbone, Classifier):
    """Base of EfficientNets' settings; not itself a choice."""

    width: float | None = Field(default=None, gt=0)
    """Factor on all widths, rounded to multiples of 8; null: the variant's."""
    depth: float | None = Field(default=None, gt=0)
    """Factor on the blocks of each group, rounded up; null: the variant's."""
    activation: ActivationChoice | NamedPart = "silu"
    """Activation everywhere."""
    attention: SqueezeExcite | None = SqueezeExcite(reduction=4)
    """Gate behind each depthwise convolution; its reduction counts from the block's input. Null: none."""
    conv: AnyConv = PlainConv()
    """Form of the convolutions; the stem of a dynamic network is plain."""
    drop_connect: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of the images for which a block is left out in training."""
    drop_connect_form: Literal["rising", "fixed"] = "rising"
    """rising: from 0 at the first block towards that fraction at the last; fixed: the same for all."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """Fraction of the features that is dropped before the classifier in training; null: the variant's."""
    project_activation: bool = False
    """Activate behind the projection that ends a block, too."""
    zero_init_residual: bool = False
    """Start every block that has a shortcut as the identity: its projection's normalisation weight begins at 0."""
    head: Literal["classifier", "backbone"] = "classifier"
    """Whose part the last 1x1 convolution is: of stage 4, or of what is left out of a backbone."""
    last_norm: bool = False
    """Normalise once more, after that convolution's activation."""
    init: Literal["published", "torch"] = "published"
    """First weights of convolutions: normal with variance 2 / (kernel area x outputs), as published; or as torch draws
    them, uniform with variance 1 / (3 x kernel area x inputs)."""
    norm_eps: float = Field(default=1e-5, gt=0)
    """Added to variances in batch normalisation; TensorFlow's recipe has 1e-3, and train.bn_momentum=0.01."""

    @model_validator(mode="after")
    def _can_leave_zero(self) -> EfficientNetSettings:
        if self.zero_init_residual and self.project_activation and self.activation in ("relu", "relu6"):
            raise ValueError(
                f"zero_init_residual before activation={self.activation} would stay 0 for ever; "
                "set project_activation=false"
            )
        return self

    def scale(self) -> _Scale:
        """Return the factors on width and depth, and the dropout, the settings' own where they are given."""
        published = _SCALES[self.variant_name()]
        return _Scale(
            self.width or published.width,
            self.depth or published.depth,
            published.dropout if self.dropout is None else self.dropout,
        )

    def variant_name(self) -> str:
        """Return the variant's key in the table of scales."""
        raise NotImplementedError

    def build(self, classes: int, channels: int = 3) -> PooledClassifier:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        backbone = EfficientNetBackbone(self, channels)
        head = None if self.head == "backbone" else EfficientNetHead(self, backbone.widths["stage4"])
        model = PooledClassifier(backbone, classes, head, _head_width(self), self.scale().dropout)
        _init_weights(self, model, classes)
        return model

    def build_backbone(self, channels: int = 3) -> BackboneModule:
        """Make the stages alone, with the head where it is theirs."""
        backbone = EfficientNetBackbone(self, channels)
        _init_weights(self, backbone, classes=1)
        return backbone

    def published_name(self, name: str) -> str | None:
        """Translate a name of timm's efficientnets to ours."""
        head = "backbone.head" if self.head == "backbone" else "head"
        if name.startswith("blocks."):
            first_group = name.startswith("blocks.0.")
            for pattern, ours in _FIRST_BLOCKS if first_group else _OTHER_BLOCKS:
                name = re.sub(pattern, rf"\1{ours}.", name)
            name = re.sub(r"\.se\.conv_(reduce|expand)\.", r".attention.\1.", name)
            return name.replace("blocks.", "backbone.groups.", 1)
        for theirs, ours in (
            ("conv_stem.", "backbone.stem.conv."),
            ("bn1.", "backbone.stem.norm."),
            ("conv_head.", f"{head}.unit.conv."),
            ("bn2.", f"{head}.unit.norm."),
        ):
            if name.startswith(theirs):
                return ours + name.removeprefix(theirs)
        return name


_BLOCK = r"^(blocks\.\d+\.\d+\.)"
_FIRST_BLOCKS = (
    (_BLOCK + r"conv_dw\.", "depthwise.conv"),
    (_BLOCK + r"bn1\.", "depthwise.norm"),
    (_BLOCK + r"conv_pw\.", "project.conv"),
    (_BLOCK + r"bn2\.", "project.norm"),
)
_OTHER_BLOCKS = (
    (_BLOCK + r"conv_pw\.", "expand.conv"),
    (_BLOCK + r"bn1\.", "expand.norm"),
    (_BLOCK + r"conv_dw\.", "depthwise.conv"),
    (_BLOCK + r"bn2\.", "depthwise.norm"),
    (_BLOCK + r"conv_pwl\.", "project.conv"),
    (_BLOCK + r"bn3\.", "project.norm"),
)


class EfficientNet(EfficientNetSettings):
    """EfficientNet b0 to b7."""

    kind: Literal["efficientnet"] = "efficientnet"
    variant: Literal["b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7"] = "b0"
    """Size; trained at 224, 240, 260, 300, 380, 456, 528 and 600 pixels."""

    def variant_name(self) -> str:
        """Return the variant's key in the table of scales."""
        return self.variant


class EfficientNetLite(EfficientNetSettings):
    """EfficientNet lite0 to lite4: no gates, relu6; first and last group, stem and head are not scaled."""

    kind: Literal["efficientnet_lite"] = "efficientnet_lite"
    variant: Literal["lite0", "lite1", "lite2", "lite3", "lite4"] = "lite0"
    """Size; trained at 224, 240, 260, 280 and 300 pixels."""
    activation: ActivationChoice | NamedPart = "relu6"
    """Activation everywhere."""
    attention: SqueezeExcite | None = None
    """Gate behind each depthwise convolution; its reduction counts from the block's input. Null: none."""

    def variant_name(self) -> str:
        """Return the variant's key in the table of scales."""
        return self.variant


class InvertedResidual(nn.Module):
    """Inverted residual block (MBConv): 1x1 expansion, depthwise convolution, SE, 1x1 projection, shortcut.

    Args:
        settings: the variants.
        group: expansion and kernel.
        inputs: channels of the input [B, inputs, H, H].
        outputs: channels of the output [B, outputs, H / stride, H / stride].
        stride: step of the depthwise convolution.
        drop: fraction of the images for which the branch is left out in training.
    """

    def __init__(
        self, settings: EfficientNetSettings, group: _StageRow, inputs: int, outputs: int, stride: int, drop: float
    ) -> None:
        super().__init__()
        conv, act, wide = settings.conv, settings.activation, inputs * group.expansion
        self.expand = ConvUnit(conv.build(inputs, wide, 1), act) if wide > inputs else nn.Identity()
        self.depthwise = ConvUnit(conv.build(wide, wide, group.kernel, stride, groups=wide), act)
        gate = settings.attention
        self.attention = gate.build(wide, round(inputs / gate.reduction), act) if gate else nn.Identity()
        self.project = ConvUnit(conv.build(wide, outputs, 1), act if settings.project_activation else None)
        self.adds = stride == 1 and inputs == outputs
        self.drop = drop_path(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, outputs, H / stride, H / stride]."""
        out: Tensor = self.project(self.attention(self.depthwise(self.expand(x))))
        return x + self.drop(out) if self.adds else out


class EfficientNetHead(nn.Module):
    """The last 1x1 convolution and what follows it, [B, inputs, H, H] to [B, D, H, H]."""

    def __init__(self, settings: EfficientNetSettings, inputs: int) -> None:
        super().__init__()
        self.unit = ConvUnit(settings.conv.build(inputs, _head_width(settings), 1), settings.activation)
        self.last_norm = nn.BatchNorm2d(_head_width(settings)) if settings.last_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, H] to [B, D, H, H]."""
        out: Tensor = self.last_norm(self.unit(x))
        return out


class EfficientNetBackbone(BackboneModule):
    """Stem, seven groups of blocks and perhaps the head; see the head of the file for the shapes.

    Args:
        settings: size and variants.
        channels: C.
    """

    def __init__(self, settings: EfficientNetSettings, channels: int) -> None:
        super().__init__()
        scale, lite = settings.scale(), settings.variant_name().startswith("lite")
        inputs = 32 if lite and settings.width is None else _rounded(32 * scale.width)
        conv = PlainConv() if settings.conv.kind == "dynamic" else settings.conv
        self.stem = ConvUnit(conv.build(channels, inputs, 3, 2), settings.activation)
        depths = [
            group.blocks if lite and index in (0, len(_GROUPS) - 1) else math.ceil(group.blocks * scale.depth)
            for index, group in enumerate(_GROUPS)
        ]
        done, self.groups, self.widths = 0, nn.ModuleList(), {}
        self.strides = {name: 2 ** (level + 1) for level, name in enumerate(_OUTPUTS.values())}
        for index, group in enumerate(_GROUPS):
            outputs, blocks = _rounded(group.width * scale.width), nn.Sequential()
            for number in range(depths[index]):
                rising = settings.drop_connect_form == "rising"
                drop = settings.drop_connect * (done / sum(depths) if rising else 1)
                stride = group.stride if number == 0 else 1
                blocks.append(InvertedResidual(settings, group, inputs, outputs, stride, drop))
                inputs, done = outputs, done + 1
            self.groups.append(blocks)
            if index in _OUTPUTS:
                self.widths[_OUTPUTS[index]] = outputs
        self.head = EfficientNetHead(settings, inputs) if settings.head == "backbone" else nn.Identity()
        if settings.head == "backbone":
            self.widths["stage4"] = _head_width(settings)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to stem and stages by name."""
        x, outputs = self.stem(images), {}
        for index, blocks in enumerate(self.groups):
            x = blocks(x)
            if index in _OUTPUTS:
                outputs[_OUTPUTS[index]] = x
        outputs["stage4"] = self.head(x)
        return outputs


def _rounded(width: float) -> int:
    """Return the multiple of 8 nearest to a width, at least 8, and not more than a tenth below it."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * width else nearest + 8


def _head_width(settings: EfficientNetSettings) -> int:
    lite = settings.variant_name().startswith("lite") and settings.width is None
    return 1280 if lite else _rounded(1280 * settings.scale().width)


@torch.no_grad()
def _init_weights(settings: EfficientNetSettings, model: nn.Module, classes: int) -> None:
    """Draw the weights as the paper's TensorFlow code does, and set up the normalisations."""
    if settings.init == "published":
        init_convolutions(model)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = settings.norm_eps
        elif isinstance(module, InvertedResidual) and settings.zero_init_residual and module.adds:
            module.project.norm.weight.zero_()
    if isinstance(model, PooledClassifier):
        bound = 1 / math.sqrt(classes)
        model.classifier.weight.uniform_(-bound, bound)
        model.classifier.bias.zero_()
