"""A segmentation recipe on other images: on generated street scenes, or on another data set in smaller crops."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ablata.data.synthetic.scene_masks import SceneMasks
from ablata.data.transforms.segmentation import Crop, JointAugment
from ablata.losses.contrastive.pixel_contrast import PixelContrast
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.focal import Focal
from ablata.tasks.segmentation.sliding_window import SlidingWindow

_REMEMBERED = 100
"""Most vectors that a contrast's memory keeps of a class."""
_SHORT_SIDE = 64
"""Of the crops, in pixels."""


def synthetic_parts(data: Any, loss: Any) -> dict[str, Any]:
    """Return the settings that change where a recipe of these is trained on generated images.

    Crops shrink, weights of certain classes are computed anew, memories are short.
    """
    augment: JointAugment = data.augment
    if augment.crop is not None:
        augment = _scaled(augment, _SHORT_SIDE / min(augment.crop.height, augment.crop.width))
    scenes = SceneMasks(train=16, val=4, augment=augment)
    return {"data": scenes, "loss": _for_any_classes(loss), "protocols": ("ss",)}


def other_data_parts(
    data: Any, other: Any, window: SlidingWindow, protocols: Sequence[str], crop_factor: float
) -> dict[str, Any]:
    """Return the settings that change on another data set.

    Args:
        data: the settings of the data set now.
        other: those of the other one, as they are by default.
        window: of protocols with a sliding window.
        protocols: how is scored.
        crop_factor: on the sides of crops and windows.
    """
    both = type(data).model_fields.keys() & type(other).model_fields.keys()
    kept = {name: getattr(data, name) for name in ("minival", "split_seed", "void") if name in both}
    named = re.compile(r"(?<=sliding_window\.size=)\d+")
    return {
        "data": other.model_copy(update=kept | {"augment": _scaled(data.augment, crop_factor)}),
        "sliding_window": window.model_copy(update={"size": round(window.size * crop_factor)}),
        "protocols": tuple(named.sub(lambda side: str(round(int(side[0]) * crop_factor)), name) for name in protocols),
    }


def _scaled(augment: JointAugment, factor: float) -> JointAugment:
    """Return an augmentation with the sides of its crop multiplied."""
    if augment.crop is None:
        return augment
    crop = Crop(height=round(augment.crop.height * factor), width=round(augment.crop.width * factor))
    return augment.model_copy(update={"crop": crop})


def _for_any_classes(loss: Any) -> Any:
    """Return a loss over pixels without weights of certain classes, and with a short memory."""
    parts = {name: getattr(loss, name, None) for name in ("pixel_loss", "cross_entropy")}
    update = {name: _for_any_classes(part) for name, part in parts.items() if part is not None}
    if isinstance(loss, PixelCrossEntropy) and isinstance(loss.weights, tuple | dict):
        update["weights"] = "median"
    if isinstance(loss, Focal):
        update["alpha"] = None
    if isinstance(loss, PixelContrast) and loss.memory is not None:
        lengths = {name: min(getattr(loss.memory, name), _REMEMBERED) for name in ("pixels", "regions")}
        update["memory"] = loss.memory.model_copy(update=lengths)
    return loss.model_copy(update=update)
