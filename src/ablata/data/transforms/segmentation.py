"""Joint augmentation of images with their label maps, as whole batches on their device.

Order: mirror, scale and cut in one resampling; mixing; colour (0..255); normalize; borders. Images are interpolated
between their four neighbours (no antialias, as OpenCV's resize in published segmenters), labels take the nearest pixel
and keep their type; both on the same grid of pixel centres. Every operation has a random stream of its own, addressed
by the step, drawn for all rows of the global batch: two processes with half a batch each see what one process with all
sees.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from ablata.base.parts import OpenPart
from ablata.base.seeds import derive
from ablata.base.settings import Settings
from ablata.data.transforms.augmenter import Augmenter
from ablata.data.transforms.color_jitter import ColorJitter, draw_factors, jitter
from ablata.data.transforms.geometry import draw_flips
from ablata.data.transforms.label_map_mix import ClassMix, MosaicMix, taken
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.plain import OwnTransform, apply_transform
from ablata.structures.segmentation import IGNORE, SegmentationBatch

_FLIP, _SCALE, _PLACE, _COLOR, _MIX = range(5)


class ScaleRange(Settings):
    """Random scale, drawn evenly between two."""

    kind: Literal["range"] = "range"
    low: Annotated[float, Field(gt=0)] = 0.75
    """Smallest scale."""
    high: Annotated[float, Field(gt=0)] = 2.0
    """Largest scale."""

    @model_validator(mode="after")
    def _ordered(self) -> ScaleRange:
        if self.low > self.high:
            raise ValueError(f"low <= high must hold, got low={self.low}, high={self.high}")
        return self

    def draw(self, generator: torch.Generator, total: int) -> Tensor:
        """Return float64 [total]."""
        share = torch.rand(total, generator=generator, dtype=torch.float64)
        return self.low + (self.high - self.low) * share


class ScaleList(Settings):
    """Random scale, drawn from a list."""

    kind: Literal["list"] = "list"
    values: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.75, 1.0, 1.5, 1.75, 2.0)
    """The scales, each as likely as the others."""

    def draw(self, generator: torch.Generator, total: int) -> Tensor:
        """Return float64 [total]."""
        choice = torch.randint(len(self.values), (total,), generator=generator)
        return torch.tensor(self.values, dtype=torch.float64)[choice]


class Crop(Settings):
    """Random crop: the size that training sees."""

    height: Annotated[int, Field(ge=1)]
    """Pixels."""
    width: Annotated[int, Field(ge=1)]
    """Pixels."""


class JointAugment(Settings):
    """Joint augmentation of training images and their label maps. The default is none."""

    flip: bool = False
    """Mirror half of the images left to right, by chance."""
    scale: Annotated[ScaleRange | ScaleList, OpenPart()] | None = None
    """Resize by a random factor before `crop`; null is off."""
    crop: Crop | None = None
    """Cut this much out at a random place; a smaller image lies at a random place in it. Null: whole images."""
    border: Literal["mean", "zero"] = "mean"
    """What lies beside a smaller image: the mean colour (0 after normalisation), or black. Its label is ignored."""
    transform: OwnTransform | None = None
    """Change each image and its mask by a function of your own, before everything else; null is off."""
    color_jitter: ColorJitter | None = None
    """Change brightness, contrast and saturation; null is off."""
    mix: Annotated[ClassMix | MosaicMix, OpenPart()] | None = None
    """Mix the crops of a batch with their label maps: class_mix (copy-paste), mosaic; null is off."""

    @model_validator(mode="after")
    def _scaled_images_are_cut(self) -> JointAugment:
        if self.scale is not None and self.crop is None:
            raise ValueError("scaled images must be cut to one size: set crop.height and crop.width, or scale=null")
        return self


class JointAugmenter(Augmenter[SegmentationBatch]):
    """Augments images together with their label maps, and normalizes them.

    Args:
        settings: what to do.
        seed: the run's seed.
        normalizer: the data set's normalisation.
    """

    def __init__(self, settings: JointAugment, seed: int, normalizer: Normalizer) -> None:
        self.settings, self.seed, self.normalizer = settings, seed, normalizer

    def __call__(self, batch: SegmentationBatch, step: int, epoch: int) -> SegmentationBatch:
        """Return the batch augmented and normalized, on the device it is on.

        Args:
            batch: uint8 images; without `crop` every image fills its row.
            step: global step, counted from 0 over the whole training.
            epoch: epoch of the step; nothing depends on it.

        Returns:
            float32 images [B, C, height, width] of the crop; uint8 labels.
        """
        settings, own = self.settings, self.settings.transform
        if own is not None:
            images, labels = apply_transform(own, batch.images, batch.labels, self.seed, step, batch.rows.first)
            batch = replace(batch, images=images, labels=batch.labels if labels is None else labels)
        flips = self._drawn(draw_flips(self._generator(step, _FLIP), batch.rows.total), batch)
        if not settings.flip:
            flips = torch.zeros_like(flips)
        outside, sizes = None, batch.sizes
        if settings.crop is None:
            images = torch.where(flips[:, None, None, None], batch.images.flip(-1), batch.images).float()
            labels = torch.where(flips[:, None, None], batch.labels.flip(-1), batch.labels)
        else:
            down, across = self._places(batch, flips, settings.crop, step)
            images = _interpolated(batch.images, _inside(down, batch.sizes[:, :1]), _inside(across, batch.sizes[:, 1:]))
            labels, outside = _nearest(batch.labels, batch.sizes, down, across)
            sizes = torch.tensor([settings.crop.height, settings.crop.width], device=images.device)
            sizes = sizes.expand(len(batch), 2)
        if settings.mix is not None:
            partners = settings.mix.partners(labels, batch.rows.total, self._generator(step, _MIX))
            images, labels = taken(images, partners), taken(labels, partners)
            outside = None if outside is None else taken(outside, partners)
        images = self._finished(images, batch, step, outside)
        batch = replace(batch, images=images, labels=labels, sizes=sizes)
        return batch if batch.rows.keep is None else batch.narrow(*batch.rows.keep)

    def mixes(self, epoch: int) -> bool:
        """Tell whether images of a batch are mixed with each other: in every epoch, where `mix` is set."""
        return self.settings.mix is not None

    def _generator(self, step: int, operation: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, "augment", step, operation))

    def _drawn(self, drawn: Tensor, batch: SegmentationBatch) -> Tensor:
        """Cut numbers drawn for the global batch to the rows at hand, on their device."""
        return drawn[batch.rows.first : batch.rows.first + len(batch)].to(batch.images.device, non_blocking=True)

    def _places(self, batch: SegmentationBatch, flips: Tensor, crop: Crop, step: int) -> tuple[Tensor, Tensor]:
        """Return float64 [B, height] and [B, width]: from which row and column of its image a pixel comes."""
        total, scale = batch.rows.total, self.settings.scale
        factors = torch.ones(total, dtype=torch.float64)
        if scale is not None:
            factors = scale.draw(self._generator(step, _SCALE), total)
        share = torch.rand(total, 2, generator=self._generator(step, _PLACE), dtype=torch.float64)
        factors, share = self._drawn(factors, batch), self._drawn(share, batch)
        scaled = (batch.sizes * factors[:, None] + 0.5).floor().clamp(min=1)
        free = scaled - torch.tensor([crop.height, crop.width], device=scaled.device)
        first = (share * (free.abs() + 1)).floor() + free.clamp(max=0)
        step_size = batch.sizes / scaled
        down, across = (
            (torch.arange(length, device=scaled.device) + 0.5 + first[:, axis, None]) * step_size[:, axis, None] - 0.5
            for axis, length in enumerate((crop.height, crop.width))
        )
        return down, torch.where(flips[:, None], batch.sizes[:, 1:] - 1 - across, across)

    def _finished(self, images: Tensor, batch: SegmentationBatch, step: int, outside: Tensor | None) -> Tensor:
        color = self.settings.color_jitter
        if color is not None:
            factors = draw_factors(self._generator(step, _COLOR), batch.rows.total, color)
            images = jitter(images, self._drawn(factors, batch), color)
        images = self.normalizer(images)
        if outside is not None:
            images = torch.where(outside[:, None], self._border(), images)
        return images.contiguous(memory_format=self.normalizer.memory_format)

    def _border(self) -> Tensor:
        shift = self.normalizer.shift
        return torch.zeros_like(shift) if self.settings.border == "mean" else shift


def _inside(places: Tensor, lengths: Tensor) -> Tensor:
    """Move places to the image's own pixels: a smaller image's neighbours in its row are no part of it."""
    return places.clamp(min=0).minimum(lengths - 1.0)


def _interpolated(images: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return float32 [B, C, h, w], whole numbers 0..255, between the four neighbours of each place.

    `down` and `across` (float64) are rows and columns inside the image. The rounding makes places that are pixel
    centres exact.
    """
    high, wide = images.shape[-2:]
    y = (2 * down + 1) / high - 1
    x = (2 * across + 1) / wide - 1
    grid = torch.stack(
        [x[:, None, :].expand(-1, y.shape[1], -1), y[:, :, None].expand(-1, -1, x.shape[1])], dim=-1
    ).float()
    found = functional.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return found.round_().clamp_(0, 255)


def _nearest(labels: Tensor, sizes: Tensor, down: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Return the labels [B, h, w] nearest to each place, `IGNORE` beside the images, and bool [B, h, w]: beside."""
    row, column = (down + 0.5).floor().long(), (across + 0.5).floor().long()
    rows_out = (row < 0) | (row >= sizes[:, :1])
    columns_out = (column < 0) | (column >= sizes[:, 1:])
    high, wide = labels.shape[-2:]
    place = row.clamp(0, high - 1)[:, :, None] * wide + column.clamp(0, wide - 1)[:, None, :]
    found = labels.flatten(1).gather(1, place.flatten(1)).view_as(place)
    outside = rows_out[:, :, None] | columns_out[:, None, :]
    return found.masked_fill(outside, IGNORE), outside
