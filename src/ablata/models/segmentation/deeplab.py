"""DeepLabV3 and V3+: atrous spatial pyramid pooling.

Sources: Chen et al. 2017, arXiv 1706.05587 (V3); Chen et al. 2018, arXiv 1802.02611 (the decoder of V3+). With the
defaults parameters and logits are those of torchvision's deeplabv3_resnet50, whose V3 this follows.

Shapes: B batch, C channels of the image, H and W its sides, s stride of the backbone's last map (8, 16 or 32), N its
channels, D width, L channels of the low map, K classes. A side at stride s is ceil(H / s).

    input    [B, C, H, W]                     decoded  [B, D, H/4, W/4]   with a decoder
    stem, stage1 to stage4: see resnet.py     logits   [B, K, H/s, W/s]   or H/4, W/4 with a decoder; see `full_size`
    pyramid  [B, D, H/s, W/s]                 aux<s>   [B, K, H/s, W/s]   s of stage 3; in training only
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings
from ablata.models.backbones.any import AnyBackbone
from ablata.models.backbones.base import BackboneModule, BackboneUser
from ablata.models.backbones.resnet import ResNet
from ablata.models.segmentation.base import DenseHead, Segmenter, SegmenterSettings
from ablata.nn.conv_norm_act import ConvNormAct, make_norm
from ablata.nn.upsampling import Bilinear, Upsampling


class Aspp(Settings):
    """Atrous spatial pyramid pooling (ASPP): 1x1, atrous 3x3 convolutions, and global average pooling."""

    kind: Literal["aspp"] = "aspp"
    width: Annotated[int, Field(ge=1)] = 256
    """D: channels of each part and of the result."""
    rates: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (12, 24, 36)
    """Distances of the 3x3 kernels' taps; 12, 24, 36 are for stride 8, and 6, 12, 18 for 16."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Fraction of the result's values that is dropped in training."""

    def build(self, channels: int) -> AsppModule:
        """Make the layers for maps of `channels` channels."""
        return AsppModule(self, channels)


class DeepLabDecoder(Settings):
    """Decoder of DeepLabV3+: the ASPP's output at 1/4, concatenated with low-level features of stage 1."""

    kind: Literal["decoder"] = "decoder"
    low_level_width: Annotated[int, Field(ge=1)] = 48
    """L: channels that stage 1 is reduced to."""
    width: Annotated[int, Field(ge=1)] = 256
    """D: channels of the two 3x3 convolutions, of which the second is that of the head."""


class DeepLab(BackboneUser, SegmenterSettings):
    """DeepLab: atrous spatial pyramid pooling on a backbone, mostly a dilated ResNet."""

    kind: Literal["deeplab"] = "deeplab"
    backbone: AnyBackbone = ResNet(depth=50, last_stage="two_dilated")
    """Network below the pyramid; its own weights come from `model.backbone.weights`."""
    pyramid: Aspp = Aspp()
    """Layers on its last map."""
    decoder: DeepLabDecoder | None = None
    """null: logits from the pyramid's result (V3); else the decoder of V3+."""
    head: DenseHead = DenseHead(width=256)
    """Layers to logits."""
    aux: DenseHead | None = DenseHead(width=256, dropout=0.1)
    """Further head on stage 3, there in training alone; null: none."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size."""

    def build(self, classes: int, channels: int = 3) -> DeepLabModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return DeepLabModel(self, classes, channels)

    def published_name(self, name: str) -> str | None:
        """Translate a name of torchvision's deeplabv3 states to ours."""
        if name.startswith("backbone."):
            return self.backbone.published_name(name.removeprefix("backbone."))
        for pattern, ours in _PUBLISHED:
            name = re.sub(pattern, ours, name)
        return name

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters outside the backbone."""
        decoder = ("low.*", "merge.*") if self.decoder is not None else ()
        return ("pyramid.*", *decoder, "head.*", *(("aux.*",) if self.aux is not None else ()))


_PUBLISHED = (
    (r"^classifier\.0\.convs\.4\.1\.", "pyramid.mean.conv."),
    (r"^classifier\.0\.convs\.4\.2\.", "pyramid.mean.norm."),
    (r"^classifier\.0\.convs\.(\d)\.0\.", r"pyramid.parts.\1.conv."),
    (r"^classifier\.0\.convs\.(\d)\.1\.", r"pyramid.parts.\1.norm."),
    (r"^classifier\.0\.project\.0\.", "pyramid.join.conv."),
    (r"^classifier\.0\.project\.1\.", "pyramid.join.norm."),
    (r"^classifier\.1\.", "head.hidden.conv."),
    (r"^classifier\.2\.", "head.hidden.norm."),
    (r"^classifier\.4\.", "head.classifier."),
    (r"^aux_classifier\.0\.", "aux.aux8.hidden.conv."),
    (r"^aux_classifier\.1\.", "aux.aux8.hidden.norm."),
    (r"^aux_classifier\.4\.", "aux.aux8.classifier."),
)
"""Applied in this order."""


class AtrousConv(nn.Sequential):
    """Atrous (dilated) 3x3 convolution, normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, rate: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)
        self.norm, self.act = make_norm("batch", outputs), nn.ReLU(inplace=True)


