"""BiSeNetV2: a wide shallow branch for detail and a narrow deep one for meaning, each guiding the other.

Source: Yu et al. 2020, arXiv 2004.02147, table 1 and figures 4 to 7; details that the paper leaves open (where the
gather and expansion layer activates, that the sigmoid comes after the enlargement) as in the public re-implementation
(CoinCheung/BiSeNet).

Shapes: B batch, C channels of the image, H and W its sides, D width of the detail branch's end, K classes. A side at
stride s is ceil(H / s): a size that 32 does not divide is handled. With the default widths:

    input    [B, C, H, W]           stage4    [B, 64, H/16, W/16]
    detail   [B, D, H/8, W/8]       stage5    [B, D, H/32, W/32]
    stem     [B, 16, H/4, W/4]      context   [B, D, H/32, W/32]
    stage3   [B, 32, H/8, W/8]      fused     [B, D, H/8, W/8]
    logits   [B, K, H/8, W/8]       aux<s>    [B, K, 2H/s, 2W/s]  in training only: stem, stage3 to stage5; doubled
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.parts import NamedPart
from ablata.models.segmentation.base import DenseHead, Init, Segmenter, SegmenterSettings, init_weights
from ablata.nn.conv_norm_act import ConvNormAct, NormName
from ablata.nn.pooled_gates import pooled_conv_norm_act, pooled_norm
from ablata.nn.upsampling import Bilinear, Nearest, Upsampling

_SEMANTIC = ((32, 2), (64, 2), (128, 4))
"""Channels and layers of the semantic branch's stages at 1/8, 1/16 and 1/32; the first layer has the stride."""


class BiSeNetV2(SegmenterSettings):
    """BiSeNetV2: a detail branch and a semantic branch."""

    kind: Literal["bisenet_v2"] = "bisenet_v2"
    width: float = Field(default=1.0, gt=0)
    """Factor on the channels of both branches (the paper's alpha is 1; its larger form has more)."""
    expansion: int = Field(default=6, ge=1)
    """Factor from the channels of a gather and expansion layer to those in its middle."""
    head: DenseHead = DenseHead(width=1024, dropout=0.1)
    """Layers from the fused map to logits."""
    aux: DenseHead | None = DenseHead(width=128, dropout=0.1, double=True)
    """Layers of the four heads there in training alone; null: there are none."""
    upsample: Upsampling = Nearest()
    """How the semantic map gets to the detail map's size."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size."""
    pooled_norm: NormName | NamedPart = "batch"
    """Normalisation of means over the image; batch refuses a batch of one image in training, the others take it."""
    init: Init = "kaiming_out"
    """Distribution of initial weights."""
    zero_init_residual: bool = True
    """Start gather and expansion layers as their shortcut: the branch's last normalisation weight begins at 0."""

    def build(self, classes: int, channels: int = 3) -> BiSeNetV2Model:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return BiSeNetV2Model(self, classes, channels)

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters that the published code trains at ten times the rate: the heads."""
        return ("head.*", "aux.*") if self.aux else ("head.*",)

    def channels(self, count: int) -> int:
        """Return a number of channels, scaled by `width`, at least 2 and even."""
        return max(2, 2 * round(count * self.width / 2))


class StemBlock(nn.Module):
    """Stem block: convolutions and max pooling in parallel to 1/4, joined by a convolution.

    Args:
        inputs: C.
        width: channels out.
    """

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.first = ConvNormAct(inputs, width, stride=2)
        self.left = nn.Sequential(ConvNormAct(width, width // 2, 1), ConvNormAct(width // 2, width, stride=2))
        self.right = nn.MaxPool2d(3, 2, padding=1)
        self.join = ConvNormAct(2 * width, width)

    def forward(self, images: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, width, H/4, W/4]."""
        x = self.first(images)
        out: Tensor = self.join(torch.cat([self.left(x), self.right(x)], 1))
        return out


class GatherExpansion(nn.Module):
    """Gather-and-expansion layer: relu(shortcut + 3x3 convolution, depthwise expansion, 1x1 projection).

    Args:
        inputs: channels in.
        outputs: channels out; equal to `inputs` at stride 1.
        stride: 1 or 2; with 2 a second convolution of each channel, and convolutions in the shortcut.
        expansion: channels in the middle over channels in.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.branch = nn.Sequential(ConvNormAct(inputs, inputs))
        if stride == 2:
            self.branch.append(_depthwise(inputs, middle, 2))
            self.branch.append(_depthwise(middle, middle))
            self.shortcut: nn.Module = nn.Sequential(
                _depthwise(inputs, inputs, 2), ConvNormAct(inputs, outputs, 1, activation="none")
            )
        else:
            self.branch.append(_depthwise(inputs, middle))
            self.shortcut = nn.Identity()
        self.branch.append(nn.ReLU(inplace=True))
        self.last = ConvNormAct(middle, outputs, 1, activation="none")

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, h, w] to [B, outputs, h/stride, w/stride]."""
        return torch.relu(self.shortcut(x) + self.last(self.branch(x)))

    def zero_init_residual(self) -> None:
        """Set the last normalisation weight of the branch to 0."""
        nn.init.zeros_(self.last.norm.get_parameter("weight"))


