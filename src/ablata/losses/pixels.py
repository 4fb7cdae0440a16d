"""Losses over pixels: logits smaller than their labels, strips of rows in place of full-size logits, ignored pixels.

A lean loss never holds logits at the size of the labels. It enlarges a strip of rows, reduces it to what is asked for
(one loss a pixel, or one sum a class) and forgets the strip; the backward pass computes each strip again
(torch.utils.checkpoint). The plain form enlarges everything at once; both are equal up to rounding.

Letters: B pictures, K classes, h x w the logits' size, H x W the labels', R rows of a strip.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ablata.base.settings import INCIDENTAL, Settings

IGNORE = 255
"""The label of pixels that do not count, where nothing else is said."""


class PixelSettings(Settings, ABC):
    """What every loss over pixels can be told."""

    implementation: Literal["lean", "plain"] = "lean"
    """lean: strip by strip, each computed again in the backward pass; plain: all pixels at once. Both are equal."""
    rows: Annotated[int, Field(ge=1), INCIDENTAL] = 128
    """Rows of the labels in a strip."""

    @abstractmethod
    def build(self, ignore: int = IGNORE) -> PixelLoss:
        """Make the loss; pixels labelled `ignore` do not count."""


class PixelLoss(nn.Module):
    """A loss of logits [B, K, h, w] against labels [B, H, W], in float32 at least.

    Args:
        settings: strips or all at once.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: PixelSettings, ignore: int = IGNORE) -> None:
        super().__init__()
        self.ignore = ignore
        self._rows = settings.rows if settings.implementation == "lean" else None

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar; 0, with a gradient of 0, where no pixel counts.

        Args:
            logits: [B, K, h, w] float; where h x w is not H x W they are enlarged (bilinear, corners not aligned).
            labels: [B, H, W] int64 in [0, K), or `ignore`.
        """
        with torch.autocast(logits.device.type, enabled=False):
            if logits.shape[-2:] != labels.shape[1:]:
                # Once, so that the gradients of all strips add up in float32; of full size each strip does it itself.
                logits = widened(logits)
            return self.loss(logits, labels)

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar of `forward`, outside autocast."""

    def strips(self, logits: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
        """Yield logits, the labels of a strip [B, R, W], and where it lies: (first row, rows of all labels).

        What is yielded goes through `enlarge` inside the function given to `compute`.
        """
        height = labels.shape[1]
        rows = self._rows or height
        if logits.shape[-2:] == labels.shape[1:]:
            # Slices of one `split` put their gradients together at once, not each into zeros of the full size.
            for part, truth in zip(torch.split(logits, rows, 2), torch.split(labels, rows, 1), strict=True):
                yield part, truth, (0, part.shape[2])
            return
        for first, truth in zip(range(0, height, rows), torch.split(labels, rows, 1), strict=True):
            yield logits, truth, (first, height)

    def compute(self, function: Callable[..., Tensor], *arguments: object) -> Tensor:
        """Return function(*arguments); only the plain form keeps intermediate tensors for the backward pass."""
        if self._rows is None:
            return function(*arguments)
        result = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(result, Tensor)
        return result

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of every pixel [B, H, W] in nats, 0 where it is ignored."""

        def part(logits: Tensor, truth: Tensor, place: tuple[int, int]) -> Tensor:
            return F.cross_entropy(enlarge(logits, truth, place), truth, ignore_index=self.ignore, reduction="none")

        return torch.cat([self.compute(part, *strip) for strip in self.strips(logits, labels)], 1)


def enlarge(logits: Tensor, labels: Tensor, place: tuple[int, int]) -> Tensor:
    """Return logits at the size of a strip of labels, in float32 at least.

    Args:
        logits: [B, K, h, w] float, the whole picture's.
        labels: [B, R, W], rows first to first + R of H.
        place: (first, H).

    Returns:
        [B, K, R, W]: rows first to first + R of what bilinear interpolation (align_corners=False) to H x W gives.
    """
    logits = widened(logits)
    (rows, width), (first, height) = labels.shape[1:], place
    size = logits.shape[2]
    if rows == height:
        return logits if logits.shape[-2:] == (rows, width) else _resized(logits, rows, width)
    if size != height:
        centres = (torch.arange(first, first + rows, device=logits.device, dtype=torch.float64) + 0.5) * size / height
        above = (centres - 0.5).clamp(min=0)
        low = above.long()
        share = (above - low).to(logits.dtype)[:, None]
        # Interpolation is separable: two rows first, and the columns by torch's own kernel.
        logits = torch.lerp(logits[:, :, low], logits[:, :, (low + 1).clamp(max=size - 1)], share)
    else:
        logits = logits[:, :, first : first + rows]
    return _resized(logits, rows, width)


def widened(logits: Tensor) -> Tensor:
    """Return logits in float32, or float64 if they are."""
    return logits.float() if logits.element_size() < 4 else logits


def _resized(logits: Tensor, height: int, width: int) -> Tensor:
    return F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)


def mean_over(values: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of the values where `kept`, of the same shape, is true; 0 with a gradient of 0 where none is."""
    return torch.where(kept, values, 0.0).sum() / kept.sum().clamp(min=1)
