"""The losses over pixels, as one union of settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ablata.losses.cross_entropy_lovasz import CrossEntropyLovasz
from ablata.losses.dice import Dice
from ablata.losses.focal import Focal
from ablata.losses.lovasz import Lovasz
from ablata.losses.ohem import Ohem
from ablata.losses.pixel_cross_entropy import PixelCrossEntropy

AnyPixelLoss = Annotated[
    PixelCrossEntropy | Ohem | Focal | Dice | Lovasz | CrossEntropyLovasz,
    Field(discriminator="kind"),
]
