"""Classification losses as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.losses.classification.base import LabelLossSettings
from ablata.losses.classification.cross_entropy import CrossEntropy

if TYPE_CHECKING:
    AnyLabelLoss = LabelLossSettings
else:
    AnyLabelLoss = Annotated[
        family(LabelLossSettings, CrossEntropy, "ablata.losses.classification"),
        OpenPart(
            LabelLossSettings,
            adapt="ablata.losses.classification.plain:label_loss",
            plain="a function of logits and labels, or an nn.Module class",
        ),
    ]
