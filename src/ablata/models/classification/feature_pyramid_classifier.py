"""Classifier over three stages of a backbone.

Source: none; in the manner of feature pyramids (Lin et al. 2017, arXiv 1612.03144) with one label an image.

Shapes: B batch, C channels of the image, H height and width of the image, Wn channels of stage n, D width,
K classes.

    input    [B, C, H, H]             stage4    [B, W4, H/32, H/32]
    stem     the backbone's           features  [B, D]    mean over the image of what the stages become together
    stage2   [B, W2, H/8, H/8]        logits    [B, K]
    stage3   [B, W3, H/16, H/16]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.models.backbones.any import AnyBackbone
from ablata.models.backbones.base import BackboneModule, BackboneUser, Classifier, init_convolutions
from ablata.models.backbones.resnet import ResNet
from ablata.nn.activations import ActivationChoice
from ablata.nn.convolutions import ConvUnit, PlainConv

_LEVELS = 3
"""How many of the backbone's last feature maps are used."""


class PyramidClassifier(BackboneUser, Classifier):
    """Classifier over the last three feature maps of a backbone."""

    kind: Literal["pyramid"] = "pyramid"
    backbone: AnyBackbone = ResNet()
    """Network whose last three feature maps are used; its own weights come from `model.backbone.weights`."""
    merge: Literal["pool_sum", "nearest_sum", "nearest_concat", "down_sum"] = "pool_sum"
    """pool_sum: mean of each level, then their sum. nearest_sum, nearest_concat: levels resized to the largest by
    nearest neighbour, added or joined. down_sum: levels shrunk to the smallest by strided convolutions, added."""
    width: int = Field(default=1024, ge=1)
    """D."""
    kernel: Literal[1, 3] = 1
    """Side of the convolution behind the merging, which pool_sum has not."""
    level_heads: bool = False
    """A 1x1 convolution with normalisation and activation on each level first, as efficientnets have on their last."""

    def build(self, classes: int, channels: int = 3) -> PyramidModel:
        """Make the model for images of `channels` channels; weights come from torch's global generator."""
        return PyramidModel(self, classes, channels)


class PyramidModel(nn.Module):
    """The network; see the head of the file for its shapes.

    Args:
        settings: backbone and variants.
        classes: K.
        channels: C.
    """

    def __init__(self, settings: PyramidClassifier, classes: int, channels: int) -> None:
        super().__init__()
        self.backbone = settings.backbone.build_backbone(channels)
        self.neck = PyramidNeck(settings, self.backbone)
        self.classifier = nn.Linear(settings.width, classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Map images [B, C, H, H] to the named outputs."""
        outputs: dict[str, Tensor] = dict(self.backbone(images))
        features = outputs["features"] = self.neck(outputs)
        outputs["logits"] = self.classifier(features)
        return outputs


class PyramidNeck(nn.Module):
    """Makes one vector of three levels.

    Args:
        settings: the way of merging.
        backbone: says how wide the levels are.
    """

    def __init__(self, settings: PyramidClassifier, backbone: BackboneModule) -> None:
        super().__init__()
        width, plain = settings.width, PlainConv()
        act: ActivationChoice = getattr(settings.backbone, "activation", "relu")
        self.merge, self.names = settings.merge, backbone.levels()[-_LEVELS:]
        if len(self.names) < _LEVELS:
            raise SettingsError(
                f"model.backbone must have {_LEVELS} feature maps",
                found=f"{len(self.names)} of them",
                do="take a resnet",
            )
        inputs = [backbone.widths[level] for level in self.names]
        if settings.level_heads:
            self.levels = nn.ModuleList(ConvUnit(plain.build(count, width, 1), act) for count in inputs)
        elif settings.merge == "nearest_concat":
            self.levels = nn.ModuleList(nn.Identity() for _ in inputs)
        else:
            # A sum needs equal widths.
            self.levels = nn.ModuleList(plain.build(count, width, 1) for count in inputs)
        joined = sum(inputs) if settings.merge == "nearest_concat" and not settings.level_heads else width
        if settings.merge == "nearest_concat" and settings.level_heads:
            joined = len(inputs) * width
        self.downs = nn.ModuleList(
            nn.Sequential(*(ConvUnit(plain.build(width, width, 3, 2), act) for _ in range(2 - index)))
            for index in range(len(inputs) if settings.merge == "down_sum" else 0)
        )
        self.last: nn.Module = nn.Identity()
        if settings.merge != "pool_sum":
            self.last = ConvUnit(plain.build(joined, width, settings.kernel), act)
        for part in (self.levels, self.downs, self.last):
            init_convolutions(part)

    def forward(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """Map the stages to [B, D]."""
        maps = [level(outputs[name]) for level, name in zip(self.levels, self.names, strict=True)]
        if self.merge == "pool_sum":
            return torch.stack([level.mean((2, 3)) for level in maps]).sum(0)
        if self.merge == "down_sum":
            merged = torch.stack([down(level) for down, level in zip(self.downs, maps, strict=True)]).sum(0)
        else:
            size = maps[0].shape[2:]
            resized = [level if level.shape[2:] == size else F.interpolate(level, size) for level in maps]
            merged = torch.cat(resized, 1) if self.merge == "nearest_concat" else torch.stack(resized).sum(0)
        features: Tensor = self.last(merged).mean((2, 3))
        return features
