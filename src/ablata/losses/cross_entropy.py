"""Cross-entropy of logits against labels, with label smoothing in two forms and the two labels of mixed pictures.

Letters: B rows, K classes, t a row's target, p = softmax(logits).
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings


class CrossEntropy(Settings):
    """Cross-entropy with label smoothing (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share s of the target spread evenly over all K classes: s / K off the label, 1 - s + s / K on it."""
    on: Annotated[float, Field(gt=0, le=1)] | None = None
    """Target on the label, given with `off` in place of smoothing; a row need not add to 1, as with 0.9 and 0.0001."""
    off: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Target on every other class, given with `on`."""
    divergence: Literal["cross_entropy", "kl"] = "cross_entropy"
    """cross_entropy: -sum t log p; kl: sum t (log t - log p), smaller by the target's entropy, of equal gradient."""

    @model_validator(mode="after")
    def _one_form(self) -> CrossEntropy:
        if (self.on is None) != (self.off is None):
            raise ValueError(f"on and off must be given together, got on={self.on}, off={self.off}")
        if self.on is not None and self.smoothing:
            raise ValueError(
                f"on and off stand in place of smoothing: set smoothing=0, got smoothing={self.smoothing}, on={self.on}"
            )
        return self

    def build(self) -> CrossEntropyLoss:
        """Make the loss."""
        return CrossEntropyLoss(self)


class CrossEntropyLoss(nn.Module):
    """Mean over the batch, in float32 at least.

    Args:
        settings: see `CrossEntropy`.
    """

    def __init__(self, settings: CrossEntropy) -> None:
        super().__init__()
        self.settings = settings

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
                gradients agree up to rounding, and so do the values of cross-entropy, which is linear in its target.

        Raises:
            ValueError: only one of `partner` and `weight` is given.
        """
        if (partner is None) != (weight is None):
            raise ValueError("`partner` and `weight` must be given together")
        logits = logits.float() if logits.element_size() < 4 else logits
        if partner is None or weight is None:
            return self._rows(logits, labels).mean()
        if form == "labels":
            return self._against(logits, self.target(labels, logits.shape[1], partner, weight, logits.dtype)).mean()
        share = weight.to(logits.dtype)
        return (share * self._rows(logits, labels) + (1 - share) * self._rows(logits, partner)).mean()

    def target(
        self,
        labels: Tensor,
        classes: int,
        partner: Tensor | None = None,
        weight: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return the targets [B, K] that labels stand for, smoothed and mixed.

        Args:
            labels: [B] int64 in [0, K).
            classes: K.
            partner: as for `forward`.
            weight: as for `forward`.
            dtype: of the targets.
        """
        on, off = self._pair(classes)
        share = labels.new_ones(len(labels), dtype=dtype) if weight is None else weight.to(dtype)
        target = labels.new_zeros(len(labels), classes, dtype=dtype)
        target.scatter_add_(1, labels[:, None], share[:, None])
        if partner is not None:
            target.scatter_add_(1, partner[:, None], 1 - share[:, None])
        return target.mul_(on - off).add_(off)

    def _pair(self, classes: int) -> tuple[float, float]:
        """Return the target on the label and off it."""
        if self.settings.on is not None and self.settings.off is not None:
            return self.settings.on, self.settings.off
        off = self.settings.smoothing / classes
        return 1 - self.settings.smoothing + off, off

    def _rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss [B] of each row against its label."""
        if self.settings.on is None and self.settings.divergence == "cross_entropy":
            return F.cross_entropy(logits, labels, label_smoothing=self.settings.smoothing, reduction="none")
        return self._against(logits, self.target(labels, logits.shape[1], dtype=logits.dtype))

    def _against(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of each row against its target [B, K]."""
        loss = -(target * logits.log_softmax(1)).sum(1)
        return loss if self.settings.divergence == "cross_entropy" else loss + torch.xlogy(target, target).sum(1)
