"""RandAugment and AutoAugment: which operations an image goes through, drawn for a batch or for one image.

For whole batches the numbers follow from the step and all rows of the global batch are drawn, as everywhere in
`ImageAugmenter`; in the reading workers they follow from sample and epoch, after those of the crop.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from ablata.base.parts import OpenPart
from ablata.base.settings import Settings
from ablata.data.transforms.auto_augment_batch_ops import apply_to_rows
from ablata.data.transforms.auto_augment_image_ops import apply_by_opencv, apply_by_pil
from ablata.data.transforms.auto_augment_ops import INCREASING, NAMES, ORIGINAL, STEEPEST, Name, Range
from ablata.structures.batch import Rows

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Draws:
    """Drawn operations of n images, in up to `count` operations each.

    Attributes:
        operation: int64 [n, count], positions in `NAMES`; -1: nothing.
        argument: float64 [n, count], as `Range.argument` gives it.
        place: float64 [n, count, 2], down and across in [0, 1).
    """

    operation: np.ndarray
    argument: np.ndarray
    place: np.ndarray


class _Policy(Settings):
    """What RandAugment and AutoAugment have in common."""

    where: Literal["batch", "pil", "opencv"] = "batch"
    """batch: whole batches on their device, PIL's results; pil, opencv: image by image in the processes that read
    files, after the crop and before the flip. OpenCV rounds differently."""
    fill: Annotated[int, Field(ge=0, le=255)] = 128
    """Value of what comes into view from outside, and of squares that are cut out."""
    until_epoch: Annotated[int, Field(ge=0)] | None = None
    """First epoch (counted from 0) without these operations; null: to the end. For whole batches only."""

    @model_validator(mode="after")
    def _readers_know_no_end(self) -> _Policy:
        if self.until_epoch is not None and self.where != "batch":
            raise ValueError(f"until_epoch needs where=batch, got until_epoch={self.until_epoch}, where={self.where}")
        return self

    @abstractmethod
    def draw(self, random: np.random.Generator, total: int) -> Draws:
        """Draw what happens to `total` images."""

    def change_batch(self, images: Tensor, rows: Rows, seed: int, epoch: int) -> Tensor:
        """Return rows of a global batch changed.

        Args:
            images: uint8 [B, C, H, W].
            rows: their place in the global batch.
            seed: of this step.
            epoch: for `until_epoch`.

        Returns:
            uint8 [B, C, H, W].
        """
        if self.where != "batch" or (self.until_epoch is not None and epoch >= self.until_epoch):
            return images
        drawn, here = self.draw(np.random.default_rng(seed), rows.total), slice(rows.first, rows.first + len(images))
        operation, argument, place = drawn.operation[here], drawn.argument[here], drawn.place[here]
        images = images.clone()
        for turn in range(operation.shape[1]):
            for number in np.unique(operation[:, turn]):
                if number < 0:
                    continue
                chosen = (operation[:, turn] == number).nonzero()[0]
                index = torch.from_numpy(chosen).to(images.device)
                images[index] = apply_to_rows(
                    images[index], NAMES[number], argument[chosen, turn], place[chosen, turn], self.fill
                )
        return images

    def change_image(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return one image, uint8 [H, W, 3], changed, or as it is where whole batches are.

        Args:
            pixels: uint8 [H, W, 3].
            random: drawn from.
        """
        if self.where == "batch":
            return pixels
        drawn = self.draw(random, 1)
        steps = [
            (NAMES[number], float(argument), (float(place[0]), float(place[1])))
            for number, argument, place in zip(drawn.operation[0], drawn.argument[0], drawn.place[0], strict=True)
            if number >= 0
        ]
        if self.where == "opencv":
            for step in steps:
                pixels = apply_by_opencv(pixels, *step, self.fill)
            return pixels
        image = Image.fromarray(pixels)
        for step in steps:
            image = apply_by_pil(image, *step, self.fill)
        return np.asarray(image)


class RandAugment(_Policy):
    """RandAugment: N operations of one magnitude, drawn with equal chances (Cubuk et al. 2019, arXiv 1909.13719)."""

    kind: Literal["rand_augment"] = "rand_augment"
    count: Annotated[int, Field(ge=1)] = 2
    """N, operations drawn for an image; the same one may come twice."""
    magnitude: Annotated[float, Field(ge=0, le=STEEPEST)] = 9.0
    """M, from 0 to 10; what it means for each operation is in `auto_augment_ops`."""
    probability: Probability = 0.5
    """Chance that a drawn operation is applied: 0.5 in timm, 1 in the paper."""
    magnitude_std: Annotated[float, Field(ge=0)] | Literal["uniform"] = 0.5
    """Standard deviation of the magnitude around M, drawn anew for each operation and kept within 0..10 (timm's mstd);
    uniform: from 0 to M."""
    cutout: bool = False
    """Cut out a grey square as one of the operations."""

    def draw(self, random: np.random.Generator, total: int) -> Draws:
        """Draw what happens to `total` images."""
        names = [name for name in NAMES if self.cutout or name != "cutout"]
        shape = (total, self.count)
        operation = random.integers(len(names), size=shape)
        operation[random.random(shape) >= self.probability] = -1
        if self.magnitude_std == "uniform":
            magnitude = self.magnitude * random.random(shape)
        else:
            magnitude = (self.magnitude + self.magnitude_std * random.standard_normal(shape)).clip(0, STEEPEST)
        return _with_arguments(random, operation, magnitude, INCREASING)


class AutoAugment(_Policy):
    """AutoAugment: one of 25 pairs of operations, found for ImageNet (Cubuk et al. 2018, arXiv 1805.09501)."""

    kind: Literal["auto_augment"] = "auto_augment"

    def draw(self, random: np.random.Generator, total: int) -> Draws:
        """Draw what happens to `total` images."""
        pair = random.integers(len(IMAGENET_PAIRS), size=total)
        table = np.array([[(NAMES.index(name), p, m) for name, p, m in two] for two in IMAGENET_PAIRS])[pair]
        operation = np.where(random.random((total, 2)) < table[..., 1], table[..., 0], -1).astype(np.int64)
        return _with_arguments(random, operation, table[..., 2], ORIGINAL)


AnyPolicy = Annotated[RandAugment | AutoAugment, OpenPart()]


def _with_arguments(
    random: np.random.Generator, operation: np.ndarray, magnitude: np.ndarray, ranges: dict[Name, Range]
) -> Draws:
    negative, place = random.random(operation.shape) < 0.5, random.random((*operation.shape, 2))
    argument = np.zeros(operation.shape)
    for row, turn in zip(*(operation >= 0).nonzero(), strict=True):
        wanted = ranges[NAMES[operation[row, turn]]]
        argument[row, turn] = wanted.argument(float(magnitude[row, turn]), bool(negative[row, turn]))
    return Draws(operation, argument, place)


Step = tuple[Name, float, float]
"""An operation, the chance that it is applied, its magnitude."""

IMAGENET_PAIRS: tuple[tuple[Step, Step], ...] = (
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
)
"""Found on a part of ImageNet; from the appendix of the paper. Where a magnitude has no meaning it is still named."""
