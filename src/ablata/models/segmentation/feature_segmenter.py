"""Segmentation network on any backbone: its maps are brought to one width and the finest one's size, then classified.

Source: the decoder of SegFormer, Xie et al. 2021, arXiv 2105.15203, section 3.2.

Shapes: B batch, C channels of the image, H and W its sides, n maps of which the finest has stride s and size h x w,
D width, K classes.

    input     [B, C, H, W]            features  [B, D, h, w]     the maps joined
    maps      as the backbone's       logits    [B, K, h, w]     at the head's own stride, see `full_size`
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.models.backbones.any import AnyBackbone
from ablata.models.backbones.base import BackboneModule, BackboneUser
from ablata.models.backbones.timm_features import TimmFeatures
from ablata.models.segmentation.base import DenseHead, Segmenter, SegmenterSettings
from ablata.nn.conv_norm_act import ConvNormAct
from ablata.nn.upsampling import Bilinear, Upsampling


class FeatureSegmenter(BackboneUser, SegmenterSettings):
    """Segmentation network on the feature maps of a backbone."""

    kind: Literal["features"] = "features"
    backbone: AnyBackbone = TimmFeatures()
    """Where the maps come from; its own weights come from `model.backbone.weights`."""
    maps: Literal["all", "last"] = "all"
    """Which of them are used."""
    width: Annotated[int, Field(ge=1)] = 256
    """D."""
    join_upsample: Upsampling = Bilinear()
    """How coarser maps reach the finest one's size."""
    head: DenseHead = DenseHead(width=None, dropout=0.1)
    """Layers from the joined maps to logits."""
    logits_upsample: Upsampling = Bilinear()
    """How logits get to the image's size."""

    def build(self, classes: int, channels: int = 3) -> FeatureSegmenterModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator.

        Raises:
            SettingsError: timm does not have the backbone.
        """
        return FeatureSegmenterModel(self, classes, channels)

    def new_layers(self) -> tuple[str, ...]:
        """Return patterns of the parameters outside the backbone."""
        return ("reduce.*", "fuse.*", "head.*")


class FeatureSegmenterModel(Segmenter):
    """The network; see the head of the file for its shapes.

    Args:
        settings: backbone and widths.
        classes: K.
        channels: C.
    """

    least = 32

    def __init__(self, settings: FeatureSegmenter, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone: BackboneModule = settings.backbone.build_backbone(channels)
        names = self.backbone.levels()
        self.used = names if settings.maps == "all" else names[-1:]
        width = settings.width
        self.reduce = nn.ModuleDict({name: nn.Conv2d(self.backbone.widths[name], width, 1) for name in self.used})
        self.fuse = ConvNormAct(len(self.used) * width, width, 1)
        self.join = settings.join_upsample.build(width, 2)
        stride = self.backbone.strides[self.used[0]]
        self.head = settings.head.build(width, classes, "batch", settings.logits_upsample, stride)
        self.aux = nn.ModuleDict()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, W] to the named outputs.

        Raises:
            SettingsError: the backbone does not take images of this size.
        """
        size = (images.shape[2], images.shape[3])
        self.refuse_small(size)
        outputs: dict[str, Tensor] = dict(self.backbone(images))
        finest = (outputs[self.used[0]].shape[2], outputs[self.used[0]].shape[3])
        reduced = [self.join(self.reduce[name](outputs[name]), finest) for name in self.used]
        outputs["features"] = self.fuse(torch.cat(reduced, 1))
        outputs["logits"] = self.head(outputs["features"], size)
        self._add_for_training(outputs, {}, size)
        return outputs
