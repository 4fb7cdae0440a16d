"""Hard anchor sampling of a contrastive loss: of each class and image as many wrong pixels as correct ones.

Source: Wang et al. 2021, arXiv 2101.11939, section 3.3 (hard anchor sampling); how many of which, from its code.

Letters: B images, K classes, P pixels of an image, G = B K groups of the pixels of a class in an image, S samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings

OnShortClass = Literal["skip", "take", "repeat"]
ShortClasses = Literal["any", "one_kind", "hard"]


class AnchorSampling(Settings):
    """Hard anchor sampling: how many pixels of which kind."""

    samples: Annotated[int, Field(ge=2)] = 1024
    """S: most pixels of a batch, on each process."""
    max_views: Annotated[int, Field(ge=1)] = 100
    """Most pixels of a class in an image; fewer where the samples would not do for all of them."""
    on_short_class: OnShortClass = "skip"
    """A class with too few pixels in an image (skip: no more than `max_views`) is left out; or gives the pixels it has
    (take); or gives those again and again until there are enough (repeat)."""
    short_classes: ShortClasses = "any"
    """Of which classes with too few pixels `on_short_class` speaks, the others being left out: any of them; those whose
    pixels in the image are all wrongly or all correctly predicted (one_kind); those whose pixels are all wrongly
    predicted (hard)."""
    hard_fraction: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Fraction of wrongly predicted pixels; where one kind is short, all of it and the rest of the other."""


@dataclass(frozen=True)
class PixelGroups:
    """Pixels in groups: those of a class in an image, wrongly predicted ones first, each kind in random order.

    Attributes:
        order: int64 [B P], numbers of the pixels, group after group, ignored ones last.
        hard: int64 [G], wrongly predicted pixels.
        easy: int64 [G], correctly predicted ones.
        first: int64 [G], where a group begins in `order`.
    """

    order: Tensor
    hard: Tensor
    easy: Tensor
    first: Tensor


def group_pixels(labels: Tensor, correct: Tensor, classes: int, ignore: int) -> PixelGroups:
    """Group the pixels of a batch; random numbers are torch's.

    Args:
        labels: int64 [B, P] in [0, K), or `ignore`.
        right: bool [B, P], whether they are correctly predicted.
        classes: K.
        ignore: label of pixels in no group.
    """
    groups = len(labels) * classes
    kept = labels != ignore
    image = torch.arange(len(labels), device=labels.device)[:, None]
    kind = 2 * (image * classes + labels) + correct
    kind = torch.where(kept, kind, 2 * groups).flatten()
    counts = torch.zeros(2 * groups + 1, dtype=torch.int64, device=kind.device)
    counts.index_add_(0, kind, torch.ones_like(kind))
    # One sort by kind, then by chance: 31 random bits behind the kind.
    order = ((kind << 31) | torch.randint(2**31, kind.shape, device=kind.device)).argsort()
    hard, easy = counts[:-1].view(groups, 2).unbind(1)
    total = hard + easy
    return PixelGroups(order, hard, easy, total.cumsum(0) - total)


def draw_anchors(settings: AnchorSampling, pixels: PixelGroups) -> tuple[Tensor, Tensor]:
    """Draw the anchors of a batch.

    Args:
        settings: how many of which.
        pixels: of the batch.

    Returns:
        int64 [S], numbers of pixels, and bool [S], which of them count: fewer than S where there are not so many.
    """
    hard, easy, total = pixels.hard, pixels.easy, pixels.hard + pixels.easy
    taking = total > settings.max_views
    if settings.on_short_class != "skip":
        meant = {"any": total > 0, "one_kind": (hard > 0) ^ (easy > 0), "hard": (hard > 0) & (easy == 0)}
        taking = taking | meant[settings.short_classes]
    # With more groups than samples, a random choice of groups gets one pixel each.
    turn = torch.where(taking, torch.rand(len(total), device=total.device), 2.0).argsort().argsort()
    taking = taking & (turn < settings.samples)
    views = (settings.samples // taking.sum().clamp(min=1)).clamp(max=settings.max_views)
    distinct = torch.minimum(views, total)
    from_hard = (distinct * settings.hard_fraction).long()
    from_hard = torch.minimum(torch.maximum(from_hard, distinct - easy), hard)
    slot = torch.arange(settings.max_views, device=total.device)
    place = slot % distinct.clamp(min=1)[:, None]
    # Past the chosen wrong ones come the right ones, which begin behind all wrong ones.
    place = torch.where(place < from_hard[:, None], place, place + (hard - from_hard)[:, None])
    wanted = distinct if settings.on_short_class == "take" else views.expand_as(total)
    counts = taking[:, None] & (slot < wanted[:, None])
    return pack_drawn(pixels.order, pixels.first[:, None] + place, counts, settings.samples)


def pack_drawn(order: Tensor, places: Tensor, counts: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Move the entries that count to the front of a list of fixed length, so that a GPU need not be waited for.

    Args:
        order: int64 [n].
        places: int64, any shape, in `order`.
        counts: bool of that shape, at most `size` of them true.
        size: S.

    Returns:
        order[places] where it counts, int64 [S] and bool [S]. On a processor S is the number that counts.
    """
    flat, counts = places.flatten(), counts.flatten()
    if not flat.is_cuda:
        found = order[flat[counts]]
        return found, torch.ones_like(found, dtype=torch.bool)
    target = torch.where(counts, counts.cumsum(0) - 1, size)
    chosen = order.new_zeros(size + 1).scatter_(0, target, order[flat.clamp(max=len(order) - 1)])[:size]
    return chosen, torch.arange(size, device=flat.device) < counts.sum()
