"""Adaptive global reasoning over classes: a class graph propagates the classifier's weights to the RoI features.

Reasoning-RCNN (Xu et al. 2019, CVPR), with its definitions and without the faults of its public code: regions are
described by the scores of the very boxes whose features are enhanced; every image is computed by itself, however many
there are in a batch.

Shapes: B images, R regions of an image (padded), C = K + 1 classes with the background first, D RoI
features, G enhanced features, L levels, F channels of all levels together.

    weights    [C, D + 1]     the classifier's weights and bias: what the detector knows of each class (M)
    graph      [C, C]         weight that row i gives column j (A)
    attention  [B, C]         alpha = softmax over classes of s z M^T, with z from the image's feature maps
    known      [B, C, D + 1]  alpha_c (A M)_c, or (A (alpha M))_c
    semantics  [B, C, G]      E = ReLU(linear(known))
    mapped     [B, R, G]      softmax(scores of the region) E
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from ablata.base.settings import Settings


class ClassRelation(Settings):
    """Class relations (Reasoning-RCNN): graph propagation of the classifier's weights, mapped to the RoI features."""

    width: Annotated[int, Field(ge=1)] = 256
    """Enhanced features of a region, G; with combine=add the width of the RoI features is taken."""
    propagate: bool = True
    """Propagate the weights over the graph; false: soft mapping alone."""
    attention: bool = True
    """Image-wise attention over classes."""
    attention_width: Annotated[int, Field(ge=1)] = 64
    """Channels that the feature maps are reduced to for the attention."""
    attention_pool: Literal["mean", "max"] = "mean"
    """Global pooling of the feature maps: mean, as published, in which small objects drown
    (docs/results/relation_planted.md), or max."""
    attention_scale: Annotated[float, Field(gt=0)] = 1.0
    """Factor on z M^T before the softmax. At 1, as published, small weights leave the attention uniform for long."""
    attention_relu: bool = True
    """ReLU on the image's vector z."""
    attention_position: Literal["after", "before"] = "after"
    """Apply the attention after the propagation, alpha (A M), or before it, A (alpha M)."""
    gradient: Literal["detached", "through"] = "detached"
    """Whether gradients flow through the classifier's weights M."""
    reduce: Literal["linear_relu", "linear"] = "linear_relu"
    """Layer from a class's weights to the enhanced features: linear, or linear and ReLU."""
    reduce_position: Literal["before", "after"] = "before"
    """Apply that layer before the soft mapping to regions, or after it."""
    combine: Literal["concat", "add"] = "concat"
    """Concatenate the enhanced features with the RoI features, or add them."""

    def build(self, features: int, channels: int, graph: Tensor) -> ClassRelationModule:
        """Make the module.

        Args:
            features: D.
            channels: F, of all levels together.
            graph: float [C, C].
        """
        return ClassRelationModule(self, features, channels, graph)

    def out_features(self, features: int) -> int:
        """Return G for regions of `features`."""
        return features if self.combine == "add" else self.width


class ClassRelationModule(nn.Module):
    """Class relations (Reasoning-RCNN) as a module.

    Args:
        settings: variants.
        features: D.
        channels: F.
        graph: float [C, C].
    """

    graph: Tensor

    def __init__(self, settings: ClassRelation, features: int, channels: int, graph: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("graph", graph.float().clone())
        self.reduce = nn.Linear(features + 1, settings.out_features(features))
        if settings.attention:
            self.squeeze = nn.Conv2d(channels, settings.attention_width, 3, stride=2, padding=1)
            self.excite = nn.Linear(settings.attention_width, features + 1)

    def forward(self, scores: Tensor, weights: Tensor, maps: Sequence[Tensor], valid_fraction: Tensor) -> Tensor:
        """Return the enhanced features, [B, R, G].

        Args:
            scores: [B, R, C], class probabilities of each region; padded rows may hold anything.
            weights: [C, D + 1].
            maps: L feature maps [B, channels, Hl, Wl], the finest first.
            valid_fraction: [B, 2], the fraction of height and width that each image fills.
        """
        known = weights.detach() if self.settings.gradient == "detached" else weights
        semantics = self.propagate(
            known, self.attention(known, maps, valid_fraction) if self.settings.attention else None
        )
        if self.settings.reduce_position == "before":
            return scores @ self._reduce(semantics).expand(len(scores), -1, -1)
        return self._reduce(scores @ semantics.expand(len(scores), -1, -1))

    def attention(self, weights: Tensor, maps: Sequence[Tensor], valid_fraction: Tensor) -> Tensor:
        """Return the attention over classes of each image, [B, C]; rows add to one."""
        target = maps[min(2, len(maps) - 1)] if len(maps) > 3 else maps[-1]
        joined = torch.cat([_nearest(feature_map, target.shape[-2], target.shape[-1]) for feature_map in maps], dim=1)
        squeezed = self.squeeze(joined).float()
        inside = _inside(valid_fraction, squeezed.shape[-2], squeezed.shape[-1])
        if self.settings.attention_pool == "mean":
            pooled = (squeezed * inside).sum((2, 3)) / inside.sum((2, 3))
        else:
            pooled = squeezed.masked_fill(inside == 0, -torch.inf).amax((2, 3))
        vector = self.excite(pooled)
        vector = F.relu(vector) if self.settings.attention_relu else vector
        return (self.settings.attention_scale * (vector.float() @ weights.float().T)).softmax(1)

    def propagate(self, weights: Tensor, attention: Tensor | None) -> Tensor:
        """Return the classes' weights propagated over the graph, [B or 1, C, D + 1]."""
        if not self.settings.propagate:
            return weights[None] if attention is None else attention[:, :, None] * weights
        if attention is None:
            return (self.graph @ weights)[None]
        if self.settings.attention_position == "before":
            return self.graph @ (attention[:, :, None] * weights)
        return attention[:, :, None] * (self.graph @ weights)

    def _reduce(self, known: Tensor) -> Tensor:
        reduced = self.reduce(known)
        return F.relu(reduced) if self.settings.reduce == "linear_relu" else reduced


def _nearest(values: Tensor, height: int, width: int) -> Tensor:
    """Resize by nearest neighbour; a map of a multiple of the size is strided, which copies nothing."""
    (rows, more_rows), (columns, more_columns) = divmod(values.shape[-2], height), divmod(values.shape[-1], width)
    if rows and columns and not more_rows and not more_columns:
        return values[..., ::rows, ::columns]
    return F.interpolate(values, size=(height, width), mode="nearest")


def _inside(valid_fraction: Tensor, height: int, width: int) -> Tensor:
    """Return the mask of a map's valid cells, [B, 1, height, width]: 1 within the image, 0 in the padding."""
    rows = torch.arange(height, device=valid_fraction.device)[None] < (valid_fraction[:, :1] * height).ceil().clamp(
        min=1
    )
    columns = torch.arange(width, device=valid_fraction.device)[None] < (valid_fraction[:, 1:] * width).ceil().clamp(
        min=1
    )
    return (rows[:, None, :, None] & columns[:, None, None, :]).float()
