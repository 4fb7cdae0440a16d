"""Mask R-CNN (He et al. 2017, arXiv 1703.06870) on torchvision's parts, with cascade stages and relations as settings.

Without masks it is Faster R-CNN, with a pyramid or on ResNet's fourth stage (C4). See `backbones` for the
feature maps, `rpn` for proposals, `roi_heads` for the stages, `relations` for relations.

Shapes: B images, H and W of the batch, N detections of an image, C = K + 1 classes with the background first.

    images   [B, 3, H, W]     boxes [N, 4]     labels [N] in [0, K)     scores [N]     masks [N, M, M] in 0..1
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import maskrcnn_loss
from torchvision.ops import batched_nms

from ablata.base.errors import SettingsError
from ablata.base.settings import Settings
from ablata.models.detection.backbones import AnyDetectionBackbone, Fpn
from ablata.models.detection.base import Detector, DetectorSettings, ImageDetections
from ablata.models.detection.relations.stage import Relations, RelationStage
from ablata.models.detection.roi_align import MultiLevelRoiAlign
from ablata.models.detection.roi_heads import (
    CascadeStage,
    RoiFeatureHead,
    RoiHeads,
    RoiPredictor,
    RoiSamples,
    RoiSampling,
    StageOutput,
    clip_boxes,
    relation_context,
    sample_rois,
)
from ablata.models.detection.rpn import Rpn
from ablata.structures.detection import Objects


class MaskBranch(Settings):
    """Mask branch: mask prediction for each detection."""

    layers: Annotated[int, Field(ge=1)] = 4
    """Convolutions before the mask is enlarged; with a C4 backbone its last stage stands in their place."""
    width: Annotated[int, Field(ge=1)] = 256
    """Their channels."""
    roi_pool_size: Annotated[int, Field(ge=2)] = 14
    """Side of the pooled regions (RoIAlign); masks are twice as large."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the loss."""


