"""Losses of embeddings as one union of settings: those of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from ablata.base.family import family
from ablata.base.parts import OpenPart
from ablata.losses.embedding.base import EmbeddingLossSettings
from ablata.losses.embedding.triplet import Triplet

if TYPE_CHECKING:
    AnyEmbeddingLoss = EmbeddingLossSettings
else:
    AnyEmbeddingLoss = Annotated[
        family(EmbeddingLossSettings, Triplet, "ablata.losses.embedding"),
        OpenPart(
            EmbeddingLossSettings,
            adapt="ablata.losses.embedding.plain:embedding_loss",
            plain="a function of features and labels, or an nn.Module class",
        ),
    ]
