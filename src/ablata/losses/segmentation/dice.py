"""Soft Dice loss: one minus the overlap of prediction and truth, by class (Milletari et al. 2016, arXiv 1606.04797)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings, mean_over
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.upsample_rows import upsample_rows


class Dice(PixelLossSettings):
    """Soft Dice loss of softmax probabilities."""

    kind: Literal["dice"] = "dice"
    classes: Literal["present", "all"] = "present"
    """Mean over the classes that the truth holds, or over all of them."""
    background: bool = True
    """Whether class 0 has a part in the mean; false where it is a background, as of one kind of object on it."""
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
        if not self.settings.background:
            losses, counted = losses[:, 1:], counted[:, 1:]
        each = torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp(min=1)
        return mean_over(each, counted.any(1))

    def _sums(self, logits: Tensor, labels: Tensor, position: tuple[int, int]) -> Tensor:
        """Return [3, B, K]: overlap, predicted and true, summed over a chunk."""
        probability = upsample_rows(logits, labels, position).softmax(1)
        valid = (labels != self.ignore)[:, None]
        truth = F.one_hot(torch.where(valid[:, 0], labels, 0), logits.shape[1]).movedim(-1, 1) * valid
        power = probability.square() if self.settings.squared else probability
        return torch.stack([(part * valid).sum((2, 3)) for part in (probability * truth, power, truth)])


class CrossEntropyDice(PixelLossSettings):
    """Weighted sum of cross-entropy and soft Dice (Isensee et al. 2021, nnU-Net); each has its own `implementation`."""

    kind: Literal["cross_entropy_dice"] = "cross_entropy_dice"
    cross_entropy: PixelCrossEntropy = PixelCrossEntropy()
    """Pixel-wise cross-entropy."""
    dice: Dice = Dice()
    """Soft Dice."""
    cross_entropy_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the cross-entropy."""
    dice_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the Dice loss."""

    def build(self, ignore: int = IGNORE) -> CrossEntropyDiceLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return CrossEntropyDiceLoss(self, ignore)


class CrossEntropyDiceLoss(PixelLoss):
    """a x cross-entropy + b x Dice.

    Args:
        settings: see `CrossEntropyDice`.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: CrossEntropyDice, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings
        self.cross_entropy_loss, self.dice_loss = settings.cross_entropy.build(ignore), settings.dice.build(ignore)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        settings = self.settings
        both: Tensor = settings.cross_entropy_weight * self.cross_entropy_loss(logits, labels)
        dice: Tensor = self.dice_loss(logits, labels)
        return both + settings.dice_weight * dice
