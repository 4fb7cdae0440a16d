"""What losses against class labels have in common: smoothed targets, and the two labels of mixed images.

Letters: B rows, K classes, t a row's target, p = softmax(logits).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings

Share = Annotated[float, Field(ge=0, le=1)]


class LabelLossSettings(Settings):
    """Base of the settings of classification losses, with label smoothing; not itself a choice.

    Source of label smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """

    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share s of the target spread evenly over all K classes: s / K off the label, 1 - s + s / K on it."""

    def pair(self, classes: int) -> tuple[float, float]:
        """Return the target on the label and off it, of K `classes`."""
        off = self.smoothing / classes
        return 1 - self.smoothing + off, off

    @abstractmethod
    def build(self) -> LabelLoss:
        """Make the loss."""


class LabelLoss(nn.Module):
    """Mean over the batch, in float32 at least, of a loss that a subclass defines for a row and its target.

    Args:
        settings: the smoothing.
    """

    def __init__(self, settings: LabelLossSettings) -> None:
        super().__init__()
        self.smoothed = settings

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
            partner: [B] int64 in [0, K), the label of the image mixed in, or None where nothing is mixed.
            weight: [B] float in [0, 1], the share of `labels`; the partner has the rest. Given with `partner`.
            form: how two labels count. labels: one target that holds both; losses: the weighted sum of both losses. The
                two agree, up to rounding, for a loss that is linear in its target.

        Raises:
            ValueError: only one of `partner` and `weight` is given.
        """
        if (partner is None) != (weight is None):
            raise ValueError("`partner` and `weight` must be given together")
        logits = logits.float() if logits.element_size() < 4 else logits
        if partner is None or weight is None:
            return self.rows(logits, labels).mean()
        if form == "labels":
            return self.against(logits, self.target(labels, logits.shape[1], partner, weight, logits.dtype)).mean()
        share = weight.to(logits.dtype)
        return (share * self.rows(logits, labels) + (1 - share) * self.rows(logits, partner)).mean()

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
        on, off = self.smoothed.pair(classes)
        share = labels.new_ones(len(labels), dtype=dtype) if weight is None else weight.to(dtype)
        target = labels.new_zeros(len(labels), classes, dtype=dtype)
        target.scatter_add_(1, labels[:, None], share[:, None])
        if partner is not None:
            target.scatter_add_(1, partner[:, None], 1 - share[:, None])
        return target.mul_(on - off).add_(off)

    def rows(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss [B] of each row of logits [B, K] against its label, int64 [B]."""
        return self.against(logits, self.target(labels, logits.shape[1], dtype=logits.dtype))

    @abstractmethod
    def against(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of each row of logits [B, K] against its target [B, K]."""
