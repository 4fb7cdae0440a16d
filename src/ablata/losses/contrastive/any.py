"""Segmentation losses as one union of settings: one over pixels, or that with a contrastive loss beside it."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.losses.segmentation.any import AnyPixelLoss

AnySegmentationLoss = Annotated[AnyPixelLoss | PixelContrast, OpenPart()]
