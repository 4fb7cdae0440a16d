"""ResNet for large images.

Sources: He et al. 2016a, arXiv 1512.03385, table 1; with pre-activation He et al. 2016b, arXiv 1603.05027; deep stem
and pooled shortcuts He et al. 2019, arXiv 1812.01187 (ResNet-D). A bottleneck's stride lies in its 3x3 convolution, as
in torchvision, whose parameters and logits this network has with its defaults: 11,689,512 parameters at depth 18,
21,797,672 at 34, 25,557,032 at 50, 44,549,160 at 101 and 60,192,808 at 152, for 1,000 classes.

Shapes: B batch, C channels of the image, W width, H height and width of the image, e = 1 (depth 18, 34) or 4,
K classes, D = 8 e W. With a stem for small images every H is two or four times as large.

    input    [B, C, H, H]             stage3    [B, 4eW, H/16, H/16]
    stem     [B, W, H/4, H/4]         stage4    [B, 8eW, H/32, H/32]   normalised and activated where a last norm is
    stage1   [B, eW, H/4, H/4]        features  [B, D]                 mean over the image
    stage2   [B, 2eW, H/8, H/8]       logits    [B, K]
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.models.backbones.base import Backbone, BackboneModule, Classifier, PooledClassifier, init_convolutions
from ablata.models.backbones.resnet_blocks import BlockSettings, ResidualBlock
from ablata.nn.activations import make_channel_activation
from ablata.nn.convolutions import PlainConv

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ResNet(Backbone, Classifier, BlockSettings):
    """ResNet for large images."""

    kind: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    """Layers with weights; from 50 on blocks are bottlenecks."""
    width: int = Field(default=64, ge=2)
    """Channels of the stem and in the middle of the first stage's blocks; each stage has twice as many."""
    stem: Literal["7x7", "deep", "3x3_s2_pool", "3x3_s2", "3x3"] = "7x7"
    """First convolution: 7x7 of stride 2; three of 3x3, the first of stride 2, half as wide before the last; for small
    images one of 3x3 of stride 2 with and without the maximum behind it, or of stride 1 without."""
    stem_order: Literal["norm_act_pool", "act_pool_norm"] = "norm_act_pool"
    """What follows the first convolution."""
    stem_norm: bool = True
    """Normalise in the stem; without, and with pre-activation, it does not activate either."""
    input_norm: bool = False
    """Normalise the image itself, before the first convolution."""
    zero_init_residual: bool = False
    """Start every block as its shortcut: the last normalisation weight of the residual branch begins at 0."""
    last_stage: Literal["stride", "no_stride", "dilated", "two_dilated"] = "stride"
    """Stage 4 halves the maps, or keeps them, or keeps them and spreads its kernels (dilation 2); two_dilated: stages 3
    and 4 keep them, with dilations 2 and 4."""
    last_norm: bool | None = None
    """Normalise and activate what leaves stage 4; null: with pre-activation."""
    norm_eps: float = Field(default=1e-5, gt=0)
    """Added to variances in batch normalisation."""
    init: Literal["published", "torch"] = "published"
    """First weights of convolutions: normal with variance 2 / (kernel area x outputs), as published; or as torch draws
    them, uniform with variance 1 / (3 x kernel area x inputs)."""

    @model_validator(mode="after")
    def _fits_together(self) -> ResNet:
        if self.preactivation and self.order in ("add_act_norm", "act_add_norm"):
            raise ValueError(f"order={self.order} says what follows the addition; it needs preactivation=false")
        if self.split and (self.depth < 50 or self.preactivation):
            raise ValueError("split replaces the 3x3 of a bottleneck: it needs depth >= 50 and preactivation=false")
        ends_with_conv = self.preactivation or self.order in ("add_act_norm", "act_add_norm")
        if self.zero_init_residual and ends_with_conv and self.conv.kind == "weight_standardized":
            raise ValueError("zero_init_residual would set weights to 0 that conv=weight_standardized divides by")
        return self

    @property
    def stem_stride(self) -> int:
        """How much smaller the stem makes an image: 4, or less with the stems for small ones."""
        return {"3x3": 1, "3x3_s2": 2}.get(self.stem, 4)

    def build(self, classes: int, channels: int = 3) -> PooledClassifier:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return PooledClassifier(self.build_backbone(channels), classes)

    def build_backbone(self, channels: int = 3) -> BackboneModule:
        """Make the stages alone."""
        backbone = ResNetBackbone(self, channels)
        if self.init == "published":
            init_convolutions(backbone)
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = self.norm_eps
            elif isinstance(module, ResidualBlock) and self.zero_init_residual:
                module.zero_init_residual()
        return backbone

    def published_name(self, name: str) -> str | None:
        """Translate a name of torchvision's and timm's resnets (with se, -D and pre-activation forms) to ours."""
        for pattern, ours in _PUBLISHED:
            name, hits = re.subn(pattern, ours, name)
            if hits:
                break
        if self.shortcut == "pool_conv":
            # There the list begins with the pooling.
            name = re.sub(r"downsample\.([12])\.", lambda found: f"downsample.{int(found[1]) - 1}.", name)
        for pattern, ours in _PUBLISHED_IN_BLOCKS:
            name = re.sub(pattern, ours, name)
        return name


