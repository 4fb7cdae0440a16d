"""Plain functions and modules as losses of embeddings: `triplet=mine.py:circle triplet.gamma=64`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ablata.base.errors import SettingsError
from ablata.base.parts import PlainPart
from ablata.losses.embedding.base import EmbeddingLossSettings
from ablata.losses.plain import settings_of_loss
from ablata.nn.dtypes import as_float32


class PlainEmbeddingLoss(PlainPart, EmbeddingLossSettings):
    """Settings of a loss of embeddings that is a plain function or module class."""

    def build(self) -> PlainEmbeddingLossModule:
        """Make the loss."""
        return PlainEmbeddingLossModule(self)


class PlainEmbeddingLossModule(nn.Module):
    """A plain loss: called with features [B, D], float32 outside autocast, and labels [B], int64; returns a scalar.

    It is multiplied by `weight`, unless that is an argument of its own.

    Args:
        settings: the function or class, and its arguments.
    """

    def __init__(self, settings: PlainEmbeddingLoss) -> None:
        super().__init__()
        self.settings = settings
        self.weight = 1.0 if "weight" in settings.ARGUMENTS else settings.weight
        self.module: Any = settings.THING(**settings.arguments()) if inspect.isclass(settings.THING) else None

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar.

        Raises:
            SettingsError: the user's function did not return one.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = as_float32(features)
            if self.module is not None:
                found = self.module(features, labels)
            else:
                found = self.settings.THING(features, labels, **self.settings.arguments())
        if not isinstance(found, Tensor) or found.shape != torch.Size(()):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise SettingsError(
                "A loss of features must return a scalar",
                found=f"{self.settings.kind} returned {shape}",
                do="return its mean over the batch",
            )
        return self.weight * found


def embedding_loss(thing: Any, reference: str) -> type[PlainEmbeddingLoss]:
    """Return the settings class of a function of features and labels, or of a module class.

    Raises:
        SettingsError: it is neither.
    """
    return settings_of_loss(PlainEmbeddingLoss, thing, reference, "features, labels")
