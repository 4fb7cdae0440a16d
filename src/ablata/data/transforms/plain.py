"""Plain callables as augmentation: `data.augment.transform=mine.py:Tilt data.augment.transform.degrees=10`.

A function of an image, or a class whose instances are called with one, such as torchvision's transforms v2. An image is
uint8 [C, H, W]; of a segmentation its mask, uint8 [H, W], comes with it, and what is returned has the same shapes and
dtypes. Of a detection its target comes with it, a dict of `boxes`, `labels`, perhaps `masks`, and `ignored` boxes where
there are any, as torchvision's tv_tensors; size and number of objects may change. It is called for each training image
by itself, before everything else but a detection's own flip and resize; torch's, numpy's and Python's random generators
are seeded by run, step and row beforehand, so a training resumes exactly.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import SettingsError, listing
from ablata.base.parts import OpenPart, PlainPart, settings_for
from ablata.base.seeds import derive
from ablata.structures.detection import Objects

_OWN = 99
"""Tells the draws of the user's transform from those of our operations."""


class PlainTransform(PlainPart):
    """Settings of a callable that changes one image, alone or with its mask or target."""

    def build(self) -> Any:
        """Return what is called with an image."""
        if inspect.isclass(self.THING):
            return self.THING(**self.arguments())
        return lambda *given: self.THING(*given, **self.arguments())


OwnTransform = Annotated[
    PlainTransform,
    OpenPart(
        PlainTransform,
        adapt="ablata.data.transforms.plain:transform",
        plain="a function of an image, or a class whose instances are called with one",
    ),
]


def transform(thing: Any, reference: str) -> type[PlainTransform]:
    """Return the settings class of a function of an image, or of a class whose instances are called with one.

    Raises:
        SettingsError: it is neither.
    """
    if inspect.isclass(thing) and any("__call__" in vars(base) for base in thing.__mro__):
        return settings_for(PlainTransform, thing, reference)
    if inspect.isfunction(thing):
        required = [name for name, one in inspect.signature(thing).parameters.items() if one.default is one.empty]
        return settings_for(PlainTransform, thing, reference, required)
    raise SettingsError(
        "A transform must be a function of an image, or a class whose instances are",
        found=reference,
        do="def transform(image): return image",
    )


def apply_transform(
    settings: PlainTransform, images: Tensor, masks: Tensor | None, seed: int, step: int, first: int
) -> tuple[Tensor, Tensor | None]:
    """Return a batch with each image changed by itself.

    Args:
        settings: the callable.
        images: uint8 [B, C, H, W].
        masks: uint8 [B, H, W], or None.
        seed: the run's.
        step: of the training.
        first: row of the global batch that comes first here.

    Raises:
        SettingsError: what is returned has another shape or dtype.
    """
    changed = []
    for row in range(len(images)):
        given = (images[row],) if masks is None else (images[row], masks[row])
        found = _called(settings, given, seed, step, first + row)
        told, wanted = listing(map(_told, found)), listing(map(_told, given))
        if told != wanted:
            raise SettingsError(
                "A transform must return what it got, in the same shapes and dtypes",
                found=f"{settings.kind} got {wanted} and returned {told}",
                do="crop and resize by data.augment, and return uint8",
            )
        changed.append(found)
    stacked = [torch.stack(column) for column in zip(*changed, strict=True)]
    return stacked[0], None if masks is None else stacked[1]


def transform_objects(
    settings: PlainTransform, image: Tensor, objects: Objects, seed: int, step: int, row: int
) -> tuple[Tensor, Objects]:
    """Return an image changed together with its objects; those that left it are dropped.

    Args:
        settings: the callable.
        image: uint8 [3, H, W].
        objects: what is on it; masks bool [N, H, W], or None.
        seed: the run's.
        step: of the training.
        row: of the global batch.

    Raises:
        SettingsError: what is returned is no image with its target.
    """
    from torchvision import tv_tensors

    form = {"format": tv_tensors.BoundingBoxFormat.XYXY, "canvas_size": tuple(image.shape[-2:])}
    target: dict[str, Tensor] = {"boxes": tv_tensors.BoundingBoxes(objects.boxes, **form), "labels": objects.labels}
    if isinstance(objects.masks, Tensor):
        target["masks"] = tv_tensors.Mask(objects.masks.to(torch.uint8))
    if objects.ignored is not None:
        target["ignored"] = tv_tensors.BoundingBoxes(objects.ignored, **form)
    found = _called(settings, (tv_tensors.Image(image), target), seed, step, row)
    if not _is_annotated(found, target):
        raise SettingsError(
            f"A transform here must return a uint8 image [3, H, W] and a dict of {', '.join(target)}, as many each",
            found=f"{settings.kind} returned {', '.join(map(_told, found))}",
            do="return the image, and a dict with the same keys",
        )
    pixels, changed = found[0].as_subclass(Tensor), {name: found[1][name].as_subclass(Tensor) for name in target}
    boxes, kept = _inside(changed["boxes"], pixels)
    masks = changed["masks"][kept].bool() if "masks" in changed else None
    nameless = torch.full((len(boxes),), -1, device=boxes.device)
    crowd = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    ignored = _inside(changed["ignored"], pixels)[0] if "ignored" in changed else None
    return pixels, Objects(boxes, changed["labels"][kept], masks, nameless, crowd, ignored)


def _inside(boxes: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes clipped to their image, without those of less than a pixel, and which they are, bool [N]."""
    sides = torch.tensor([image.shape[2], image.shape[1]] * 2, device=boxes.device)
    clipped = boxes.float().clamp(min=0).minimum(sides)
    kept = (clipped[:, 2:] - clipped[:, :2] >= 1).all(1)
    return clipped[kept], kept


def _called(settings: PlainTransform, given: tuple[Any, ...], seed: int, step: int, row: int) -> tuple[Any, ...]:
    with seeded(derive(seed, "augment", step, _OWN, row)):
        found = settings.build()(*given)
    return found if isinstance(found, tuple) else (found,)


def _is_annotated(found: tuple[Any, ...], target: Mapping[str, Tensor]) -> bool:
    """Tell whether a transform returned an image and all parts of its target, one a object."""
    if len(found) != 2 or not isinstance(found[0], Tensor) or not isinstance(found[1], Mapping):
        return False
    image, parts = found[0], [found[1].get(name) for name in target]
    if (
        image.dtype != torch.uint8
        or image.dim() != 3
        or len(image) != 3
        or not all(isinstance(part, Tensor) for part in parts)
    ):
        return False
    shapes = {name: tuple(found[1][name].shape) for name in target}
    count = len(found[1]["labels"])
    wanted = {"boxes": (count, 4), "labels": (count,), "masks": (count, *image.shape[1:])}
    wanted["ignored"] = (*shapes.get("ignored", ())[:1], 4)
    return all(shape == wanted[name] for name, shape in shapes.items())


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {_told(part)}' for name, part in value.items())}}}"
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's, numpy's and Python's generators inside a `with` block, and set them back after it."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
