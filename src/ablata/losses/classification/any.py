"""Classification losses as one union of settings."""

from __future__ import annotations

from typing import Annotated

from ablata.base.parts import OpenPart
from ablata.losses.classification.base import LabelLossSettings
from ablata.losses.classification.binary_cross_entropy import BinaryCrossEntropy
from ablata.losses.classification.bootstrap import Bootstrap
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.losses.classification.logit_penalty import LogitPenalty

AnyLabelLoss = Annotated[
    CrossEntropy | Bootstrap | LogitPenalty | BinaryCrossEntropy,
    OpenPart(
        LabelLossSettings,
        adapt="ablata.losses.classification.plain:label_loss",
        plain="a function of logits and labels, or an nn.Module class",
    ),
]