class MaskRcnn(DetectorSettings):
    """Mask R-CNN, or without masks Faster R-CNN; with several stages Cascade R-CNN."""

    kind: Literal["mask_rcnn"] = "mask_rcnn"
    backbone: AnyDetectionBackbone = Fpn()
    rpn: Rpn = Rpn()
    roi_sampling: RoiSampling = RoiSampling()
    stages: Annotated[tuple[CascadeStage, ...], Field(min_length=1)] = (CascadeStage(),)
    """Scorings of the regions, one after the other; scores of those that learn are averaged, boxes are the last's."""
    shared_head: bool = True
    """Stages share the layers that describe a region; false: each has its own, as in Cascade R-CNN."""
    class_agnostic: bool = False
    """One box a region and not one a class; later stages with refined boxes need it."""
    roi_pool_size: Annotated[int, Field(ge=2)] = 7
    """Side of the pooled regions (RoIAlign) for boxes; with a C4 backbone usually 14, since its last stage
    follows."""
    sampling_ratio: Annotated[int, Field(ge=1)] = 2
    """Points along each side of a cut-out's cell that are read and averaged."""
    head_width: Annotated[int, Field(ge=1)] = 1024
    """Features of a region."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of a region's features that is dropped in training before each scoring."""
    masks: MaskBranch | None = MaskBranch()
    """null: boxes alone."""
    relations: Relations | None = None
    """Relations between classes and between regions; null: none."""
    score_threshold: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Score threshold of detections."""
    nms_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    """IoU threshold of non-maximum suppression between detections of a class."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.stages[0].boxes != "same":
            raise ValueError("the first of model.stages has no boxes to refine: give it boxes=same")
        if any(stage.boxes == "refined" for stage in self.stages) and not self.class_agnostic:
            raise ValueError("stages with refined boxes need one box a region: set model.class_agnostic=true")
        if self.relations is None:
            return self
        staged = self.relations.classes is not None or self.relations.at_stage is not None
        if staged and (len(self.stages) < 2 or not self.shared_head):
            raise ValueError(
                "relations before the last stage need an earlier stage that scores the same features: "
                "give model.stages two entries and model.shared_head=true"
            )
        if self.relations.spatial is not None and not staged and self.backbone.has_tail:
            raise ValueError("a C4 backbone has no linear layers for model.relations.spatial_position=head: use stage")
        return self

    def silent_terms(self) -> set[str]:
        """Return the names of loss terms whose weight is 0."""
        silent = {"mask"} if self.masks is not None and not self.masks.weight else set()
        for number, stage in enumerate(self.stages, 1):
            place = f"_{number}" if len(self.stages) > 1 else ""
            silent |= {f"class{place}"} if not stage.weight * stage.class_weight else set()
            silent |= {f"box{place}"} if not stage.weight else set()
        return silent

    def predicts_masks(self) -> bool:
        """Tell whether it has a mask branch."""
        return self.masks is not None

    def relates_classes(self) -> bool:
        """Tell whether the class graph is used."""
        return self.relations is not None and self.relations.classes is not None

    def weight_files(self) -> tuple[str, ...]:
        """Return the files of weights that the backbone begins with."""
        return self.backbone.weight_files()

    def without_weights(self) -> Self:
        """Return the detector without its file of weights."""
        return self.model_copy(update={"backbone": self.backbone.without_weights()})

    def reduced(self) -> Self:
        """Return the detector with few proposals and detections, its backbone untrained."""
        fewer = {
            "pre_nms_top_n_train": 200,
            "pre_nms_top_n_test": 200,
            "post_nms_top_n_train": 32,
            "post_nms_top_n_test": 8,
        }
        sampled = min(self.roi_sampling.batch_size_per_image, 8)
        update: dict[str, Any] = {
            "rpn": self.rpn.model_copy(
                update={name: min(count, getattr(self.rpn, name)) for name, count in fewer.items()}
            ),
            "roi_sampling": self.roi_sampling.model_copy(update={"batch_size_per_image": sampled}),
            "max_detections": min(self.max_detections, 4),
            "backbone": self.backbone.untrained(),
        }
        if self.backbone.has_tail:
            # Its last stage works on every region: a quarter of the cells, a quarter of the time.
            update["roi_pool_size"] = min(self.roi_pool_size, 7)
            update["masks"] = self.masks and self.masks.model_copy(
                update={"roi_pool_size": min(self.masks.roi_pool_size, 7)}
            )
        return self.model_copy(update=update)

    def build(self, classes: int, graph: Tensor | None = None, in_channels: int = 3) -> MaskRcnnNetwork:
        """Make the model; weights come from torch's global generator.

        Args:
            classes: K, without the background.
            graph: float [K + 1, K + 1], for relations between classes.
            in_channels: of the images.

        Raises:
            SettingsError: anchors do not fit the levels, or heads the features.
        """
        return MaskRcnnNetwork(self, classes, graph, in_channels)


