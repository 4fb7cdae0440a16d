"""Plain callables as augmentation: `data.augment.transform=mine.py:Tilt data.augment.transform.degrees=10`.

A function of an image, or a class whose instances are called with one, such as torchvision's transforms v2. An image is
uint8 [C, H, W]; of a segmentation its mask, uint8 [H, W], comes with it. What is returned has the same shapes and
dtypes. It is called for each training image by itself, before everything else; torch's, numpy's and Python's random
generators are seeded by run, step and row beforehand, so a training resumes exactly.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from ablata.base.errors import SettingsError
from ablata.base.parts import OpenPart, PlainPart, settings_for
from ablata.base.seeds import derive

_OWN = 99
"""Tells the draws of the user's transform from those of our operations."""


class PlainTransform(PlainPart):
    """Settings of a callable that changes one image, or one image and its mask."""

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
    raise SettingsError("A transform must be a function of an image, or a class whose instances are", found=reference)


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
    change, changed = settings.build(), []
    for row in range(len(images)):
        given = (images[row],) if masks is None else (images[row], masks[row])
        with seeded(derive(seed, "augment", step, _OWN, first + row)):
            found = change(*given)
        found = found if isinstance(found, tuple) else (found,)
        told = [(tuple(one.shape), one.dtype) if isinstance(one, Tensor) else type(one).__name__ for one in found]
        wanted = [(tuple(one.shape), one.dtype) for one in given]
        if told != wanted:
            raise SettingsError(
                "A transform must return what it got, in the same shapes and dtypes",
                found=f"{settings.kind} got {wanted} and returned {told}",
            )
        changed.append(found)
    stacked = [torch.stack(column) for column in zip(*changed, strict=True)]
    return stacked[0], None if masks is None else stacked[1]


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
