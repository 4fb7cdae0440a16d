"""Pixel-wise cross-entropy, with class weights."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings

Weight = Annotated[float, Field(ge=0)]
ClassWeights = tuple[Weight, ...]
WeightsOf = Literal["inverse", "most-frequent", "median", "effective", "complement"]
"""How weights are made from the pixels of each class in the training set; `ablata data stats` shows them."""


class PixelCrossEntropy(PixelLossSettings):
    """Pixel-wise cross-entropy: the mean over the pixels that count."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    weights: ClassWeights | dict[str, Weight] | WeightsOf | None = None
    """A weight for each class, in the order of the class list; or of some classes by name, the others having 1; or how
    to make them from the training set. The mean is divided by the weights that counted."""

    def build(self, ignore: int = IGNORE) -> PixelCrossEntropyLoss:
        """Make the loss; pixels labelled `ignore` do not count.

        Raises:
            ValueError: the weights are names still, not numbers in the order of the class list.
        """
        return PixelCrossEntropyLoss(self, ignore)


class PixelCrossEntropyLoss(PixelLoss):
    """sum w[y] ce / sum w[y] over the pixels that count, y a pixel's label, as torch's own weighted mean.

    Args:
        settings: see `PixelCrossEntropy`.
        ignore: label of the pixels that do not count.
    """

    weights: Tensor | None

    def __init__(self, settings: PixelCrossEntropy, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        if isinstance(settings.weights, dict | str):
            raise ValueError(f"weights must be numbers in the order of the class list here, got {settings.weights}")
        weights = None if settings.weights is None else torch.tensor(settings.weights)
        self.register_buffer("weights", weights, persistent=False)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar.

        Raises:
            ValueError: there is not one weight for each class.
        """
        valid = labels != self.ignore
        losses = self.cross_entropy(logits, labels)
        if self.weights is None:
            return losses.sum() / valid.sum().clamp(min=1)  # ignored pixels have a loss of 0
        weight = weight_of(self.weights, labels, valid, logits.shape[1]).to(losses.dtype) * valid
        total = weight.sum()
        return (losses * weight).sum() / torch.where(total > 0, total, 1.0)


def weight_of(weights: Tensor, labels: Tensor, valid: Tensor, classes: int) -> Tensor:
    """Return the weight of each pixel's class, of the labels' shape; that of an ignored pixel means nothing.

    Raises:
        ValueError: there is not one weight for each class.
    """
    if len(weights) != classes:
        raise ValueError(f"there must be one weight for each of the {classes} classes, got {len(weights)}")
    return weights.to(labels.device)[torch.where(valid, labels, 0)]
