"""Segmentation losses as one union of settings: one over pixels, or that with a contrastive loss beside it."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.losses.segmentation.any import AnyPixelLoss
from ablata.losses.segmentation.base import SegmentationLossSettings

AnySegmentationLoss = Annotated[
    AnyPixelLoss | PixelContrast,
    OpenPart(
        SegmentationLossSettings,
        adapt="ablata.losses.segmentation.plain:pixel_loss",
        plain="a function of logits, labels and ignore_index, or an nn.Module class",
    ),
]