class ContextEmbedding(nn.Module):
    """Context embedding block: conv(x + embedded mean of x).

    Args:
        channels: D.
        norm: normalisation of means.
    """

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.norm = pooled_norm(norm, channels)
        self.embed = pooled_conv_norm_act(channels, channels, norm, "relu")
        self.last = ConvNormAct(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, h, w] to the same shape."""
        out: Tensor = self.last(x + self.embed(self.norm(x.mean((2, 3), keepdim=True))))
        return out


class GuidedAggregation(nn.Module):
    """Bilateral guided aggregation: each branch weighted by the other's attention, added at 1/8.

    Args:
        channels: D.
        upsample: how 1/32 gets to 1/8.
    """

    def __init__(self, channels: int, upsample: Upsampling) -> None:
        super().__init__()
        self.detail_keep = nn.Sequential(_depthwise(channels, channels), nn.Conv2d(channels, channels, 1, bias=False))
        self.detail_down = nn.Sequential(
            ConvNormAct(channels, channels, stride=2, activation="none"), nn.AvgPool2d(3, 2, padding=1)
        )
        self.semantic_up = ConvNormAct(channels, channels, activation="none")
        self.semantic_keep = nn.Sequential(_depthwise(channels, channels), nn.Conv2d(channels, channels, 1, bias=False))
        self.enlarge_gate, self.enlarge_sum = upsample.build(channels, 4), upsample.build(channels, 4)
        self.last = ConvNormAct(channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """Map detail [B, D, h, w] and semantic [B, D, h/4, w/4] to [B, D, h, w]."""
        size = (detail.shape[2], detail.shape[3])
        fine = self.detail_keep(detail) * self.enlarge_gate(self.semantic_up(semantic), size).sigmoid()
        coarse = self.detail_down(detail) * self.semantic_keep(semantic).sigmoid()
        out: Tensor = self.last(fine + self.enlarge_sum(coarse, size))
        return out


class BiSeNetV2Model(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: widths and heads.
        classes: K.
        channels: C.
    """

    embedded = "fused"

    def __init__(self, settings: BiSeNetV2, classes: int, channels: int) -> None:
        super().__init__()
        narrow, wide, stem = settings.channels(64), settings.channels(128), settings.channels(16)
        self.detail = nn.Sequential(
            ConvNormAct(channels, narrow, stride=2),
            ConvNormAct(narrow, narrow),
            ConvNormAct(narrow, narrow, stride=2),
            ConvNormAct(narrow, narrow),
            ConvNormAct(narrow, narrow),
            ConvNormAct(narrow, wide, stride=2),
            ConvNormAct(wide, wide),
            ConvNormAct(wide, wide),
        )
        self.stem = StemBlock(channels, stem)
        widths, inputs = {"stem": stem}, stem
        for number, (width, layers) in enumerate(_SEMANTIC, start=3):
            stage, outputs = nn.Sequential(), settings.channels(width)
            for layer in range(layers):
                stage.append(GatherExpansion(inputs, outputs, 2 if layer == 0 else 1, settings.expansion))
                inputs = outputs
            self.add_module(f"stage{number}", stage)
            widths[f"stage{number}"] = outputs
        self.context = ContextEmbedding(wide, settings.pooled_norm)
        self.fusion = GuidedAggregation(wide, settings.upsample)
        self.head = settings.head.build(wide, classes, "batch", settings.logits_upsample, 8)
        self.aux = nn.ModuleDict()
        self.sources = dict(zip(("aux4", "aux8", "aux16", "aux32"), widths, strict=True))
        if settings.aux is not None:
            for name, source in self.sources.items():
                stride = int(name.removeprefix("aux"))
                self.aux[name] = settings.aux.build(widths[source], classes, "batch", settings.logits_upsample, stride)
        init_weights(self, settings.init)
        if settings.zero_init_residual:
            for module in self.modules():
                if isinstance(module, GatherExpansion):
                    module.zero_init_residual()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: in training, one image with pooled_norm=batch.
        """
        size = (images.shape[2], images.shape[3])
        x = self.stem(images)
        outputs: dict[str, Tensor] = {"detail": self.detail(images), "stem": x}
        for number in (3, 4, 5):
            x = outputs[f"stage{number}"] = self.get_submodule(f"stage{number}")(x)
        outputs["context"] = self.context(x)
        outputs["fused"] = self.fusion(outputs["detail"], outputs["context"])
        outputs["logits"] = self.head(outputs["fused"], size)
        self._add_for_training(outputs, {name: outputs[source] for name, source in self.sources.items()}, size)
        return outputs


def _depthwise(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, groups=inputs, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))
