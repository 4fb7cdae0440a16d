"""Soft Dice loss: one minus the overlap of prediction and truth, by class (Milletari et al. 2016, arXiv 1606.04797)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings, mean_over
from ablata.losses.segmentation.upsample_rows import upsample_rows


class Dice(PixelLossSettings):
    """Soft Dice loss of softmax probabilities."""

    kind: Literal["dice"] = "dice"
    classes: Literal["present", "all"] = "present"
    """Mean over the classes that the truth holds, or over all of them."""
    over: Literal["batch", "image"] = "batch"
    """Sums over the whole batch, or over each image, of which the mean is taken."""
    squared: bool = True
    """Whether the denominator adds squared probabilities (the paper) or plain ones."""
    smooth: Annotated[float, Field(gt=0)] = 1e-5
    """Added to numerator and denominator."""

    def build(self, ignore: int = IGNORE) -> DiceLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return DiceLoss(self, ignore)


class DiceLoss(PixelLoss):
    """Mean over classes of 1 - (2 sum p y + s) / (sum p^2 + sum y + s), y one on the pixel's label.

    Args:
        settings: see `Dice`.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: Dice, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        chunks = self.row_chunks(logits, labels)
        sums = torch.stack([self.compute(self._sums, *chunk) for chunk in chunks]).sum(0)
        if self.settings.over == "batch":
            sums = sums.sum(1, keepdim=True)
        overlap, predicted, true = sums
        smooth = self.settings.smooth
        losses = 1 - (2 * overlap + smooth) / (predicted + true + smooth)
        counted = true > 0
        if self.settings.classes == "all":
            counted = counted.any(1, keepdim=True).expand_as(counted)
        each = torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp(min=1)
        return mean_over(each, counted.any(1))

    def _sums(self, logits: Tensor, labels: Tensor, position: tuple[int, int]) -> Tensor:
        """Return [3, B, K]: overlap, predicted and true, summed over a chunk."""
        probability = upsample_rows(logits, labels, position).softmax(1)
        valid = (labels != self.ignore)[:, None]
        truth = F.one_hot(torch.where(valid[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * valid
        power = probability.square() if self.settings.squared else probability
        return torch.stack([(part * valid).sum((2, 3)) for part in (probability * truth, power, truth)])
