"""The losses of a segmentation: one over pixels, or that with a contrast beside it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.losses.any_pixel import AnyPixelLoss
from ablata.losses.pixel_contrast import PixelContrast

AnySegmentationLoss = Annotated[AnyPixelLoss | PixelContrast, Field(discriminator="kind")]