class AsppModule(nn.Module):
    """Atrous spatial pyramid pooling.

    Args:
        settings: widths and distances.
        channels: N.
    """

    def __init__(self, settings: Aspp, channels: int) -> None:
        super().__init__()
        width = settings.width
        spread: Sequence[nn.Module] = [AtrousConv(channels, width, rate) for rate in settings.rates]
        self.parts = nn.ModuleList([ConvNormAct(channels, width, 1), *spread])
        self.mean = ConvNormAct(channels, width, 1)
        self.join = ConvNormAct((len(self.parts) + 1) * width, width, 1)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, N, h, w] to [B, D, h, w].

        Raises:
            ValueError: in training, a batch of one image, whose mean has nothing to be normalised with.
        """
        mean: Tensor = self.mean(x.mean((2, 3), keepdim=True)).expand(-1, -1, x.shape[2], x.shape[3])
        out: Tensor = self.dropout(self.join(torch.cat([*(part(x) for part in self.parts), mean], 1)))
        return out


class DeepLabModel(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: parts and variants.
        classes: K.
        channels: C.
    """

    least = 32

    def __init__(self, settings: DeepLab, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone: BackboneModule = settings.backbone.build_backbone(channels)
        widths, strides = self.backbone.widths, self.backbone.strides
        self.before_last, self.last = self._last_two()
        self.embedded = self.last
        self.pyramid = settings.pyramid.build(widths[self.last])
        width, stride = settings.pyramid.width, strides[self.last]
        self.low = self.merge = None
        if settings.decoder is not None:
            self.fine = self.backbone.at_stride(4)
            self.low = ConvNormAct(widths[self.fine], settings.decoder.low_level_width, 1)
            self.merge = ConvNormAct(width + settings.decoder.low_level_width, settings.decoder.width)
            width, stride = settings.decoder.width, 4
        self.head = settings.head.build(width, classes, "batch", settings.logits_upsample, stride)
        self.aux, self.aux_name = nn.ModuleDict(), f"aux{strides[self.before_last]}"
        if settings.aux is not None:
            aux = settings.aux.build(
                widths[self.before_last], classes, "batch", settings.logits_upsample, strides[self.before_last]
            )
            self.aux[self.aux_name] = aux

    def _last_two(self) -> tuple[str, str]:
        names = self.backbone.levels()
        if len(names) < 2:
            raise SettingsError(
                "DeepLab needs a backbone of two feature maps or more", found=", ".join(names), do="take a resnet"
            )
        return names[-2], names[-1]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: the images are smaller than 32 pixels.
            ValueError: in training, one image.
        """
        size = (images.shape[2], images.shape[3])
        self.refuse_small(size)
        outputs: dict[str, Tensor] = dict(self.backbone(images))
        seen = outputs["pyramid"] = self.pyramid(outputs[self.last])
        if self.low is not None and self.merge is not None:
            low = self.low(outputs[self.fine])
            enlarged = F.interpolate(seen, low.shape[2:], mode="bilinear", align_corners=False)
            seen = outputs["decoded"] = self.merge(torch.cat((enlarged, low), 1))
        outputs["logits"] = self.head(seen, size)
        self._add_for_training(outputs, {self.aux_name: outputs[self.before_last]}, size)
        return outputs
