"""The losses of a segmentation: one over pixels, or that with a contrast beside it."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.losses.segmentation.any import AnyPixelLoss

AnySegmentationLoss = Annotated[AnyPixelLoss | PixelContrast, OpenPart()]
