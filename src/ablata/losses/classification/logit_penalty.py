"""Cross-entropy with a penalty on the size of the logits (Kornblith et al. 2021, arXiv 2010.16402, section 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ablata.losses.classification.base import LabelLoss, LabelLossSettings


class LogitPenalty(LabelLossSettings):
    """Logit regularisation: cross-entropy + weight * (sum of a row's squared logits)."""

    kind: Literal["logit_penalty"] = "logit_penalty"
    weight: Annotated[float, Field(ge=0)] = 1e-4
    """Weight of the squared logits; 0 is cross-entropy. The value is ours."""

    def build(self) -> LogitPenaltyLoss:
        """Make the loss."""
        return LogitPenaltyLoss(self)


class LogitPenaltyLoss(LabelLoss):
    """Mean over the batch; the two forms of mixed labels agree.

    Args:
        settings: see `LogitPenalty`.
    """

    settings: LogitPenalty

    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with soft targets [B, K]."""
        return F.cross_entropy(logits, target, reduction="none") + self.settings.weight * logits.square().sum(1)
