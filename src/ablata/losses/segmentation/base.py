"""Losses of semantic segmentation: logits smaller than their labels, chunks of rows instead of full-size logits, an
ignored label.

A lean loss never holds logits at the size of the labels. It upsamples a chunk of rows, reduces it to what is asked for
(one loss a pixel, or one sum a class) and forgets the chunk; the backward pass computes each chunk again
(`RowChunkCrossEntropy`, or torch.utils.checkpoint). The plain form upsamples everything at once; both are equal up to
rounding.

Letters: B images, K classes, h x w the logits' size, H x W the labels', R rows of a chunk.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ablata.base.settings import INCIDENTAL, Settings
from ablata.losses.segmentation.row_chunked_cross_entropy import RowChunkCrossEntropy, rows_per_chunk
from ablata.losses.segmentation.upsample_rows import upsample_rows
from ablata.nn.dtypes import as_float32

IGNORE = 255
"""The label of pixels that do not count, where nothing else is said."""


class SegmentationLossSettings(Settings):
    """Base of the settings of all losses of a segmentation; not itself a choice."""


class PixelLossSettings(SegmentationLossSettings):
    """Base of the settings of losses over the logits of pixels; not itself a choice."""

    implementation: Literal["lean", "plain"] = "lean"
    """lean: chunk by chunk, each computed again in the backward pass; plain: all pixels at once. Both are equal."""
    rows: Annotated[int | None, Field(ge=1), INCIDENTAL] = None
    """Rows of the labels in a chunk; null: as many as suit the device."""

    @abstractmethod
    def build(self, ignore: int = IGNORE) -> PixelLoss:
        """Make the loss; pixels labelled `ignore` do not count."""


class PixelLoss(nn.Module):
    """Base of semantic segmentation losses: logits [B, K, h, w] and labels [B, H, W], in float32 at least.

    Args:
        settings: chunks of rows or all at once.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: PixelLossSettings, ignore: int = IGNORE) -> None:
        super().__init__()
        self.ignore = ignore
        self._lean, self._rows = settings.implementation == "lean", settings.rows

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar; 0, with a gradient of 0, where no pixel counts.

        Args:
            logits: [B, K, h, w] float; where h x w is not H x W they are upsampled (bilinear, corners not aligned).
            labels: [B, H, W] int64 in [0, K), or `ignore`.
        """
        with torch.autocast(logits.device.type, enabled=False):
            if logits.shape[-2:] != labels.shape[1:]:
                # Once, so that the gradients of all chunks add up in float32; of full size each chunk does it itself.
                logits = as_float32(logits)
            return self.loss(logits, labels)

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar of `forward`, outside autocast."""

    def row_chunks(self, logits: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor, tuple[int, int]]]:
        """Yield logits, the labels of a chunk [B, R, W], and where it lies: (first row, rows of all labels).

        What is yielded goes through `upsample_rows` inside the function given to `compute`.
        """
        height, width = labels.shape[1:]
        rows = height
        if self._lean:
            rows = self._rows or rows_per_chunk(logits[:, :, 0, 0].numel(), width, logits.device)
        if logits.shape[-2:] == labels.shape[1:]:
            # Slices of one `split` put their gradients together at once, not each into zeros of the full size.
            for part, truth in zip(torch.split(logits, rows, 2), torch.split(labels, rows, 1), strict=True):
                yield part, truth, (0, part.shape[2])
            return
        for first, truth in zip(range(0, height, rows), torch.split(labels, rows, 1), strict=True):
            yield logits, truth, (first, height)

    def compute(self, function: Callable[..., Tensor], *arguments: object) -> Tensor:
        """Return function(*arguments); only the plain form keeps intermediate tensors for the backward pass."""
        if not self._lean:
            return function(*arguments)
        result = checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
        assert isinstance(result, Tensor)
        return result

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy of every pixel [B, H, W] in nats, 0 where it is ignored."""
        if self._lean:
            losses = RowChunkCrossEntropy.apply(logits, labels, self.ignore, self._rows)
            assert isinstance(losses, Tensor)
            return losses
        full = upsample_rows(logits, labels, (0, labels.shape[1]))
        return F.cross_entropy(full, labels, ignore_index=self.ignore, reduction="none")


def mean_over(values: Tensor, kept: Tensor) -> Tensor:
    """Return the mean of the values where `kept`, of the same shape, is true; 0 with a gradient of 0 where none is."""
    return torch.where(kept, values, 0.0).sum() / kept.count_nonzero().clamp(min=1)
