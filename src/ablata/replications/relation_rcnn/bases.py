"""What trials of the notebook share: data, network, relations as its author first wrote them, earlier trainings.

The author's images are private: 63 public chest X-rays stand in for them, and for diseases the findings that those
show. The optimiser is told by log lines alone: a rate of 0.0005 at step 42,701 of 96,000 (159), 0.000038 at step 77,961
of another training (101), 0.01 at step 2,461 of 192,000 with the pyramid (216, 228). Where the rate falls, and a batch
of two, are guesses, and so is what follows from words alone:

    box        "not retrained": weights are taken over, those of the heads too; "retrained": the heads begin anew
    512box     regions that teach in training, boxes that are proposed in testing; "default": 1000
    own        one head in spatial relations; the class relation's last layer without ReLU, behind the soft mapping
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

MEANING = "mAP of boxes at an overlap of 0.5 / of 0.01"
STEPS = 96_000

_CHEST = "data=chest_xray data.augment.min_size=[800] train.batch=2 train.evaluate_every=200"
C4 = f"{_CHEST} train.steps={STEPS} optim.lr=0.0005 protocols=ap50,ap01"
"""The first network, of recipe mask_rcnn_c4_coco."""
FPN = f"{_CHEST} train.steps=192000 optim.lr=0.01 protocols=ap50@1000,ap01@1000"
"""The pyramid, of recipe mask_rcnn_fpn_coco."""

NEW_BOXES = 'model.stages=[{"weight":0},{}]'
"""Regions are scored twice, and the second scoring alone is in the loss."""
BOTH_BOXES = "model.stages=[{},{}]"
"""Both scorings are in the loss, as in the published code."""

_CLASSES = "model.relations.classes"
OWN_CLASSES = (
    f"{_CLASSES}.gradient=through {_CLASSES}.attention_width=256 {_CLASSES}.attention_relu=false "
    f"{_CLASSES}.reduce=linear {_CLASSES}.reduce_place=after"
)
"""The class relation as first written (lines 166 to 171); the attention's width is a guess."""
PUBLISHED_CLASSES = f"{_CLASSES}.gradient=detached"
"""The published one, whose other settings are the defaults."""

OWN_SPATIAL = "model.relations.spatial.heads=1"
RELATION_NETWORK = "model.relations.spatial.heads=16"


def boxes(count: int) -> str:
    """Return the override that tests with so many proposed boxes."""
    return f"protocols=ap50@{count},ap01@{count}"


def original(protocols: str = "protocols=ap50,ap01") -> dict[str, Any]:
    """Return the plain detector as a training that comes before."""
    plain = [
        "graph.background=zero",
        "graph.classes=null",
        "model.roi_sampling.batch_size_per_image=512",
        "model.stages=[{}]",
    ]
    return {"steps": STEPS, "changes": ["model.relations=null", *plain, protocols]}


def after(heads: Literal["keep", "fit", "retrain"], *earlier: Mapping[str, Any]) -> str:
    """Return the overrides of a training that starts from others.

    Args:
        heads: what becomes of the heads of the one right before.
        earlier: the others, the first one first, each by its differences from the one that follows it.
    """
    return f"start.earlier={json.dumps(earlier, separators=(',', ':'))} start.heads={heads}"
