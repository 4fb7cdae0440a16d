"""Batch augmentation of images with one label, on their device, and normalization.

Order: flip, pad or enlarge, and crop, a policy, blackened channels (uint8); colour, lighting (0 to 255);
normalize; cutout, erasing; mixing. Every operation has a random stream of its own, addressed by the step: switching one
off changes the numbers of none of the others, so that two recipes that differ in one operation see the same flips and
crops. The numbers of all rows of the global batch are drawn on the processor and then cut to the rows at hand: two
processes with half a batch each see exactly what one process with all of it sees.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ablata.base.errors import DataError
from ablata.base.seeds import derive
from ablata.base.settings import Settings
from ablata.data.transforms import geometry
from ablata.data.transforms.augmenter import Augmenter
from ablata.data.transforms.auto_augment import AnyPolicy
from ablata.data.transforms.color_jitter import ColorJitter, draw_factors, draw_pca_lighting, jitter
from ablata.data.transforms.mixup_cutmix import Mix, apply_plan, draw_plan
from ablata.data.transforms.normalization import Normalizer
from ablata.data.transforms.plain import OwnTransform, apply_transform
from ablata.data.transforms.random_erasing import RandomErasing, draw_boxes, erase_boxes
from ablata.data.transforms.resize_crop import ResizeCrop
from ablata.structures.batch import ImageBatch, Rows

_FLIP, _CROP, _COLOR, _CUTOUT, _MIX, _CHANNELS, _POLICY, _LIGHTING, _ERASE = range(9)


class Augment(Settings):
    """Augmentation of training batches. The default is none."""

    flip: bool = False
    """Mirror images left to right."""
    flip_mode: Literal["random", "alternating"] = "random"
    """random: half of the images, by chance; alternating: by chance in the first epoch, then an image is mirrored in
    every second epoch, so that two epochs in a row always show both sides (Jordan 2024, arXiv 2404.00498, 3.6)."""
    pad: Annotated[int, Field(ge=0)] = 0
    """Pad by this many pixels on each side and cut back to size at a random place; 0 is off."""
    pad_mode: geometry.PadMode = "zero"
    """What the padding holds: black, the image mirrored at its border, or the colour of `pad_fill`."""
    pad_fill: int | tuple[int, ...] = 128
    """Value of constant padding, 0..255, one for all channels or one for each."""
    resize: ResizeCrop | None = None
    """Enlarge images and cut them back to size at a random place, in place of `pad` (sets in memory); null is off."""
    channel_drop: Annotated[int, Field(ge=0)] = 0
    """Most colour channels of an image that are blackened: 0 to so many, evenly, then which by chance; 0 is off."""
    color_jitter: ColorJitter | None = None
    """Change brightness, contrast and saturation; null is off."""
    cutout: Annotated[int, Field(ge=0)] = 0
    """Cover square boxes of this side in pixels, clipped at the border; 0 is off."""
    cutout_count: Annotated[int, Field(ge=1)] = 1
    """Boxes an image."""
    cutout_fill: Literal["mean", "zero"] = "mean"
    """What a box holds: the mean colour of the training set (0 after normalisation), or black."""
    transform: OwnTransform | None = None
    """Change each image by a function of your own, before everything else; null is off."""
    policy: AnyPolicy | None = None
    """Change colours and shapes by operations drawn for each image: rand_augment, auto_augment; null is off."""
    lighting: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of noise along the principal colours of ImageNet (0.1 is usual); 0 is off."""
    erase: RandomErasing | None = None
    """Cover random boxes after normalisation; null is off."""
    repeats: Annotated[int, Field(ge=1)] = 1
    """Times that each image comes in a batch, each time augmented anew (Hoffer et al. 2019, arXiv 1901.09335); an epoch
    has as many steps as before and shows that fraction of the images (as in DeiT)."""
    mix: Mix | None = None
    """Mix images and labels within the batch: mixup, cutmix, both; null is off."""

    @model_validator(mode="after")
    def _one_way_to_crop(self) -> Augment:
        if self.pad and self.resize is not None:
            raise ValueError(
                f"crops come from padded or from enlarged images: set pad=0 or resize=null, got pad={self.pad}"
            )
        return self


