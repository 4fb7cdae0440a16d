"""Region proposal network, RPN (Ren et al. 2015, arXiv 1506.01497), with a loss for each level of a pyramid.

Anchors, matching, sampling, box coding and non-maximum suppression are torchvision's. Its losses are sums over all
levels; here each level has its part, and their sum is the same.

Shapes: B images, A anchors of all levels, Al of level l.

    objectness [B, A]     deltas [B, A, 4]     proposals [n, 4] of each image, by falling score
"""

from __future__ import annotations

from typing import Annotated, Any, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead, concat_box_prediction_layers

from ablata.base.settings import Settings
from ablata.models.detection.ignored import ignore_covered
from ablata.structures.detection import Objects

LEVEL_TERMS = ("objectness", "proposal_box")
"""The loss terms: does an anchor show an object, and where it is; with several levels each has `_` and its number."""


class Rpn(Settings):
    """Region proposal network (RPN): anchors, matching, sampling, non-maximum suppression."""

    sizes: Annotated[tuple[tuple[int, ...], ...], Field(min_length=1)] = ((32,), (64,), (128,), (256,), (512,))
    """Anchors' sides in pixels, those of each level together, the finest level first."""
    ratios: Annotated[tuple[float, ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    """Heights of anchors by their widths."""
    fg_iou_threshold: Annotated[float, Field(ge=0, le=1)] = 0.7
    """IoU threshold from which an anchor is foreground."""
    bg_iou_threshold: Annotated[float, Field(ge=0, le=1)] = 0.3
    """IoU threshold below which it is background; between the two it does not contribute to the loss."""
    batch_size_per_image: Annotated[int, Field(ge=1)] = 256
    """Anchors of an image that contribute to the loss."""
    positive_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Largest fraction of foreground anchors among them."""
    pre_nms_top_n_train: Annotated[int, Field(ge=1)] = 2000
    """Boxes of a level that enter non-maximum suppression in training."""
    pre_nms_top_n_test: Annotated[int, Field(ge=1)] = 1000
    """Likewise in testing."""
    post_nms_top_n_train: Annotated[int, Field(ge=1)] = 2000
    """Boxes of an image that remain after non-maximum suppression in training."""
    post_nms_top_n_test: Annotated[int, Field(ge=1)] = 1000
    """Likewise in testing, where the protocol does not say how many."""
    nms_threshold: Annotated[float, Field(ge=0, le=1)] = 0.7
    """IoU threshold of non-maximum suppression."""

    @model_validator(mode="after")
    def _between(self) -> Self:
        if self.bg_iou_threshold > self.fg_iou_threshold:
            raise ValueError(
                "bg_iou_threshold must not exceed fg_iou_threshold, "
                f"got {self.bg_iou_threshold} and {self.fg_iou_threshold}"
            )
        return self

    def build(self, channels: int) -> RpnModule:
        """Make the module for maps of `channels`."""
        return RpnModule(self, channels)


class RpnModule(nn.Module):
    """Region proposal network.

    Args:
        settings: anchors and numbers.
        channels: of every level.
    """

    def __init__(self, settings: Rpn, channels: int) -> None:
        super().__init__()
        self.settings = settings
        anchors = AnchorGenerator(settings.sizes, (settings.ratios,) * len(settings.sizes))
        self.network = RegionProposalNetwork(
            anchors,
            RPNHead(channels, anchors.num_anchors_per_location()[0]),
            settings.fg_iou_threshold,
            settings.bg_iou_threshold,
            settings.batch_size_per_image,
            settings.positive_fraction,
            {"training": settings.pre_nms_top_n_train, "testing": settings.pre_nms_top_n_test},
            {"training": settings.post_nms_top_n_train, "testing": settings.post_nms_top_n_test},
            settings.nms_threshold,
        )

    def forward(
        self, images: Tensor, sizes: list[tuple[int, int]], levels: list[Tensor], objects: tuple[Objects, ...] | None
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return each image's proposals and, where there is a truth, the loss of each level.

        Args:
            images: [B, 3, H, W], of which only the shape counts.
            sizes: height and width of each image in it.
            levels: feature maps.
            objects: the truth; None: no loss.
        """
        network: Any = self.network
        objectness, deltas = network.head(levels)
        anchors = network.anchor_generator(ImageList(images, sizes), levels)
        counts = [one.shape[1] * one.shape[2] * one.shape[3] for one in objectness]
        flat, moves = concat_box_prediction_layers(objectness, deltas)
        flat, moves = flat.float(), moves.float()
        boxes = network.box_coder.decode(moves.detach(), anchors).view(len(sizes), -1, 4)
        proposals, _ = network.filter_proposals(boxes, flat, sizes, counts)
        return proposals, {} if objects is None else self._losses(flat, moves, anchors, counts, objects)

    def limit_proposals(self, most: int | None) -> None:
        """Propose at most so many boxes in testing; None: as the settings say."""
        network: Any = self.network
        network._post_nms_top_n["testing"] = most or self.settings.post_nms_top_n_test
        network._pre_nms_top_n["testing"] = max(self.settings.pre_nms_top_n_test, most or 0)

    def _losses(
        self,
        objectness: Tensor,
        deltas: Tensor,
        anchors: list[Tensor],
        counts: list[int],
        objects: tuple[Objects, ...],
    ) -> dict[str, Tensor]:
        network: Any = self.network
        targets = [{"boxes": target.boxes} for target in objects]
        labels, matched = network.assign_targets_to_anchors(anchors, targets)
        labels = [ignore_covered(*one) for one in zip(labels, anchors, objects, strict=True)]
        wanted = torch.cat(network.box_coder.encode(matched, anchors))
        positive, negative = (torch.cat(one).bool() for one in network.fg_bg_sampler(labels))
        sampled = positive | negative
        total = sampled.sum().clamp(min=1)
        truth = torch.cat(labels)
        level = torch.arange(len(counts), device=truth.device).repeat_interleave(torch.tensor(counts).to(truth.device))
        level = level.repeat(len(objects))
        shown = F.binary_cross_entropy_with_logits(objectness.flatten()[sampled], truth[sampled], reduction="none")
        moved = F.smooth_l1_loss(deltas[positive], wanted[positive], beta=1 / 9, reduction="none").sum(1)
        terms: dict[str, Tensor] = {}
        for name, values, rows in zip(LEVEL_TERMS, (shown, moved), (sampled, positive), strict=True):
            for number in range(len(counts)):
                part = (values * (level[rows] == number)).sum() / total
                terms[f"{name}_{number}" if len(counts) > 1 else name] = part
        return terms
