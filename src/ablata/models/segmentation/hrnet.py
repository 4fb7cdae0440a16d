"""HRNet as a segmenter: the four branches joined at 1/4, and a head, or object context before it.

Sources: Wang et al. 2019, arXiv 1908.07919, section 3.3 (HRNetV2); Yuan et al. 2020, arXiv 1909.11065 (object context).
The head is openseg's, but for the biases that it has in front of normalisations, where they have no effect.

Shapes: B batch, C channels of the image, H and W its sides, w width of the first branch, D width of the context,
K classes. A side at stride s is ceil(H / s).

    input      [B, C, H, W]              context  [B, D, H/4, W/4]   with object context alone
    branch<n>  see backbones/hrnet.py     logits   [B, K, H/4, W/4]   at the head's own stride, see `full_size`
    features   [B, 15 w, H/4, W/4]       aux4     [B, K, H/4, W/4]   rough logits; in training, with object context
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.backbones.hrnet import HRNetBranches, published_backbone_name
from ablata.models.segmentation.base import DenseHead, Segmenter, SegmenterSettings
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.upsampling import Bilinear, Upsampling


class ObjectContext(Settings):
    """Context by the regions of rough logits, which a head of its own is trained for."""

    kind: Literal["object_context"] = "object_context"
    width: Annotated[int, Field(ge=1)] = 512
    """D: channels of pixels and of the result."""
    keys: Annotated[int, Field(ge=1)] = 256
    """E: channels in which pixels and regions are compared."""
    dropout: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the result's channels that is dropped in training."""

    def build(self, channels: int) -> ObjectContextModule:
        """Make the layers for features of `channels` channels."""
        return ObjectContextModule(self, channels)


class ObjectContextModule(nn.Module):
    """Pixels, regions, attention of the pixels to the regions, and both joined.

    Args:
        settings: widths and dropout.
        channels: C.
    """

    def __init__(self, settings: ObjectContext, channels: int) -> None:
        super().__init__()
        width, keys = settings.width, settings.keys
        self.pixels = ConvNormAct(channels, width)
        self.query = nn.Sequential(ConvNormAct(width, keys, 1), ConvNormAct(keys, keys, 1))
        self.key = nn.Sequential(ConvNormAct(width, keys, 1), ConvNormAct(keys, keys, 1))
        self.value = ConvNormAct(width, keys, 1)
        self.context = ConvNormAct(keys, width, 1)
        self.join = ConvNormAct(2 * width, width, 1)
        self.dropout = nn.Dropout2d(settings.dropout)
        self.scale = keys**-0.5

    def forward(self, features: Tensor, rough: Tensor) -> Tensor:
        """Return the result for features and rough logits of one size."""
        pixels = self.pixels(features)
        regions = gather_regions(pixels, rough)
        # Regions as a map of K x 1 places, so that they go through the same kinds of layers.
        places = regions.transpose(1, 2).unsqueeze(3)
        query, key, value = (self.query(pixels).flatten(2), self.key(places).flatten(2), self.value(places).flatten(2))
        attention = (query.transpose(1, 2) @ key * self.scale).softmax(2)
        seen = (value @ attention.transpose(1, 2)).unflatten(2, pixels.shape[2:])
        out: Tensor = self.dropout(self.join(torch.cat((self.context(seen), pixels), 1)))
        return out


def gather_regions(pixels: Tensor, rough: Tensor) -> Tensor:
    """Return each class's mean pixel [B, K, D], weighted by a softmax of its rough logits over the image."""
    weights = rough.flatten(2).softmax(2).to(pixels.dtype)
    out: Tensor = weights @ pixels.flatten(2).transpose(1, 2)
    return out


_BRANCHES = 4


class HRNet(SegmenterSettings, HRNetBranches):
    """Segmenter of high resolution throughout."""

    kind: Literal["hrnet"] = "hrnet"
    join_upsample: Upsampling = Bilinear(align_corners=True)
    """How the smaller branches reach 1/4."""
    head: DenseHead = DenseHead(width="input", dropout=0.1, dropout_of="channels", bias=False)
    """Layers from features, or from context, to logits."""
    context: ObjectContext | None = None
    """Object context between features and head, which then should be the classifier alone; null: none."""
    context_head: DenseHead = DenseHead(width="input")
    """With object context, the head of the rough logits that it needs."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size."""

    @model_validator(mode="after")
    def _fits_together(self) -> HRNet:
        if self.context_head.upsample_at != "after" or self.context_head.double:
            raise ValueError(
                "context_head.upsample_at must be after, and context_head.double false: "
                "context needs logits of its own size"
            )
        return self

    def build(self, classes: int, channels: int = 3) -> HRNetModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return HRNetModel(self, classes, channels)

    def published_name(self, name: str) -> str | None:
        """Translate a name of the authors' and timm's classifiers to ours; load them with weights_part=backbone."""
        return published_backbone_name(name)

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters that no published backbone has."""
        return ("head.*", *(("context.*", "aux.*") if self.context is not None else ()))


class HRNetModel(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: sizes and variants.
        classes: K.
        channels: C.
    """

    least = 32

    def __init__(self, settings: HRNet, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone = settings.build_backbone(channels)
        self.join = settings.join_upsample.build(1, 2)
        width = sum(self.backbone.widths.values())
        self.aux, self.context = nn.ModuleDict(), None
        if settings.context is not None:
            self.aux["aux4"] = settings.context_head.build(width, classes, "batch", settings.logits_upsample, 4)
            self.context = settings.context.build(width)
            width = settings.context.width
        self.head = settings.head.build(width, classes, "batch", settings.logits_upsample, 4)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: the images are smaller than 32 pixels.
        """
        size = (images.shape[2], images.shape[3])
        self.refuse_small(size)
        outputs: dict[str, Tensor] = self.backbone(images)
        largest = (outputs["branch1"].shape[2], outputs["branch1"].shape[3])
        joined = [self.join(outputs[f"branch{number}"], largest) for number in range(1, _BRANCHES + 1)]
        seen = outputs["features"] = torch.cat(joined, 1)
        if self.context is not None:
            rough = self.aux["aux4"](seen, size)
            seen = outputs["context"] = self.context(seen, rough)
            outputs |= {"aux4": rough} if self.training else {}
        outputs["logits"] = self.head(seen, size)
        self._add_for_training(outputs, {}, size)
        return outputs
