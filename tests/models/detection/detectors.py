"""Small detectors of every form, and made truths for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ablata.models.detection.backbones import C4, Fpn, SmallCnn
from ablata.models.detection.mask_rcnn import MaskBranch, MaskRcnn, MaskRcnnNetwork
from ablata.models.detection.relations.class_relation import ClassRelation
from ablata.models.detection.relations.spatial_relation import SpatialRelation
from ablata.models.detection.relations.stage import Relations
from ablata.models.detection.roi_heads import CascadeStage, RoiSampling
from ablata.models.detection.rpn import Rpn
from ablata.structures.detection import Objects

CLASSES, SIDE = 3, 64
SPATIAL = SpatialRelation(heads=2, width=8)
CLASS = ClassRelation(width=6, attention_width=4)
REFINED = CascadeStage(boxes="refined", iou_threshold=0.6, bbox_reg_std=(0.05, 0.05, 0.1, 0.1))
_SMALL: dict[str, Any] = {
    "backbone": SmallCnn(width=4),
    "rpn": Rpn(
        sizes=((12, 24),), ratios=(1.0,), batch_size_per_image=64, post_nms_top_n_train=24, post_nms_top_n_test=12
    ),
    "roi_sampling": RoiSampling(batch_size_per_image=16),
    "roi_pool_size": 3,
    "sampling_ratio": 1,
    "head_width": 16,
    "masks": MaskBranch(layers=1, width=4, roi_pool_size=4),
    "max_detections": 8,
}
_FPN: dict[str, Any] = {
    "backbone": Fpn(name="resnet18", channels=8),
    "rpn": Rpn(
        sizes=((8,), (16,), (32,), (48,), (64,)),
        batch_size_per_image=64,
        post_nms_top_n_train=24,
        post_nms_top_n_test=12,
    ),
}
_C4: dict[str, Any] = {
    "backbone": C4(depth=18),
    "rpn": Rpn(sizes=((12, 24, 48),), batch_size_per_image=64, post_nms_top_n_train=24, post_nms_top_n_test=12),
    "roi_pool_size": 4,
}
_CASCADE: dict[str, Any] = {"stages": (CascadeStage(), REFINED), "class_agnostic": True}
_TWICE: dict[str, Any] = {"stages": (CascadeStage(), CascadeStage())}
FORMS: dict[str, dict[str, Any]] = {
    "plain": {},
    "boxes alone": {"masks": None},
    "cascade": _CASCADE,
    "cascade, own heads": {**_CASCADE, "shared_head": False},
    "classes": {**_TWICE, "relations": Relations(classes=CLASS)},
    "cascade, both": {**_CASCADE, "relations": Relations(classes=CLASS, spatial=SPATIAL)},
    "spatial in the head": {"relations": Relations(classes=None, spatial=SPATIAL, spatial_position="head")},
    "pyramid": _FPN,
    "pyramid, cascade, both": {**_FPN, **_CASCADE, "relations": Relations(classes=CLASS, spatial=SPATIAL)},
    "c4": _C4,
    "c4, classes": {**_C4, **_TWICE, "relations": Relations(classes=CLASS)},
}


def settings(form: str, **changes: Any) -> MaskRcnn:
    """Return the settings of a form with changes."""
    return MaskRcnn.model_validate({**_SMALL, **FORMS[form], **changes})


def network(form: str, **changes: Any) -> MaskRcnnNetwork:
    """Return a detector with weights of its own seed."""
    torch.manual_seed(0)
    return settings(form, **changes).build(CLASSES, torch.rand(CLASSES + 1, CLASSES + 1))


def inputs(count: int = 2, seed: int = 0) -> Tensor:
    """Return float32 [count, 3, SIDE, SIDE]."""
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def truth(count: int, seed: int = 0) -> Objects:
    """Return so many objects with rectangular masks, somewhere in an image."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, SIDE - 32, (count, 2), generator=random)
    sizes = torch.randint(10, 32, (count, 2), generator=random)
    boxes = torch.cat([corners, corners + sizes], dim=1)
    masks = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.tolist(), strict=True):
        mask[top:bottom, left:right] = True
    labels = torch.randint(0, CLASSES, (count,), generator=random)
    return Objects(boxes.float(), labels, masks, torch.arange(count), torch.zeros(count, dtype=torch.bool))