class MaskRcnnNetwork(Detector):
    """The detector.

    Args:
        settings: all of it.
        classes: K.
        graph: float [K + 1, K + 1]; None: no relations between classes.
        in_channels: of the images.
    """

    def __init__(self, settings: MaskRcnn, classes: int, graph: Tensor | None, in_channels: int = 3) -> None:
        super().__init__()
        self.settings, self.classes = settings, classes + 1
        self.backbone = settings.backbone.build(in_channels)
        levels, channels = self.backbone.levels, self.backbone.channels
        if len(settings.rpn.sizes) != levels:
            raise SettingsError(
                "model.rpn.sizes must have an entry for each level",
                found=f"{len(settings.rpn.sizes)} for {levels} levels of model.backbone={settings.backbone.kind}",
                do=f"model.rpn.sizes={json.dumps([[8 * 2**level] for level in range(levels)], separators=(',', ':'))}",
            )
        self.proposals = settings.rpn.build(channels)
        # The coarsest level of a pyramid is for proposals alone.
        self.pooled_levels = max(levels - 1, 1)
        tail = self.backbone.tail
        self.backbone.tail = None
        tail_channels = self.backbone.tail_channels
        self.stages = self._stages(tail, tail_channels, channels, levels, graph)
        if settings.masks is not None:
            self._add_masks(settings.masks, channels if tail is None else tail_channels)

    def _stages(
        self,
        tail: nn.Module | None,
        tail_channels: int,
        channels: int,
        levels: int,
        graph: Tensor | None,
    ) -> RoiHeads:
        settings, relations = self.settings, self.settings.relations
        in_head = relations.spatial if relations is not None and relations.spatial_position == "head" else None
        count = 1 if settings.shared_head or tail is not None else len(settings.stages)
        try:
            heads = [
                RoiFeatureHead(channels, settings.roi_pool_size, settings.head_width, tail, tail_channels, in_head)
                for _ in range(count)
            ]
            features, stage = heads[0].features, None
            if relations is not None and (relations.classes is not None or relations.at_stage is not None):
                known = torch.eye(self.classes) if graph is None else graph
                stage = RelationStage(relations, features, channels * levels, known)
        except ValueError as error:
            raise SettingsError(
                "model.relations must fit the regions' features",
                found=str(error),
                do="change model.relations so, or switch them off: model.relations=null",
            ) from None
        widths = [features] * len(settings.stages)
        if stage is not None and relations is not None:
            widths[-1] = relations.features(features)
        scorers = [
            RoiPredictor(stage, width, self.classes, settings.class_agnostic, settings.dropout)
            for stage, width in zip(settings.stages, widths, strict=True)
        ]
        return RoiHeads(
            scorers,
            heads,
            MultiLevelRoiAlign(self.pooled_levels, settings.roi_pool_size, settings.sampling_ratio),
            stage,
        )

    def _add_masks(self, masks: MaskBranch, channels: int) -> None:
        self.mask_pool = MultiLevelRoiAlign(self.pooled_levels, masks.roi_pool_size, self.settings.sampling_ratio)
        with_tail = self.stages.describers[0].tail is not None
        self.mask_head = nn.Identity() if with_tail else MaskRCNNHeads(channels, (masks.width,) * masks.layers, 1)
        self.mask_predictor = MaskRCNNPredictor(channels if with_tail else masks.width, masks.width, self.classes)

    def forward(
        self,
        images: Tensor,
        sizes: list[tuple[int, int]] | None = None,
        objects: tuple[Objects, ...] | None = None,
        most: int | None = None,
    ) -> dict[str, Tensor] | list[ImageDetections] | tuple[Tensor, ...]:
        """Return the loss terms where there is a truth, else each image's detections.

        Args:
            images: normalised [B, in_channels, H, W], H and W multiples of 32.
            sizes: height and width of each image in the batch; None: all of it.
            objects: the truth; masks bool.
            most: boxes that are proposed in testing; None: as the settings say.
        """
        canvas = (images.shape[-2], images.shape[-1])
        sizes = sizes or [canvas] * len(images)
        levels = self.backbone(images)
        if images.is_meta:
            return self._count_forward(levels, canvas)
        self.proposals.limit_proposals(most)
        terms: dict[str, Tensor]
        proposals, terms = self.proposals(images, sizes, levels, objects)
        if objects is None:
            added = [torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device) for boxes in proposals]
            rois = RoiSamples(proposals, added, [], [])
            scored = self.stages(levels, canvas, sizes, rois, None)
            return self._detect(levels, canvas, sizes, scored)
        rois = sample_rois(proposals, objects, self.settings.stages[0].iou_threshold, self.settings.roi_sampling)
        scored = self.stages(levels, canvas, sizes, rois, objects)
        for number, one in enumerate(scored):
            head = self.stages.heads[number]
            assert isinstance(head, RoiPredictor)
            terms |= head.loss(one, objects, f"_{number + 1}" if len(scored) > 1 else "")
        if self.settings.masks is not None:
            terms["mask"] = self.settings.masks.weight * self._mask_loss(levels, canvas, scored[-1].rois, objects)
        return terms

    def signature(self, images: Tensor) -> Tensor:
        """Return how likely each anchor shows an object, as logits [B, A]."""
        objectness: list[Tensor] = self.proposals.network.head(self.backbone(images))[0]
        return torch.cat([level.flatten(1) for level in objectness], dim=1)

    def _mask_logits(self, levels: list[Tensor], boxes: list[Tensor], canvas: tuple[int, int]) -> Tensor:
        return self._masks_of(self.mask_pool(levels, boxes, canvas))

    def _masks_of(self, pool_rois: Tensor) -> Tensor:
        tail = self.stages.describers[0].tail
        assert tail is None or isinstance(tail, nn.Module)
        logits: Tensor = self.mask_predictor(self.mask_head(pool_rois) if tail is None else tail(pool_rois))
        return logits.float()

    def _mask_loss(
        self, levels: list[Tensor], canvas: tuple[int, int], rois: RoiSamples, objects: tuple[Objects, ...]
    ) -> Tensor:
        """Return the loss of masks over the regions that show an object; 0 where none does."""
        rows = [torch.nonzero(labels > 0)[:, 0] for labels in rois.labels]
        boxes = [boxes[row] for boxes, row in zip(rois.boxes, rows, strict=True)]
        matches = [matches[row] for matches, row in zip(rois.matches, rows, strict=True)]
        if not sum(map(len, boxes)):
            parameters = (*self.mask_head.parameters(), *self.mask_predictor.parameters())
            return torch.stack([0 * parameter.sum() for parameter in parameters]).sum()
        truth = [image.masks.float() if isinstance(image.masks, Tensor) else image.boxes for image in objects]
        labels = [image.labels + 1 for image in objects]
        kept = [number for number, regions in enumerate(boxes) if len(regions)]
        logits = self._mask_logits(levels, boxes, canvas)
        chosen = ([values[number] for number in kept] for values in (boxes, truth, labels, matches))
        loss: Tensor = maskrcnn_loss(logits, *chosen)
        return loss

    def _detect(
        self, levels: list[Tensor], canvas: tuple[int, int], sizes: list[tuple[int, int]], scored: list[StageOutput]
    ) -> list[ImageDetections]:
        """Return the detections: scores averaged over the stages that learn, boxes of the last."""
        stages = zip(scored, self.settings.stages, strict=True)
        learning = [output for output, stage in stages if stage.weight > 0] or scored
        scores = torch.stack([output.logits.softmax(1) for output in learning]).mean(0)
        last, head = scored[-1], self.stages.heads[-1]
        assert isinstance(head, RoiPredictor)
        boxes = head.decode_boxes(torch.cat(last.rois.boxes), last.deltas)
        counts = last.rois.counts
        chosen = [
            self._postprocess(*of_image)
            for of_image in zip(torch.split(boxes, counts), torch.split(scores, counts), sizes, strict=True)
        ]
        if self.settings.masks is None:
            return chosen
        logits = self._mask_logits(levels, [image.boxes for image in chosen], canvas)
        labels = torch.cat([image.labels for image in chosen])
        masks = logits[torch.arange(len(labels), device=labels.device), labels + 1].sigmoid()
        parts = torch.split(masks, [len(image.labels) for image in chosen])
        return [replace(image, masks=part) for image, part in zip(chosen, parts, strict=True)]

    def _postprocess(self, boxes: Tensor, scores: Tensor, size: tuple[int, int]) -> ImageDetections:
        """Return an image's detections from boxes [R, 4] or [R, C, 4] and scores [R, C]."""
        settings = self.settings
        rows, labels = torch.nonzero(scores[:, 1:] > settings.score_threshold, as_tuple=True)
        picked = boxes[rows] if boxes.ndim == 2 else boxes[rows, labels + 1]
        picked, sure = clip_boxes(picked, size), scores[rows, labels + 1]
        kept = batched_nms(picked, sure, labels, settings.nms_threshold)[: settings.max_detections]
        return ImageDetections(picked[kept], labels[kept], sure[kept], None, rows[kept])

    def _count_forward(self, levels: list[Tensor], canvas: tuple[int, int]) -> tuple[Tensor, ...]:
        """Run every layer on as many regions as there can be, so that its operations can be counted without values."""
        settings, count = self.settings, self.settings.rpn.post_nms_top_n_test
        objectness, _ = self.proposals.network.head(levels)
        boxes = [levels[0].new_zeros(count, 4) for _ in range(len(levels[0]))]
        rois = RoiSamples(boxes, [torch.zeros(count, dtype=torch.bool, device=levels[0].device)] * len(boxes), [], [])
        pool_rois = levels[0].new_zeros(
            count * len(boxes), levels[0].shape[1], settings.roi_pool_size, settings.roi_pool_size
        )
        context = relation_context(rois, levels, canvas, [canvas] * len(boxes))
        results = list(self.stages.count_forward(pool_rois, context, rois.counts))
        if settings.masks is not None:
            side, most = settings.masks.roi_pool_size, settings.max_detections * len(boxes)
            results.append(self._masks_of(levels[0].new_zeros(most, levels[0].shape[1], side, side)))
        return (*objectness, *results)
