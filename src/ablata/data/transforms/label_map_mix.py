"""Mixing crops of a batch together with their label maps: pixels of classes pasted, and mosaics of four.

Numbers are drawn for all rows of the global batch, whose images partners are: two processes with half a batch each see
what one with all sees. torchvision has neither for label maps.

Shapes: B images of H x W pixels, T rows of the global batch.

    images float [B, C, H, W]     labels uint8 [B, H, W]     outside bool [B, H, W], beside the images
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings
from ablata.structures.ignore import IGNORE

_LABELS = 256


class ClassMix(Settings):
    """Copy-paste of classes: pixels of some classes of another image of the batch are pasted (Olsson et al. 2021,
    ClassMix, arXiv 2007.07936)."""

    kind: Literal["class_mix"] = "class_mix"
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the images onto which others are pasted."""
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Of the other image's classes that are pasted, each by chance; ignored pixels never are."""

    def partners(self, labels: Tensor, total: int, generator: torch.Generator) -> Tensor:
        """Return int64 [B, H, W]: from which row of the batch each pixel comes.

        Args:
            labels: uint8 [B, H, W], all rows of the global batch.
            total: B.
            generator: of this batch.
        """
        partner = torch.randperm(total, generator=generator)
        mixed = torch.rand(total, generator=generator) < self.probability
        chosen = (torch.rand(total, _LABELS, generator=generator) < self.fraction) & mixed[:, None]
        chosen[:, IGNORE] = False
        partner, chosen = partner.to(labels.device), chosen.to(labels.device)
        pasted = chosen.gather(1, labels[partner].flatten(1).long()).view(labels.shape)
        return torch.where(pasted, partner[:, None, None], _own(labels))


class MosaicMix(Settings):
    """Mosaic of label maps: around a random middle, each quarter is that of another image of the batch."""

    kind: Literal["mosaic"] = "mosaic"
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the images that become one; their upper left quarter stays."""
    margin: Annotated[float, Field(ge=0, lt=0.5)] = 0.25
    """The middle lies at least this fraction of a side away from the border."""

    def partners(self, labels: Tensor, total: int, generator: torch.Generator) -> Tensor:
        """Return int64 [B, H, W]: from which row of the batch each pixel comes; arguments as of `ClassMix`."""
        height, width = labels.shape[1:]
        others = torch.stack([torch.randperm(total, generator=generator) for _ in range(3)])
        mixed = torch.rand(total, generator=generator) < self.probability
        middle = self.margin + (1 - 2 * self.margin) * torch.rand(total, 2, generator=generator)
        others, mixed, middle = (one.to(labels.device) for one in (others, mixed, middle))
        below = torch.arange(height, device=labels.device) >= (middle[:, :1] * height)
        right = torch.arange(width, device=labels.device) >= (middle[:, 1:] * width)
        quarter = 2 * below[:, :, None].long() + right[:, None, :].long()
        own = _own(labels)
        rows = torch.stack([own[:, 0, 0], *others])  # [4, B], the source of each quarter
        found = rows.T.gather(1, quarter.flatten(1)).view(labels.shape)
        return torch.where(mixed[:, None, None], found, own)


def taken(values: Tensor, partners: Tensor) -> Tensor:
    """Return values [B, ..., H, W] with each pixel from the row of the batch that `partners` [B, H, W] says."""
    rows, columns = (torch.arange(side, device=values.device) for side in partners.shape[1:])
    places = (partners, rows[:, None], columns)
    return values[places] if values.dim() == partners.dim() else values.movedim(1, -1)[places].movedim(-1, 1)


def _own(labels: Tensor) -> Tensor:
    return torch.arange(len(labels), device=labels.device)[:, None, None].expand(labels.shape)
