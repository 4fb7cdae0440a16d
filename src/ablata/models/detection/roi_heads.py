"""RoI heads: sampling, features, and box predictors of one or more cascade stages, perhaps with relations.

Fast R-CNN's head (Girshick 2015), Cascade R-CNN's stages (Cai & Vasconcelos 2018, arXiv 1712.00726), and relations
before the last stage. A later stage looks at boxes that the earlier one refined, or at the same ones. What relations
are told of a region is always said of the very box that is enriched: refined boxes are scored again.

Shapes: N regions of all images, R of one image (padded), D features of a region, C classes with the background.

    pooled   [N, channels, P, P]      features  [N, D]      logits  [N, C]      deltas  [N, 4] or [N, 4 C]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher
from torchvision.ops import box_iou

from ablata.base.settings import Settings
from ablata.models.detection.ignored import IGNORED, ignore_covered
from ablata.models.detection.relations.spatial_relation import SpatialRelation
from ablata.models.detection.relations.stage import RelationContext, RelationStage
from ablata.models.detection.roi_align import MultiLevelRoiAlign
from ablata.structures.detection import Objects


class CascadeStage(Settings):
    """One stage of the RoI heads, as in Cascade R-CNN."""

    boxes: Literal["same", "refined"] = "same"
    """Look at the boxes of the stage before, or at what it made of them."""
    iou_threshold: Annotated[float, Field(gt=0, le=1)] = 0.5
    """IoU threshold from which a region is foreground."""
    bbox_reg_std: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    """Standard deviations that box regression targets are divided by."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the stage's loss; 0: it does not learn, as where only new boxes are in the loss, and detections do not
    take its scores."""
    class_weight: Annotated[float, Field(ge=0)] = 1.0
    """Further factor on its loss of classes."""


class RoiSampling(Settings):
    """Sampling of proposals for the loss of the RoI heads."""

    batch_size_per_image: Annotated[int, Field(ge=1)] = 512
    """Regions of an image that contribute to the loss."""
    positive_fraction: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Largest fraction of foreground regions among them; an image without objects has background regions alone."""


@dataclass(frozen=True)
class RoiSamples:
    """Regions of interest of a batch, image by image.

    Attributes:
        boxes: float [n, 4] each.
        added: bool [n] each: boxes of the truth, which no relation may look at.
        labels: int64 [n] each, 0 the background, -1 ignored; empty in testing.
        matches: int64 [n] each, the object that a region overlaps most; empty in testing.
    """

    boxes: list[Tensor]
    added: list[Tensor]
    labels: list[Tensor]
    matches: list[Tensor]

    @property
    def counts(self) -> list[int]:
        """Return how many regions each image has."""
        return [len(boxes) for boxes in self.boxes]


@dataclass(frozen=True)
class StageOutput:
    """Output of one stage of the RoI heads.

    Attributes:
        candidates: the regions.
        logits: float [N, C].
        deltas: float [N, 4] or [N, 4 C].
    """

    rois: RoiSamples
    logits: Tensor
    deltas: Tensor


