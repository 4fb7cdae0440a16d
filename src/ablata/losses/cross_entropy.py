"""Cross-entropy of logits against labels, with label smoothing and the two labels of mixed pictures."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings


class CrossEntropy(Settings):
    """Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share s of the target spread evenly over all K classes: s / K off the label, 1 - s + s / K on it."""

    def build(self) -> CrossEntropyLoss:
        """Make the loss."""
        return CrossEntropyLoss(self.smoothing)


class CrossEntropyLoss(nn.Module):
    """Mean cross-entropy in float32 at least.

    Args:
        smoothing: s, as in the settings.
    """

    def __init__(self, smoothing: float = 0.0) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        partner: Tensor | None = None,
        weight: Tensor | None = None,
        form: Literal["labels", "losses"] = "labels",
    ) -> Tensor:
        """Return the mean over the batch, a scalar.

        Args:
            logits: [B, K] float.
            labels: [B] int64 in [0, K).
            partner: [B] int64 in [0, K), the label of the picture mixed in, or None where nothing is mixed.
            weight: [B] float in [0, 1], the share of `labels`; the partner has the rest. Given with `partner`.
            form: how two labels count. labels: one target that holds both; losses: the weighted sum of both losses. The
                values agree up to rounding, since cross-entropy is linear in its target.

        Raises:
            ValueError: only one of `partner` and `weight` is given.
        """
        if (partner is None) != (weight is None):
            raise ValueError("`partner` and `weight` must be given together")
        logits = logits.float() if logits.element_size() < 4 else logits
        if partner is None or weight is None:
            return F.cross_entropy(logits, labels, label_smoothing=self.smoothing)
        share = weight.to(logits.dtype)
        if form == "labels":
            target = logits.new_zeros(logits.shape)
            target.scatter_add_(1, labels[:, None], share[:, None])
            target.scatter_add_(1, partner[:, None], 1 - share[:, None])
            return F.cross_entropy(logits, target, label_smoothing=self.smoothing)
        first = F.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
        second = F.cross_entropy(logits, partner, label_smoothing=self.smoothing, reduction="none")
        return (share * first + (1 - share) * second).mean()
