"""Base of classification losses: label smoothing, and the two labels of images mixed by mixup or CutMix.

Letters: B rows, K classes, t a row's target, p = softmax(logits).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.nn.dtypes import as_float32

Fraction = Annotated[float, Field(ge=0, le=1)]


class LabelLossSettings(Settings):
    """Base of the settings of classification losses, with label smoothing; not itself a choice.

    Source of label smoothing: Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """

    smoothing: float = Field(default=0.0, ge=0, lt=1)
    """s: label smoothing; the target is 1 - s + s / K on the label and s / K on every other of the K classes."""

    def target_values(self, classes: int) -> tuple[float, float]:
        """Return the target on the label, and that on every other of `classes`."""
        off = self.smoothing / classes
        return 1 - self.smoothing + off, off

    @abstractmethod
    def build(self) -> LabelLoss:
        """Make the loss."""


class LabelLoss(nn.Module):
    """Base of classification losses: the mean over the batch, in float32 at least; a subclass defines `soft_loss`.

    Args:
        settings: label smoothing, and what the subclass needs.
    """

    def __init__(self, settings: LabelLossSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        labels_b: Tensor | None = None,
        lam: Tensor | None = None,
        mix_target: Literal["labels", "losses"] = "labels",
    ) -> Tensor:
        """Return the mean over the batch, a scalar.

        Args:
            logits: [B, K] float.
            labels: [B] int64 in [0, K).
            labels_b: [B] int64 in [0, K), the labels of the images mixed in; None: nothing is mixed.
            lam: [B] float in [0, 1], the weight of `labels`; `labels_b` have 1 - lam. Given with `labels_b`.
            mix_target: how two labels count. labels: one target that holds both; losses: the weighted sum of both
                losses. The two agree, up to rounding, for a loss that is linear in its target.

        Raises:
            ValueError: only one of `labels_b` and `lam` is given.
        """
        if (labels_b is None) != (lam is None):
            raise ValueError("`labels_b` and `lam` must be given together")
        logits = as_float32(logits)
        if labels_b is None or lam is None:
            return self.hard_loss(logits, labels).mean()
        if mix_target == "labels":
            return self.soft_loss(logits, self.target(labels, logits.shape[1], labels_b, lam, logits.dtype)).mean()
        lam = lam.to(logits.dtype)
        return (lam * self.hard_loss(logits, labels) + (1 - lam) * self.hard_loss(logits, labels_b)).mean()

    def target(
        self,
        labels: Tensor,
        classes: int,
        labels_b: Tensor | None = None,
        lam: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return the smoothed and mixed targets [B, K] of labels.

        Args:
            labels: [B] int64 in [0, K).
            classes: K.
            labels_b: as for `forward`.
            lam: as for `forward`.
            dtype: of the targets.
        """
        on, off = self.settings.target_values(classes)
        lam = labels.new_ones(len(labels), dtype=dtype) if lam is None else lam.to(dtype)
        target = labels.new_zeros(len(labels), classes, dtype=dtype)
        target.scatter_add_(1, labels[:, None], lam[:, None])
        if labels_b is not None:
            target.scatter_add_(1, labels_b[:, None], 1 - lam[:, None])
        return target.mul_(on - off).add_(off)

    def hard_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with labels int64 [B]."""
        return self.soft_loss(logits, self.target(labels, logits.shape[1], dtype=logits.dtype))

    @abstractmethod
    def soft_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss [B] of logits [B, K] with soft targets [B, K]."""
