"""Backbones of classifiers, segmentation networks and detectors as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.models.backbones.base import Backbone
from ablata.models.backbones.resnet import ResNet

if TYPE_CHECKING:
    AnyBackbone = Backbone
else:
    AnyBackbone = Annotated[
        family(Backbone, ResNet, "ablata.models.backbones"),
        OpenPart(Backbone, adapt="ablata.models.plain:backbone", plain="an nn.Module class that returns feature maps"),
    ]
    """One that lacks the feature maps that a network needs is refused when the network is built."""
