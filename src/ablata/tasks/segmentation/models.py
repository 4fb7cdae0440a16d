"""The networks a segmentation recipe can choose from, told apart by `kind`, and how one gets its first weights."""

from __future__ import annotations

from typing import Annotated, Any

from ablata.base.parts import OpenPart
from ablata.models.backbones.weights import Loadable
from ablata.models.segmentation.base import Segmenter, SegmenterSettings
from ablata.models.segmentation.bisenet.model import BiSeNet
from ablata.models.segmentation.bisenet_v2 import BiSeNetV2
from ablata.models.segmentation.deeplab import DeepLab
from ablata.models.segmentation.feature_segmenter import FeatureSegmenter
from ablata.models.segmentation.hrnet import HRNet

AnySegmenter = Annotated[
    BiSeNet | BiSeNetV2 | HRNet | DeepLab | FeatureSegmenter,
    OpenPart(
        SegmenterSettings,
        adapt="ablata.models.plain:segmenter",
        plain="an nn.Module class, or a function that returns a module",
    ),
]


def start_segmenter(settings: Any, classes: int, channels: int) -> Segmenter:
    """Build a network and give it its first weights: drawn, or from files.

    Args:
        settings: one of `AnySegmenter`.
        classes: of the data.
        channels: of its images.

    Raises:
        UserError: the network cannot be built so, or a file of weights does not fit it.
    """
    model: Segmenter = settings.build(classes, channels)
    if isinstance(settings, Loadable):
        settings.load_into(model)
    return model
