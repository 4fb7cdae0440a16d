"""Losses over pixels as one union of settings."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.losses.segmentation.base import PixelLossSettings
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.dice import Dice
from ablata.losses.segmentation.focal import Focal
from ablata.losses.segmentation.lovasz import CrossEntropyLovasz, Lovasz
from ablata.losses.segmentation.ohem import Ohem

AnyPixelLoss = Annotated[
    PixelCrossEntropy | Ohem | Focal | Dice | Lovasz | CrossEntropyLovasz,
    OpenPart(
        PixelLossSettings,
        adapt="ablata.losses.segmentation.plain:pixel_loss",
        plain="a function of logits, labels and ignore_index, or an nn.Module class",
    ),
]
