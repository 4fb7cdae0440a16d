"""Focal loss of pixels (Lin et al. 2017, arXiv 1708.02002, equations 4 and 5, with softmax probabilities)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings, mean_over
from ablata.losses.segmentation.cross_entropy import ClassWeights, weight_of


class Focal(PixelLossSettings):
    """Focal loss: cross-entropy times (1 - p)^gamma, p the probability of the pixel's label."""

    kind: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=0)] = 2.0
    """Focusing parameter: how much easy pixels are weighed down; 0 is cross-entropy."""
    alpha: ClassWeights | None = None
    """A factor for each class, in the order of the class list; the mean is over the number of pixels all the same."""

    def build(self, ignore: int = IGNORE) -> FocalLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return FocalLoss(self, ignore)


class FocalLoss(PixelLoss):
    """Mean of alpha[y] (1 - p)^gamma ce over the pixels that count, where ce = -ln p.

    Args:
        settings: see `Focal`.
        ignore: label of the pixels that do not count.
    """

    alpha: Tensor | None

    def __init__(self, settings: Focal, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.gamma = settings.gamma
        alpha = None if settings.alpha is None else torch.tensor(settings.alpha)
        self.register_buffer("alpha", alpha, persistent=False)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar.

        Raises:
            ValueError: there is not one alpha for each class.
        """
        valid = labels != self.ignore
        losses = self.cross_entropy(logits, labels)
        # The power's slope at 0 is infinite below gamma 1; a pixel so sure of its label has no part in it.
        losses = (-torch.expm1(-losses)).clamp(min=torch.finfo(losses.dtype).tiny) ** self.gamma * losses
        if self.alpha is not None:
            losses = losses * weight_of(self.alpha, labels, valid, logits.shape[1])
        return mean_over(losses, valid)
