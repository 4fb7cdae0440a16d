"""Flip, pad-and-crop and cutout for whole batches: numbers are drawn for every row first, then applied without a loop.

Letters: B rows, C channels, H height, W width, p padding. Every operation treats rows independently, so that a slice of
the rows gives the same pixels as the whole.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

PadMode = Literal["zero", "reflect", "constant"]


def draw_flips(generator: torch.Generator, total: int) -> Tensor:
    """Return bool [total], each true with probability one half."""
    return torch.rand(total, generator=generator) < 0.5


def alternating_flips(seed: int, index: Tensor, epoch: int) -> Tensor:
    """Return bool [B]: in the first epoch true for half of all samples, then the other way round in every second one.

    Args:
        seed: which half; from `derive`.
        index: int64 [B], sample ids.
        epoch: counted from 0.
    """
    # The finaliser of splitmix64 (Steele et al. 2014), without its last step: one bit of a hash for each sample.
    mixed = index + (seed >> 1)
    for factor in (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15):
        mixed = (mixed ^ (mixed >> 31)) * factor
    return ((mixed >> 40) & 1).bool() ^ bool(epoch % 2)


def draw_offsets(generator: torch.Generator, total: int, pad: int) -> Tensor:
    """Return int64 [total, 2], the top and left of each crop in the padded image, uniform in 0..2*pad."""
    return torch.randint(0, 2 * pad + 1, (total, 2), generator=generator)


def draw_places(generator: torch.Generator, total: int, size: tuple[int, int], part: tuple[int, int]) -> Tensor:
    """Return int64 [total, 2], top and left of parts (height, width) of images of `size`, uniform over all places."""
    free = torch.tensor(size) - torch.tensor(part) + 1
    return (torch.rand(total, 2, generator=generator, dtype=torch.float64) * free).long()


def draw_channels(generator: torch.Generator, total: int, channels: int, most: int) -> Tensor:
    """Return bool [total, channels], true for 0 to `most` channels of each row: how many is uniform, then which."""
    rank = torch.rand(total, channels, generator=generator).argsort(1).argsort(1)
    return rank < torch.randint(most + 1, (total, 1), generator=generator)


def draw_centers(generator: torch.Generator, total: int, count: int, height: int, width: int) -> Tensor:
    """Return int64 [total, count, 2], row and column of box centres, uniform over the pixels."""
    place = torch.rand(total, count, 2, generator=generator)
    return (place * torch.tensor([height, width])).long()


def horizontal_flip(images: Tensor, flips: Tensor) -> Tensor:
    """Flip the rows [B, C, H, W] marked in `flips` (bool [B]) horizontally.

    On the processor, rows are copied one by one: for photographs that is five times as fast as a select by mask.
    """
    if images.device.type != "cpu":
        return torch.where(flips[:, None, None, None], images.flip(-1), images)
    result = images.clone()
    for row in flips.nonzero().flatten().tolist():
        result[row] = images[row].flip(-1)
    return result


def pad_images(images: Tensor, pad: int, mode: PadMode, fill: tuple[int, ...] = (0,)) -> Tensor:
    """Pad all four sides by `pad` pixels.

    Args:
        images: uint8 or float [B, C, H, W].
        pad: pixels, 0 <= pad; with `reflect` smaller than H and W.
        mode: `zero` black, `reflect` mirrored without repeating the border, `constant` the colour of `fill`.
        fill: one value for all channels or one for each, in the images' own scale.

    Returns:
        [B, C, H + 2 pad, W + 2 pad], the images' type.
    """
    if mode == "reflect":
        rows, columns = (_reflected(length, pad, images.device) for length in images.shape[-2:])
        return images[:, :, rows[:, None], columns]
    padded = functional.pad(images, (pad, pad, pad, pad))
    if mode == "constant" and any(fill):
        color = torch.tensor(fill, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
        for edge in (padded[:, :, :pad], padded[:, :, -pad:], padded[..., :pad], padded[..., -pad:]):
            edge[:] = color
    return padded


def _reflected(length: int, pad: int, device: torch.device) -> Tensor:
    """Return int64 [length + 2 pad]: p..1, 0..length-1, length-2..length-1-p."""
    place = torch.arange(-pad, length + pad, device=device).abs()
    return torch.where(place >= length, 2 * (length - 1) - place, place)


def flip_pad_crop(
    images: Tensor, flips: Tensor | None, offsets: Tensor, pad: int, mode: PadMode, fill: tuple[int, ...] = (0,)
) -> Tensor:
    """Mirror the marked rows, pad every image and cut it back to its size at a drawn place, in one gather.

    Args:
        images: uint8 [B, C, H, W].
        flips: bool [B], or None for no mirroring.
        offsets: int64 [B, 2], top and left of the crop of the mirrored, padded image, in 0..2*pad.
        pad: pixels on each side, >= 1.
        mode: see `pad_images`.
        fill: see `pad_images`.

    Returns:
        uint8 [B, C, H, W].
    """
    return flip_crop(pad_images(images, pad, mode, fill), flips, offsets, *images.shape[-2:])


def flip_crop(images: Tensor, flips: Tensor | None, offsets: Tensor, height: int, width: int) -> Tensor:
    """Mirror the marked rows and cut a part out of each image at a drawn place, in one gather.

    Args:
        images: uint8 [B, C, H, W].
        flips: bool [B], or None for no mirroring.
        offsets: int64 [B, 2], top and left of the part in the mirrored image.
        height: of the parts.
        width: of the parts.

    Returns:
        uint8 [B, C, height, width].
    """
    batch, channels, _, wide = images.shape
    columns = torch.arange(width, device=images.device) + offsets[:, 1:]
    if flips is not None:
        columns = torch.where(flips[:, None], wide - 1 - columns, columns)
    rows = torch.arange(height, device=images.device) + offsets[:, :1]
    place = (rows[:, :, None] * wide + columns[:, None, :]).view(batch, 1, height * width)
    flat = images.reshape(batch, channels, -1)
    return flat.gather(2, place.expand(batch, channels, -1)).view(batch, channels, height, width)


def box_mask(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor, height: int, width: int) -> Tensor:
    """Return bool [..., height, width], true inside each half-open box. Boxes (int64 [...]) may cross the border."""
    rows = torch.arange(height, device=top.device)
    columns = torch.arange(width, device=top.device)
    inside_rows = (rows >= top[..., None]) & (rows < bottom[..., None])
    inside_columns = (columns >= left[..., None]) & (columns < right[..., None])
    return inside_rows[..., :, None] & inside_columns[..., None, :]


def cutout(images: Tensor, centres: Tensor, size: int, fill: Tensor | float) -> Tensor:
    """Cutout: cover square boxes, clipped at the border (DeVries and Taylor 2017, arXiv 1708.04552, section 3).

    Args:
        images: float [B, C, H, W].
        centres: int64 [B, count, 2], row and column; a box covers centre - size // 2 up to `size` pixels on.
        size: side of a box in pixels, >= 1.
        fill: value put in the box, a number or [1, C, 1, 1].

    Returns:
        [B, C, H, W], the images' type.
    """
    start = centres - size // 2
    top, left = start.unbind(-1)
    covered = box_mask(top, left, top + size, left + size, *images.shape[-2:]).any(dim=1)[:, None]
    if isinstance(fill, Tensor):
        return torch.where(covered, fill, images)
    return images.masked_fill(covered, fill)
