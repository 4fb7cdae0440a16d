"""A classification recipe on generated street scenes, to see that it builds and learns at all."""

from __future__ import annotations

from typing import Any

from ablata.data.classification.label_subset import LabelSubset
from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.tasks.distillation.settings import Refinement

_SMALL_SIDE = 40
"""Images up to this side are taken for small ones, as CIFAR's."""


def synthetic_parts(data: Any, label_subset: LabelSubset | None, refine: Refinement | None) -> dict[str, Any]:
    """Return the settings that change where a recipe of these is trained on generated images."""
    return {
        "data": _scenes(data),
        "protocols": ("plain",),
        "label_subset": label_subset and label_subset.model_copy(update={"per_class": 2}),
        "refine": refine and refine.synthetic(refine.target and _scenes(refine.target)),
    }


def _scenes(data: Any) -> Scenes:
    shape = data.nominal_shape()
    side = 32 if max(shape.height, shape.width) <= _SMALL_SIDE else 64
    augment: Augment = data.augment
    if augment.policy is not None:
        # Only files are augmented image by image as they are read; these images are in memory.
        augment = augment.model_copy(update={"policy": augment.policy.model_copy(update={"where": "batch"})})
    return Scenes(train=48, val=16, streets=Streets(height=side, width=side), augment=augment)
