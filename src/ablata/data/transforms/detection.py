"""Settings of augmentation for detection: sizes, flips with paired classes swapped, jitter, mosaic, copy-paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ablata.base.errors import DataError, choices, listing
from ablata.base.settings import Settings
from ablata.data.transforms.copy_paste import CopyPaste
from ablata.data.transforms.mosaic import Mosaic
from ablata.data.transforms.plain import OwnTransform
from ablata.data.transforms.scale_jitter import ScaleJitter

_SIDES = (("Left", "Right"), ("left", "right"), ("LEFT", "RIGHT"))


class DetectionAugment(Settings):
    """Augmentation for detection: sizes of images, and random changes of training ones."""

    flip: bool = True
    """Mirror half of the training images left to right."""
    swap: tuple[tuple[str, str], ...] | None = None
    """Classes that change places in a mirror; null: those whose names differ by left and right alone."""
    min_size: Annotated[tuple[Annotated[int, Field(ge=8)], ...], Field(min_length=1)] | None = None
    """Lengths of the shorter side in pixels, one drawn for each training image; null: images keep their size."""
    min_size_test: Annotated[int, Field(ge=8)] | None = None
    """That of evaluation; null: the last of `min_size`."""
    max_size: Annotated[int, Field(ge=8)] = 1333
    """Most pixels of the longer side, where `min_size` is set."""
    mosaic: Mosaic | None = None
    """Put each training image and three others into one; null is off."""
    scale_jitter: ScaleJitter | None = None
    """Large-scale jitter: resize each training image by a random factor and cut it to one size, in place of `min_size`,
    which is then of evaluation alone; null is off."""
    copy_paste: CopyPaste | None = None
    """Paste objects with masks of another training image over each training image; null is off."""
    min_visible: Annotated[float, Field(ge=0, le=1)] = 0.1
    """An object of which a cut or a pasted object leaves less than this fraction is left out, and what is seen of it is
    ignored."""
    transform: OwnTransform | None = None
    """A function of image and target, or a class whose instances are, for each training image after all others."""

    def scale(self, height: int, width: int, training: bool, draw: float) -> float:
        """Return the factor for an image.

        Args:
            height: of the image as stored.
            width: likewise.
            training: False for evaluation.
            draw: in [0, 1), chooses among the lengths.
        """
        if self.min_size is None:
            return 1.0 if self.scale_jitter is None else self.scale_jitter.fit(height, width)
        tested = self.min_size_test or self.min_size[-1]
        side = self.min_size[int(draw * len(self.min_size))] if training else tested
        return min(side / min(height, width), self.max_size / max(height, width))

    def nominal_size(self) -> tuple[int, int]:
        """Return the height and width in pixels that complexity is counted for."""
        if self.min_size is None and self.scale_jitter is not None:
            return self.scale_jitter.height, self.scale_jitter.width
        side = self.min_size_test or (self.min_size or (512,))[-1]
        return side, min(self.max_size, round(side * 4 / 3))

    def evaluation(self) -> str:
        """Say how images are brought to their size in evaluation."""
        if self.min_size is not None:
            shorter = self.min_size_test or self.min_size[-1]
            return f"the shorter side is resized to {shorter}, the longer to at most {self.max_size}"
        if self.scale_jitter is not None:
            return f"images are resized to fit into {self.scale_jitter.height}x{self.scale_jitter.width}"
        return "images come at their own size"

    def swaps(self, classes: Sequence[str]) -> Tensor:
        """Return int64 [K]: the class that each becomes in a mirror.

        Raises:
            DataError: a pair names a class that there is not, or one class twice.
        """
        pairs = self.swap if self.swap is not None else _sided(classes)
        names = [name for pair in pairs for name in pair]
        unknown = sorted(set(names) - set(classes))
        if unknown or len(set(names)) != len(names):
            raise DataError(
                "data.augment.swap must name classes of the data, each once at most",
                found=f"unknown: {listing(unknown)}" if unknown else f"data.augment.swap={pairs}",
                do=f"the classes are {choices(classes, *unknown[:1])}",
            )
        becomes = torch.arange(len(classes))
        for one, other in pairs:
            first, second = classes.index(one), classes.index(other)
            becomes[first], becomes[second] = second, first
        return becomes


def _sided(classes: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of names that differ by left and right alone."""
    mirrored = {name: name.replace(left, right) for left, right in _SIDES for name in classes if left in name}
    return tuple((name, other) for name, other in mirrored.items() if other in classes)
