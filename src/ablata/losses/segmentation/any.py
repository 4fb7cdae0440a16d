"""Losses over pixels as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.losses.segmentation.base import PixelLossSettings
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy

if TYPE_CHECKING:
    AnyPixelLoss = PixelLossSettings
else:
    AnyPixelLoss = Annotated[
        family(PixelLossSettings, PixelCrossEntropy, "ablata.losses.segmentation"),
        OpenPart(
            PixelLossSettings,
            adapt="ablata.losses.segmentation.plain:pixel_loss",
            plain="a function of logits, labels and ignore_index, or an nn.Module class",
        ),
    ]
