"""Base of losses of embeddings: features of a batch against the classes of its rows."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated

from pydantic import Field
from torch import nn

from ablata.base.settings import Settings


class EmbeddingLossSettings(Settings):
    """Base of the settings of losses of embeddings; not itself a choice."""

    weight: Annotated[float, Field(gt=0)] = 1.0
    """Factor on the loss."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Make the loss, times its weight: of features float [B, D] and labels int64 [B], a scalar."""