class ImageAugmenter(Augmenter[ImageBatch]):
    """Augments and normalizes images with one label each.

    Args:
        settings: what to do.
        seed: the run's seed.
        normalizer: the data set's normalisation.
        size: height and width of the images.

    Raises:
        DataError: the padding is as large as the image, its colour does not fit the channels, images would shrink
            before they are cut, lighting is to change grey images, or all channels could be blackened.
    """

    def __init__(self, settings: Augment, seed: int, normalizer: Normalizer, size: tuple[int, int]) -> None:
        if settings.pad >= min(size):
            raise DataError(
                "data.augment.pad must be smaller than the image",
                found=f"data.augment.pad={settings.pad} for images of {size[0]}x{size[1]} pixels",
                do="choose a smaller padding (4 is usual for 32x32)",
            )
        if settings.resize is not None and settings.resize.side < min(size):
            raise DataError(
                "data.augment.resize.side must be at least the shorter side of the image",
                found=f"data.augment.resize.side={settings.resize.side} for images of {size[0]}x{size[1]} pixels",
                do="choose a larger side (40 is usual for 32x32)",
            )
        self.settings, self.seed, self.normalizer, self.size = settings, seed, normalizer, size
        self.repeats = settings.repeats
        fill, channels = settings.pad_fill, len(normalizer.scale.flatten())
        self._fill = (fill,) if isinstance(fill, int) else fill
        if len(self._fill) not in (1, channels) or not all(0 <= value <= 255 for value in self._fill):
            raise DataError(
                f"data.augment.pad_fill must be one value in 0..255 or {channels}, one for each channel",
                found=f"data.augment.pad_fill={fill}",
                do="data.augment.pad_fill=128",
            )
        if settings.lighting and channels != 3:
            raise DataError(
                "data.augment.lighting needs red, green and blue",
                found=f"data.augment.lighting={settings.lighting} for images of {channels} channels",
                do="set data.augment.lighting=0",
            )
        if settings.channel_drop and settings.channel_drop >= channels:
            raise DataError(
                "data.augment.channel_drop must leave a channel",
                found=f"data.augment.channel_drop={settings.channel_drop} for images of {channels} channels",
                do="data.augment.channel_drop=0",
            )

    def mixes(self, epoch: int) -> bool:
        """Tell whether batches of this epoch may be mixed."""
        return self.settings.mix is not None and self.settings.mix.active(epoch)

    def needs_other_batch(self, epoch: int) -> bool:
        """Tell whether images of this epoch may be mixed with those of another batch."""
        return self.settings.mix is not None and self.mixes(epoch) and self.settings.mix.other_batch

    def __call__(self, batch: ImageBatch, step: int, epoch: int) -> ImageBatch:
        """Return the batch augmented and normalized, on the device it is on.

        Args:
            batch: uint8 images; all rows of the global batch where it is to be mixed between processes, and then those
                of another one where it is to be mixed with that.
            step: global step, counted from 0 over the whole training.
            epoch: epoch of the step.

        Returns:
            float32 images; `mixing` set where labels were mixed; only the rows of `batch.rows.keep`, where that is set.
        """
        own = self.settings.transform
        if own is not None:
            images, _ = apply_transform(own, batch.images, None, self.seed, step, batch.rows.first)
            batch = replace(batch, images=images)
        images = self._move(batch, step, epoch)
        if self.settings.policy is not None:
            seed = derive(self.seed, "augment", step, _POLICY)
            images = self.settings.policy.change_batch(images, batch.rows, seed, epoch)
        images = self._blacken(images, batch.rows, step)
        images = self._recolor(images, batch.rows, step)
        images = self._erase(self._cover(images, batch.rows, step), batch.rows, step, epoch)
        batch = replace(batch, images=images)
        plan = None
        if self.settings.mix is not None and self.mixes(epoch):
            seed = derive(self.seed, "augment", step, _MIX)
            plan = draw_plan(seed, self.settings.mix, batch.rows.total, self.size, epoch)
        if plan is not None:
            batch = apply_plan(batch, plan)
        elif batch.rows.keep is not None:
            batch = replace(batch, rows=replace(batch.rows, keep=None)).narrow(*batch.rows.keep)
        return replace(batch, images=batch.images.contiguous(memory_format=self.normalizer.memory_format))

    def _generator(self, step: int, operation: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive(self.seed, "augment", step, operation))

    def _move(self, batch: ImageBatch, step: int, epoch: int) -> Tensor:
        settings, images, rows, flips = self.settings, batch.images, batch.rows, None
        if settings.flip and settings.flip_mode == "alternating":
            flips = geometry.alternating_flips(derive(self.seed, "augment", 0, _FLIP), batch.index, epoch)
        elif settings.flip:
            flips = _local(geometry.draw_flips(self._generator(step, _FLIP), rows.total), rows, images)
        if settings.pad:
            offsets = geometry.draw_offsets(self._generator(step, _CROP), rows.total, settings.pad)
            offsets = _local(offsets, rows, images)
            return geometry.flip_pad_crop(images, flips, offsets, settings.pad, settings.pad_mode, self._fill)
        if settings.resize is not None:
            height, width = images.shape[-2:]
            places = geometry.draw_places(self._generator(step, _CROP), rows.total, (height, width), self.size)
            return geometry.flip_crop(images, flips, _local(places, rows, images), *self.size)
        return images if flips is None else geometry.horizontal_flip(images, flips)

    def _blacken(self, images: Tensor, rows: Rows, step: int) -> Tensor:
        most = self.settings.channel_drop
        if not most:
            return images
        drawn = geometry.draw_channels(self._generator(step, _CHANNELS), rows.total, images.shape[1], most)
        return images.masked_fill(_local(drawn, rows, images)[:, :, None, None], 0)

    def _recolor(self, images: Tensor, rows: Rows, step: int) -> Tensor:
        color, lighting = self.settings.color_jitter, self.settings.lighting
        if color is not None:
            factors = _local(draw_factors(self._generator(step, _COLOR), rows.total, color), rows, images)
            images = jitter(self.normalizer.floats(images), factors, color)
        if lighting:
            shifts = _local(draw_pca_lighting(self._generator(step, _LIGHTING), rows.total, lighting), rows, images)
            images = self.normalizer.floats(images).add_(shifts[:, :, None, None])
        return self.normalizer(images)

    def _erase(self, images: Tensor, rows: Rows, step: int, epoch: int) -> Tensor:
        erase = self.settings.erase
        if erase is None or not erase.active(epoch):
            return images
        seed = derive(self.seed, "augment", step, _ERASE)
        return erase_boxes(images, draw_boxes(seed, erase, rows, len(images), self.size), erase.fill)

    def _cover(self, images: Tensor, rows: Rows, step: int) -> Tensor:
        settings = self.settings
        if not settings.cutout:
            return images
        generator = self._generator(step, _CUTOUT)
        centres = geometry.draw_centers(generator, rows.total, settings.cutout_count, *self.size)
        fill = 0.0 if settings.cutout_fill == "mean" else self.normalizer.shift
        return geometry.cutout(images, _local(centres, rows, images), settings.cutout, fill)


def _local(drawn: Tensor, rows: Rows, images: Tensor) -> Tensor:
    """Cut numbers drawn for the global batch to the rows at hand, on their device."""
    return drawn[rows.first : rows.first + len(images)].to(images.device, non_blocking=True)
