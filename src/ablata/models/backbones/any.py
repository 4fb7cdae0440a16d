"""The family of backbones that classifiers, segmentation networks and detectors choose from."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.models.backbones.base import Backbone
from ablata.models.backbones.efficientnet import EfficientNet, EfficientNetLite
from ablata.models.backbones.hrnet import HRNetFeatures
from ablata.models.backbones.regnet import RegNet
from ablata.models.backbones.resnet import ResNet
from ablata.models.backbones.t2t_vit import T2TViT
from ablata.models.backbones.timm_features import TimmFeatures
from ablata.models.backbones.xception39 import Xception39

AnyBackbone = Annotated[
    ResNet | Xception39 | EfficientNet | EfficientNetLite | RegNet | T2TViT | HRNetFeatures | TimmFeatures,
    OpenPart(Backbone, adapt="ablata.models.plain:backbone", plain="an nn.Module class that returns feature maps"),
]
"""One that lacks the feature maps that a network needs is refused when the network is built."""