class RoiPredictor(nn.Module):
    """Box predictor of a stage: classification and box regression.

    Args:
        settings: of the stage.
        features: of a region.
        classes: C.
        agnostic: one box a region, not one a class.
        dropout: fraction of the features that is dropped in training.
    """

    def __init__(
        self, settings: CascadeStage, features: int, classes: int, agnostic: bool, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.settings, self.agnostic = settings, agnostic
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(features, classes)
        self.regressor = nn.Linear(features, 4 if agnostic else 4 * classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.normal_(self.regressor.weight, std=0.001)
        for layer in (self.classifier, self.regressor):
            nn.init.zeros_(layer.bias)
        self.coder: Any = BoxCoder(tuple(1 / deviation for deviation in settings.bbox_reg_std))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits and box deltas in float32."""
        features = self.dropout(features)
        return self.classifier(features).float(), self.regressor(features).float()

    def decode_boxes(self, boxes: Tensor, deltas: Tensor) -> Tensor:
        """Return [N, 4] or [N, C, 4], boxes [N, 4] as moved by the deltas."""
        moved: Tensor = self.coder.decode_single(deltas, boxes)
        return moved if self.agnostic else moved.view(len(boxes), deltas.shape[1] // 4, 4)

    def loss(self, scored: StageOutput, objects: Sequence[Objects], name: str) -> dict[str, Tensor]:
        """Return the losses of classes and boxes, weights included."""
        labels = torch.cat(scored.rois.labels)
        rows = torch.nonzero(labels > 0)[:, 0]
        boxes = torch.cat(scored.rois.boxes)
        pairs = zip(objects, scored.rois.matches, strict=True)
        truth = torch.cat(
            [image.boxes[match] if len(image) else image.boxes.new_zeros(len(match), 4) for image, match in pairs]
        )
        wanted = self.coder.encode_single(truth[rows], boxes[rows])
        deltas = scored.deltas[rows]
        if not self.agnostic:
            deltas = deltas.view(len(rows), scored.logits.shape[1], 4)[torch.arange(len(rows)), labels[rows]]
        moved = F.smooth_l1_loss(deltas, wanted, beta=1 / 9, reduction="sum") / max(len(labels), 1)
        weight = self.settings.weight
        classified = _classified(scored.logits, labels, any(image.ignored is not None for image in objects))
        return {f"class{name}": weight * self.settings.class_weight * classified, f"box{name}": weight * moved}


def _classified(logits: Tensor, labels: Tensor, some_ignored: bool) -> Tensor:
    """Return the mean cross-entropy of the regions that are not ignored; 0 where all are."""
    if not some_ignored:
        return F.cross_entropy(logits, labels)
    summed = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return summed / (labels != IGNORED).sum().clamp(min=1)


class RoiFeatureHead(nn.Module):
    """RoI features: two linear layers on pooled regions, perhaps with relations, or a network's last stage.

    Args:
        channels: of the pooled maps.
        pool: their side.
        width: of the linear layers.
        tail: the last stage, in whose place the linear layers would stand; None: those.
        tail_channels: what it gives.
        relation: relations between regions after each linear layer.
    """

    def __init__(
        self,
        channels: int,
        pool: int,
        width: int,
        tail: nn.Module | None,
        tail_channels: int,
        relation: SpatialRelation | None,
    ) -> None:
        super().__init__()
        self.tail, self.features = tail, width if tail is None else tail_channels
        if tail is None:
            self.layers = nn.ModuleList([nn.Linear(channels * pool**2, width), nn.Linear(width, width)])
            made = [relation.build(width) for _ in self.layers] if relation is not None else []
            self.relations = nn.ModuleList(made)

    def forward(self, pool_rois: Tensor, context: RelationContext, counts: list[int]) -> Tensor:
        """Return [N, D]."""
        if self.tail is not None:
            maps: Tensor = self.tail(pool_rois)
            return maps.mean((2, 3))
        features = pool_rois.flatten(1)
        for number, layer in enumerate(self.layers):
            features = layer(features)
            if len(self.relations):
                module = self.relations[number]
                features = features + unpad_rois(
                    module(pad_rois(features, counts), context.boxes, context.keys), counts
                )
            features = F.relu(features)
        return features


class RoiHeads(nn.Module):
    """RoI heads of all stages.

    Args:
        heads: of each stage; the last sees enriched features where there are relations.
        describers: one for all stages, or one for each.
        pool: what takes regions out of the maps.
        relations: what enriches them before the last stage.
    """

    def __init__(
        self,
        heads: Sequence[RoiPredictor],
        describers: Sequence[RoiFeatureHead],
        pool: MultiLevelRoiAlign,
        relations: RelationStage | None,
    ) -> None:
        super().__init__()
        self.heads, self.describers = nn.ModuleList(heads), nn.ModuleList(describers)
        self.pool, self.relations = pool, relations

    def forward(
        self,
        maps: list[Tensor],
        canvas: tuple[int, int],
        sizes: list[tuple[int, int]],
        rois: RoiSamples,
        objects: Sequence[Objects] | None,
    ) -> list[StageOutput]:
        """Return the output of each stage.

        Args:
            maps: feature maps that regions are taken from.
            canvas: height and width of the batch.
            sizes: of each image in it.
            candidates: regions of the first stage.
            objects: the truth that refined boxes are matched with; None in testing.
        """
        scored: list[StageOutput] = []
        features: Tensor | None = None
        for number, head in enumerate(self.heads):
            assert isinstance(head, RoiPredictor)
            describer = self.describers[min(number, len(self.describers) - 1)]
            if scored and head.settings.boxes == "refined":
                rois = self._refine(scored[-1], number, sizes, objects)
                features = None
            context = relation_context(rois, maps, canvas, sizes)
            if features is None or len(self.describers) > 1:
                features = describer(self.pool_rois(maps, rois.boxes, canvas), context, rois.counts)
            seen = features
            if self.relations is not None and number == len(self.heads) - 1:
                before = self.heads[number - 1]
                assert isinstance(before, RoiPredictor)
                known = pad_rois(features, rois.counts)
                scores = before.classifier(known).float().softmax(2)
                seen = unpad_rois(self.relations(known, scores, before.classifier, context), rois.counts)
            scored.append(StageOutput(rois, *head(seen)))
        return scored

    def count_forward(self, pool_rois: Tensor, context: RelationContext, counts: list[int]) -> list[Tensor]:
        """Run every layer once on regions that are cut out already, and return what the stages give."""
        results: list[Tensor] = []
        features: Tensor | None = None
        for number, head in enumerate(self.heads):
            assert isinstance(head, RoiPredictor)
            describer = self.describers[min(number, len(self.describers) - 1)]
            if features is None or len(self.describers) > 1 or head.settings.boxes == "refined":
                features = describer(pool_rois, context, counts)
            seen = features
            if self.relations is not None and number == len(self.heads) - 1:
                before, known = self.heads[number - 1], pad_rois(features, counts)
                assert isinstance(before, RoiPredictor)
                scores = before.classifier(known).softmax(2)
                seen = unpad_rois(self.relations(known, scores, before.classifier, context), counts)
            results += head(seen)
        return results

    def pool_rois(self, maps: list[Tensor], boxes: list[Tensor], canvas: tuple[int, int]) -> Tensor:
        """Return the regions' cut-outs, [N, channels, P, P]."""
        cut: Tensor = self.pool(maps, boxes, canvas)
        return cut

    def _refine(
        self, before: StageOutput, number: int, sizes: list[tuple[int, int]], objects: Sequence[Objects] | None
    ) -> RoiSamples:
        """Return the boxes that a stage made, each at the place of the one it was made from."""
        maker, head = self.heads[number - 1], self.heads[number]
        assert isinstance(maker, RoiPredictor)
        assert isinstance(head, RoiPredictor)
        moved = maker.decode_boxes(torch.cat(before.rois.boxes), before.deltas.detach())
        parts = torch.split(moved, before.rois.counts)
        boxes = [clip_boxes(part, size) for part, size in zip(parts, sizes, strict=True)]
        if objects is None:
            return RoiSamples(boxes, before.rois.added, [], [])
        found = [
            match_rois(part, target, head.settings.iou_threshold) for part, target in zip(boxes, objects, strict=True)
        ]
        return RoiSamples(boxes, before.rois.added, [labels for labels, _ in found], [matches for _, matches in found])


def sample_rois(
    proposals: Sequence[Tensor], objects: Sequence[Objects], iou_threshold: float, settings: RoiSampling
) -> RoiSamples:
    """Sample the proposals that contribute to the loss; ground truth boxes are added behind them.

    Regions keep their order, in falling order of objectness. An image without objects gives background alone; one of
    which all is ignored gives a region that is.
    """
    sampler: Any = BalancedPositiveNegativeSampler(settings.batch_size_per_image, settings.positive_fraction)
    boxes, added, labels, matches = [], [], [], []
    for proposed, truth in zip(proposals, objects, strict=True):
        every = torch.cat([proposed, truth.boxes.to(proposed.dtype)])
        found, nearest = match_rois(every, truth, iou_threshold)
        positive, negative = sampler([found])
        chosen = torch.nonzero(positive[0].bool() | negative[0].bool())[:, 0]
        if not len(chosen):
            chosen = torch.zeros(min(1, len(every)), dtype=torch.int64, device=every.device)
        boxes.append(every[chosen])
        added.append(chosen >= len(proposed))
        labels.append(found[chosen])
        matches.append(nearest[chosen])
    return RoiSamples(boxes, added, labels, matches)


def match_rois(boxes: Tensor, objects: Objects, iou_threshold: float) -> tuple[Tensor, Tensor]:
    """Match boxes to objects by IoU.

    Returns:
        Each box's class (0: background, -1: ignored) and the object that it overlaps most, int64 [n] each.
    """
    if not len(objects):
        nothing = torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        return ignore_covered(nothing, boxes, objects), nothing.clone()
    matcher: Any = Matcher(iou_threshold, iou_threshold, allow_low_quality_matches=False)
    found = matcher(box_iou(objects.boxes, boxes))
    nearest = found.clamp(min=0)
    return ignore_covered(torch.where(found >= 0, objects.labels[nearest] + 1, 0), boxes, objects), nearest


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes [n, 4] cut to an image, each at least a pixel wide and high."""
    height, width = size
    limit = boxes.new_tensor([width, height])
    low = torch.minimum(boxes[:, :2].clamp(min=0), limit - 1)
    high = torch.minimum(boxes[:, 2:], limit).maximum(low + 1)
    return torch.cat([low, high], dim=1)


def relation_context(
    rois: RoiSamples, maps: Sequence[Tensor], canvas: tuple[int, int], sizes: Sequence[tuple[int, int]]
) -> RelationContext:
    """Return the context of relations: boxes, mask of regions, feature maps."""
    boxes = nn.utils.rnn.pad_sequence(rois.boxes, batch_first=True)
    keys = nn.utils.rnn.pad_sequence([~added for added in rois.added], batch_first=True)
    valid_fraction = torch.tensor(
        [[height / canvas[0], width / canvas[1]] for height, width in sizes], device=boxes.device
    )
    return RelationContext(boxes, keys, maps, valid_fraction)


def pad_rois(features: Tensor, counts: list[int]) -> Tensor:
    """Return [B, R, D] from [N, D], zeros behind the regions of an image that has fewer than others."""
    return nn.utils.rnn.pad_sequence(list(torch.split(features, counts)), batch_first=True)


def unpad_rois(features: Tensor, counts: list[int]) -> Tensor:
    """Return [N, D] from [B, R, D]: what `pad_rois` filled."""
    return torch.cat([row[:count] for row, count in zip(features, counts, strict=True)])
