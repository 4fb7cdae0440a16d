"""Batch-hard triplet loss: pull each image's farthest image of its class nearer than the nearest of another."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ablata.losses.embedding.base import EmbeddingLossSettings
from ablata.nn.dtypes import as_float32


class Triplet(EmbeddingLossSettings):
    """Batch-hard triplet loss (Hermans et al. 2017, arXiv 1703.07737, equation 5; soft margin: section 2).

    It needs several images of each class in a batch: data.sampling=balanced.
    """

    kind: Literal["triplet"] = "triplet"
    margin: Annotated[float, Field(gt=0)] | None = None
    """How much nearer, in the features' own scale; null is the soft margin ln(1 + exp(.)), which never lets go."""

    def build(self) -> TripletLoss:
        """Make the loss."""
        return TripletLoss(self.margin, self.weight)


class TripletLoss(nn.Module):
    """Mean over anchors of [d(a, p) - d(a, n) + margin]+, or ln(1 + exp(d(a, p) - d(a, n))); d is Euclidean.

    p is the anchor's farthest image of the same class, n the nearest of another, both within the batch that one
    process computes at once.

    Args:
        margin: in the features' scale, or None for the soft margin.
        weight: factor on it.
    """

    def __init__(self, margin: float | None = None, weight: float = 1.0) -> None:
        super().__init__()
        self.margin, self.weight = margin, weight

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar, in float32 at least; 0 where no anchor has both a positive and a negative.

        Args:
            features: [B, D] float.
            labels: [B] int64.
        """
        with torch.autocast(features.device.type, enabled=False):
            features = as_float32(features)
            distances = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
            same = labels[:, None] == labels
            others = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
            farthest = distances.masked_fill(~others, -torch.inf).max(dim=1).values
            nearest = distances.masked_fill(same, torch.inf).min(dim=1).values
            complete = others.any(1) & ~same.all(1)
            gap = torch.where(complete, farthest, 0.0) - torch.where(complete, nearest, 0.0)
            losses = F.softplus(gap) if self.margin is None else F.relu(gap + self.margin)
            return self.weight * (torch.where(complete, losses, 0.0).sum() / complete.sum().clamp(min=1))
