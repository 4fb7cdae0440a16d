"""Bootstrapping loss for noisy labels (Reed et al. 2015, arXiv 1412.6596, section 3)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from ablata.losses.classification.base import Fraction, LabelLoss, LabelLossSettings


class Bootstrap(LabelLossSettings):
    """Bootstrapping: the target is beta t + (1 - beta) q, with q from the network's own prediction p."""

    kind: Literal["bootstrap"] = "bootstrap"
    form: Literal["soft", "hard"] = "hard"
    """soft: q = p, through which the gradient goes (equation 6: the entropy of p is minimised too); hard: q is the
    one-hot vector of the predicted class (equation 7)."""
    beta: Fraction = 0.8
    """Weight of the given target: the paper has 0.8 for hard and 0.95 for soft; 1 is cross-entropy."""

    def build(self) -> BootstrapLoss:
        """Make the loss."""
        return BootstrapLoss(self)


class BootstrapLoss(LabelLoss):
    """Mean over the batch; linear in its target.

    Args:
        settings: see `Bootstrap`.
    """

    settings: Bootstrap

    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with soft targets [B, K]."""
        beta, logs = self.settings.beta, logits.log_softmax(1)
        own = logs.exp() if self.settings.form == "soft" else F.one_hot(logits.argmax(1), logits.shape[1])
        return -((beta * target + (1 - beta) * own) * logs).sum(1)
