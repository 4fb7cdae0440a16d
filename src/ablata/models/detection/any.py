"""Detectors as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.models.detection.base import DetectorSettings
from ablata.models.detection.mask_rcnn import MaskRcnn

if TYPE_CHECKING:
    AnyDetector = DetectorSettings
else:
    AnyDetector = Annotated[
        family(DetectorSettings, MaskRcnn, "ablata.models.detection"),
        OpenPart(
            DetectorSettings,
            adapt="ablata.models.plain_detector:detector",
            plain="an nn.Module class in torchvision's convention of detectors, or a function that returns one",
        ),
    ]
