"""Where regions lie as seen from each other, and the waves that those numbers are embedded in.

Relation Networks (Hu et al. 2018, arXiv 1711.11575), equation 5 and what follows it. No gradient goes back to boxes.

Shapes: B images, R regions of an image, S of them that are looked at, E numbers of the embedding.

    boxes      [B, R, 4]      left, top, right, bottom, half open, so that a width is right - left
    distances  [B, 2, R, S]   log(|dx| / w), log(|dy| / h), at least log(1e-3)
    own        [B, 2, R]      log w, log h
    other      [B, 2, S]      log w', log h' of those looked at
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import torch
from torch import Tensor

_LEAST = 1e-3


class RelativeGeometry(NamedTuple):
    """Where regions lie as seen from each other; moving all, or scaling all together, changes no `log_ratios`."""

    distances: Tensor
    """float32 [B, 2, R, S]."""
    own: Tensor
    """float32 [B, 2, R], of the regions that look."""
    other: Tensor
    """float32 [B, 2, S], of those looked at."""

    def log_ratios(self) -> Tensor:
        """Return the paper's four numbers of each pair, [B, 4, R, S]: the distances, log(w / w') and log(h / h')."""
        return torch.cat([self.distances, self.own[..., None] - self.other[:, :, None]], dim=1)


@torch.no_grad()
def geometry(boxes: Tensor, near: Tensor) -> RelativeGeometry:
    """Return where boxes [B, S, 4] lie as seen from boxes [B, R, 4], all float32.

    Boxes are half open, which is the paper's `+ 1` for boxes that hold their last pixel.
    """
    middle, size = _middle_and_size(boxes)
    other, other_size = _middle_and_size(near)
    middle, size, other, other_size = (one.transpose(1, 2) for one in (middle, size, other, other_size))
    apart = (middle[..., None] - other[:, :, None]).abs_().div_(size[..., None])
    return RelativeGeometry(apart.clamp_(min=_LEAST).log_(), size.log(), other_size.log())


def embed(values: Tensor, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return sines and cosines of the values [B, N, ...], [B, N size / 4, ...]; `size` is a multiple of 8.

    They are written where they belong, at once in `dtype`, a wave of one number of one image at a time, which the
    caches hold.
    """
    rates = _rates(size)
    images, log_ratios = values.shape[:2]
    made = torch.empty(images, log_ratios, 2, len(rates), *values.shape[2:], device=values.device, dtype=dtype)
    for place in itertools.product(range(images), range(log_ratios)):
        sines, cosines = made[place]
        for rate, sine, cosine in zip(rates, sines, cosines, strict=True):
            angles = values[place] * rate
            sine.copy_(angles.sin())
            cosine.copy_(angles.cos_())
    return made.flatten(1, 3)


def sine_cosine(values: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return sines and cosines of values [B, N, R], float32 [B, N size / 8, R] each."""
    angles = values[:, :, None] * torch.tensor(_rates(size), device=values.device)[:, None]
    return angles.sin().flatten(1, 2), angles.cos().flatten(1, 2)


def find_parts(boxes: Tensor, near: Tensor) -> Tensor:
    """Return bool [B, R, S]: which of `near` [B, S, 4] are smaller than a box [B, R, 4] and half in it or more."""
    low = torch.maximum(boxes[:, :, None, :2], near[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], near[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area, other = (_middle_and_size(one)[1].prod(-1) for one in (boxes, near))
    return (common >= 0.5 * other[:, None]) & (other[:, None] < area[:, :, None])


def _rates(size: int) -> list[float]:
    return [100 / 1000 ** (wave * 8 / size) for wave in range(size // 8)]


def _middle_and_size(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return [..., 2] each; a box that fills a row up counts as one pixel wide."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, torch.where(high > low, high - low, torch.ones_like(low))
