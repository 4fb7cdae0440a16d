"""Detections in torchvision's form: for each image a dict of boxes, labels, scores, perhaps masks.

Shapes: N detections of an image, H and W its sides.

    boxes [N, 4]     labels [N]     scores [N]     masks [N, H, W], or [N, 1, H, W] as torchvision returns them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.models.detection.base import ImageDetections

Size = tuple[int, int]


def as_dict(found: ImageDetections, height: int, width: int) -> dict[str, Tensor]:
    """Return detections as a dict: `boxes` [N, 4], `labels` [N] from 0, `scores` [N], perhaps `masks` [N, H, W], bool.

    Args:
        found: on an image.
        height: of the image.
        width: likewise.
    """
    values = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    if found.masks is None:
        return values
    masks = list(found.masks_at(found.boxes, height, width))
    empty = torch.zeros(0, height, width, dtype=torch.bool, device=found.boxes.device)
    return values | {"masks": torch.stack(masks) if masks else empty}


def from_dicts(
    found: Any, sizes: Sequence[Size], *, source: str, classes: int, first: int, masks: bool, most: int
) -> list[ImageDetections]:
    """Check what was returned for a batch, and return it in our form: the surest first, labels from 0.

    Detections of the background are left out: torchvision's FCOS and RetinaNet score it like a class, and may find it
    as long as they have learned little.

    Args:
        found: a list of dicts, one an image: `boxes` [N, 4], `labels` [N], `scores` [N], and with `masks` those,
            [N, H, W] or [N, 1, H, W], in 0..1.
        sizes: height and width of each image.
        source: what returned it, for messages.
        classes: K.
        first: label of the first class: 1 where 0 is the background.
        masks: whether there must be masks.
        most: detections of an image that are kept.

    Raises:
        SettingsError: it is of another form; says what must be returned and what was.
    """
    if not isinstance(found, list | tuple) or len(found) != len(sizes):
        raise refused(source, "a list with a dict for each image in evaluation", told(found))
    return [_one(one, size, source, classes, first, masks, most) for one, size in zip(found, sizes, strict=True)]


def _one(found: Any, size: Size, source: str, classes: int, first: int, masks: bool, most: int) -> ImageDetections:
    (height, width), names = size, ("boxes", "labels", "scores", *(("masks",) if masks else ()))
    if not isinstance(found, Mapping) or not all(isinstance(found.get(name), Tensor) for name in names):
        do = "model.masks=false" if masks and isinstance(found, Mapping) and "masks" not in found else None
        raise refused(source, f"{', '.join(names)} for each image, as tensors", told(found), do)
    count, shapes = len(found["boxes"]), {name: tuple(found[name].shape) for name in names}
    wanted: dict[str, tuple[tuple[int, ...], ...]] = {
        "boxes": ((count, 4),),
        "labels": ((count,),),
        "scores": ((count,),),
        "masks": ((count, height, width), (count, 1, height, width)),
    }
    if any(shapes[name] not in wanted[name] for name in names):
        stated = f"boxes [N, 4], labels [N], scores [N]{f', masks [N, 1, {height}, {width}]' if masks else ''}"
        raise refused(source, stated, str(shapes))
    labels, scores, last = found["labels"].long(), found["scores"].float(), first + classes - 1
    if count and not (int(labels.min()) >= 0 and int(labels.max()) <= last):
        background = ", the background being 0" if first else ""
        span = f"labels from {int(labels.min())} to {int(labels.max())}"
        raise refused(source, f"labels from {first} to {last}{background}", span)
    kept = scores.argsort(descending=True, stable=True)
    kept = kept[labels[kept] >= first][:most]
    boxes = found["boxes"].float()[kept].clamp(min=0)
    boxes = boxes.minimum(boxes.new_tensor([width, height, width, height]))
    pixels = found["masks"].reshape(count, height, width)[kept] if masks else None
    return ImageDetections(boxes, labels[kept] - first, scores[kept], pixels, whole_image=True)


def refused(source: str, wanted: str, found: str, do: str | None = None) -> SettingsError:
    """Return the error of a user's detector or protocol that returns something else."""
    return SettingsError(f"A detector must return {wanted}", found=f"{source} returned {found}", do=do)


def told(found: Any) -> str:
    """Say what something is: a dict with its keys, a tensor with its shape, or the name of its class."""
    if isinstance(found, Mapping):
        return f"a dict of {', '.join(f'{name} ({told(value)})' for name, value in found.items()) or 'nothing'}"
    if isinstance(found, Tensor):
        return f"{str(found.dtype).removeprefix('torch.')} {tuple(found.shape)}"
    return f"a {type(found).__name__}{f' of {len(found)}' if isinstance(found, list | tuple) else ''}"
