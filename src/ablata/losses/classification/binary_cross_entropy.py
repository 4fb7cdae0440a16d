"""Binary cross-entropy of classes, with soft targets (Wightman et al. 2021, arXiv 2110.00476, section 3)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor

from ablata.losses.classification.base import Fraction, LabelLoss, LabelLossSettings


class BinaryCrossEntropy(LabelLossSettings):
    """Binary cross-entropy of the sigmoid of each logit with the smoothed, mixed target of its class."""

    kind: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    threshold: Fraction | None = None
    """Targets above this count as one, others as zero: with 0, both labels of a mixed image are fully there (the
    paper's second ablation); null: targets as they are."""
    reduction: Literal["mean", "sum"] = "mean"
    """Over the classes of a row: the mean (timm; learning rates are then larger), or the sum."""

    @model_validator(mode="after")
    def _smoothed_classes_stay_below(self) -> BinaryCrossEntropy:
        if self.threshold is not None and self.smoothing > self.threshold:
            raise ValueError(
                "threshold >= smoothing must hold, or the classes that only smoothing fills would count as one, got "
                f"threshold={self.threshold}, smoothing={self.smoothing}"
            )
        return self

    def build(self) -> BinaryCrossEntropyLoss:
        """Make the loss."""
        return BinaryCrossEntropyLoss(self)


class BinaryCrossEntropyLoss(LabelLoss):
    """Mean over the batch; linear in its target unless there is a threshold.

    Args:
        settings: see `BinaryCrossEntropy`.
    """

    settings: BinaryCrossEntropy

    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with soft targets [B, K]."""
        if self.settings.threshold is not None:
            target = (target > self.settings.threshold).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return loss.mean(1) if self.settings.reduction == "mean" else loss.sum(1)