_PUBLISHED = (
    (r"^(?:head\.)?fc\.", "classifier."),
    (r"^(?:stem\.)?conv1\.(?=weight)", "backbone.stem.convs.0."),
    (r"^conv1\.0\.", "backbone.stem.convs.0."),
    (r"^conv1\.1\.", "backbone.stem.norms.0."),
    (r"^conv1\.3\.", "backbone.stem.convs.1."),
    (r"^conv1\.4\.", "backbone.stem.norms.1."),
    (r"^conv1\.6\.", "backbone.stem.convs.2."),
    (r"^bn1\.", "backbone.stem.last_norm."),
    (r"^norm\.", "backbone.last_norm."),
    (r"^stem\.conv\.", "backbone.stem.convs.0."),
    (r"^stages\.(\d)\.blocks\.", lambda found: f"backbone.stage{int(found[1]) + 1}."),
    (r"^layer(\d)\.", r"backbone.stage\1."),
)
"""First match wins."""
_PUBLISHED_IN_BLOCKS = (
    (r"(stage\d\.\d+)\.conv(\d)\.", r"\1.units.\2.conv."),
    (r"(stage\d\.\d+)\.(?:bn|norm)(\d)\.", r"\1.units.\2.norm."),
    (r"(stage\d\.\d+)\.downsample\.(?:0|conv)\.", r"\1.shortcut.conv."),
    (r"(stage\d\.\d+)\.downsample\.1\.", r"\1.shortcut.norm."),
    (r"(stage\d\.\d+)\.se\.fc1\.", r"\1.attention.reduce."),
    (r"(stage\d\.\d+)\.se\.fc2\.", r"\1.attention.expand."),
)


class ResNetStem(nn.Module):
    """ResNet stem: one convolution or three, normalisation, activation, 3x3 max pooling, in the settings' order.

    Args:
        settings: the variants.
        channels: C.
    """

    def __init__(self, settings: ResNet, channels: int) -> None:
        super().__init__()
        width, activation = settings.width, settings.activation
        conv = PlainConv() if settings.conv.kind == "dynamic" else settings.conv
        if settings.stem == "deep":
            half = width // 2
            convs = [conv.build(channels, half, 3, 2), conv.build(half, half, 3), conv.build(half, width, 3)]
        else:
            kernel = 7 if settings.stem == "7x7" else 3
            convs = [conv.build(channels, width, kernel, min(settings.stem_stride, 2))]
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width // 2) for _ in convs[1:])
        self.acts = nn.ModuleList(make_channel_activation(activation, width // 2) for _ in convs[1:])
        acts = settings.stem_norm or not settings.preactivation
        self.last_norm = nn.BatchNorm2d(width) if settings.stem_norm else nn.Identity()
        self.last_act = make_channel_activation(activation, width) if acts else nn.Identity()
        self.pool = nn.MaxPool2d(3, 2, padding=1) if settings.stem_stride == 4 else nn.Identity()
        self.norm_first = settings.stem_order == "norm_act_pool"
        # A rectifier keeps order: behind the maximum it gives the same values and gradients on a quarter of the pixels.
        self.pool_first = isinstance(self.last_act, nn.ReLU | nn.ReLU6 | nn.LeakyReLU)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [B, C, H, H] to [B, W, H/s, H/s], s the stride of the stem."""
        *before, last = self.convs
        for conv, norm, act in zip(before, self.norms, self.acts, strict=True):
            x = act(norm(conv(x)))
        x = last(x)
        out: Tensor = self._act_pool(self.last_norm(x)) if self.norm_first else self.last_norm(self._act_pool(x))
        return out

    def _act_pool(self, x: Tensor) -> Tensor:
        out: Tensor = self.last_act(self.pool(x)) if self.pool_first else self.pool(self.last_act(x))
        return out


class ResNetBackbone(BackboneModule):
    """Stem and four stages; see the head of the file for the shapes.

    Args:
        settings: depth, width and variants.
        channels: C.
    """

    def __init__(self, settings: ResNet, channels: int) -> None:
        super().__init__()
        bottleneck = settings.depth >= 50
        self.input_norm = nn.BatchNorm2d(channels) if settings.input_norm else nn.Identity()
        self.stem = ResNetStem(settings, channels)
        self.widths, self.strides = {"stem": settings.width}, {"stem": settings.stem_stride}
        reduction = settings.stem_stride
        inputs = settings.width
        kept = {"stride": (), "two_dilated": (2, 3)}.get(settings.last_stage, (3,))
        dilation = 1
        for index, blocks in enumerate(_BLOCKS[settings.depth]):
            last = index == 3
            stride = 1 if index == 0 or index in kept else 2
            before = dilation
            if index in kept and settings.last_stage != "no_stride":
                dilation *= 2
            activation = "relu" if last and settings.activation == "frelu" else settings.activation
            middle = settings.middle(settings.width * 2**index, index)
            outputs = settings.width * 2**index * (4 if bottleneck else 1)
            stage = nn.Sequential()
            for number in range(blocks):
                stage.append(
                    ResidualBlock(
                        settings,
                        (inputs, middle, outputs),
                        bottleneck=bottleneck,
                        stride=stride if number == 0 else 1,
                        # As in torchvision, the block that would have had the stride is not spread more yet.
                        dilation=dilation if number else before,
                        activation=activation,
                    )
                )
                inputs = outputs
            self.add_module(f"stage{index + 1}", stage)
            reduction *= stride
            self.widths[f"stage{index + 1}"], self.strides[f"stage{index + 1}"] = outputs, reduction
        ends = settings.preactivation if settings.last_norm is None else settings.last_norm
        self.last_norm = nn.BatchNorm2d(inputs) if ends else nn.Identity()
        self.last_act = make_channel_activation(activation, inputs) if ends else nn.Identity()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to stem and stages by name."""
        x = self.stem(self.input_norm(images))
        outputs = {"stem": x}
        for number in range(1, 5):
            x = outputs[f"stage{number}"] = self.get_submodule(f"stage{number}")(x)
        outputs["stage4"] = self.last_act(self.last_norm(x))
        return outputs
