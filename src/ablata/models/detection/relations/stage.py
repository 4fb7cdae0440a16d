"""Relations in a detector: where they enter, in which order, and how their features are combined.

Shapes: B images, R regions of an image (padded), C classes with the background, D RoI features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from ablata.base.settings import Settings
from ablata.models.detection.relations.class_relation import ClassRelation
from ablata.models.detection.relations.spatial_relation import SpatialRelation

_Gain = tuple[Tensor, Literal["add", "concat"]]
"""Features of a relation, and how they are combined with the RoI features."""


class Relations(Settings):
    """Class relations and object relations of a detector."""

    classes: ClassRelation | None = ClassRelation()
    """Relations between classes, before the last stage; null: none."""
    spatial: SpatialRelation | None = None
    """Relations between regions; null: none."""
    spatial_position: Literal["stage", "head"] = "stage"
    """stage: before the last stage; head: after each linear layer of the region head, as in Relation Networks."""
    order: Literal["class_first", "spatial_first", "parallel"] = "class_first"
    """class_first: object relations see the features enhanced by class relations; spatial_first: the other way round;
    parallel: both see the RoI features."""

    @model_validator(mode="after")
    def _has_some(self) -> Self:
        if self.classes is None and self.spatial is None:
            raise ValueError("relations need classes or spatial; for a detector without them set model.relations=null")
        if self.spatial is None or self.spatial.combine == "add":
            return self
        if self.spatial_position == "head":
            raise ValueError("spatial_position=head needs spatial.combine=add")
        if self.classes is not None and self.order == "spatial_first":
            raise ValueError(
                "order=spatial_first needs spatial.combine=add: the classifier cannot take concatenated features"
            )
        return self

    @property
    def at_stage(self) -> SpatialRelation | None:
        """The relations between regions, if they enter before the last stage."""
        return self.spatial if self.spatial_position == "stage" else None

    def features(self, width: int) -> int:
        """Return the number of features of a region in the last stage, from `width` before."""
        classes, spatial = self.classes, self.at_stage
        out_features = classes.out_features(width) if classes is not None and classes.combine == "concat" else 0
        if spatial is None or spatial.combine == "add":
            return width + out_features
        return width + out_features + self.query_features(width)

    def query_features(self, width: int) -> int:
        """Return the number of features that object relations see before the last stage, from `width` before."""
        classes = self.classes
        if classes is None or classes.combine == "add" or self.order != "class_first":
            return width
        return width + classes.out_features(width)


@dataclass(frozen=True)
class RelationContext:
    """Context of relations: boxes and feature maps.

    Attributes:
        boxes: float [B, R, 4].
        keys: bool [B, R], regions that may be keys.
        maps: feature maps of the images.
        valid_fraction: float [B, 2], the fraction of height and width that each image fills.
    """

    boxes: Tensor
    keys: Tensor
    maps: Sequence[Tensor]
    valid_fraction: Tensor


class RelationStage(nn.Module):
    """Relations before the last stage of the RoI heads.

    Args:
        settings: which relations, in which order.
        width: D.
        channels: of all feature maps together.
        graph: float [C, C].
    """

    def __init__(self, settings: Relations, width: int, channels: int, graph: Tensor) -> None:
        super().__init__()
        self.settings = settings
        self.classes = None if settings.classes is None else settings.classes.build(width, channels, graph)
        self.spatial = None if settings.at_stage is None else settings.at_stage.build(settings.query_features(width))

    def forward(self, features: Tensor, scores: Tensor, classifier: nn.Linear, context: RelationContext) -> Tensor:
        """Return the enhanced features, [B, R, `Relations.features(D)`].

        Args:
            features: [B, R, D].
            scores: [B, R, C], the earlier stage's probabilities of these very regions.
            classifier: that stage's.
            context: boxes and maps.
        """
        foreground = scores.argmax(2) != 0
        gains: list[_Gain] = []
        if self.spatial is not None and self.settings.order != "class_first":
            looked = self.spatial(features, context.boxes, context.keys, foreground)
            gains.append((looked, self.spatial.settings.combine))
        if self.classes is not None:
            if self.settings.order == "spatial_first":
                scores = classifier(_combine(features, gains)).float().softmax(2)
            weights = torch.cat([classifier.weight, classifier.bias[:, None]], dim=1)
            known = self.classes(scores, weights, context.maps, context.valid_fraction).to(features.dtype)
            gains.append((known, self.classes.settings.combine))
        enriched = _combine(features, gains)
        if self.spatial is None or self.settings.order != "class_first":
            return enriched
        looked = self.spatial(enriched, context.boxes, context.keys, foreground)
        return _combine(enriched, [(looked, self.spatial.settings.combine)])


def _combine(features: Tensor, gains: Sequence[_Gain]) -> Tensor:
    """Return features [B, R, D] with gains added or concatenated."""
    beside = []
    for gain, combine in gains:
        if combine == "concat":
            beside.append(gain)
        else:
            features = features + gain
    return torch.cat([features, *beside], dim=2) if beside else features
