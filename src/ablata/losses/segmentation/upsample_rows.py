"""Bilinear upsampling of logits to the size of their labels, a chunk of rows at a time.

Interpolation is separable, so the rows of a chunk are a small matrix times the few rows of the logits they lie between.

Letters: B images, K classes, h x w the logits' size, H x W the labels', R rows of a chunk, n rows of the logits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ablata.nn.dtypes import as_float32


@dataclass(frozen=True)
class RowChunk:
    """Rows of the labels and where they come from.

    Attributes:
        rows: the rows, among 0 to H.
        source: the rows of the logits that they lie between, among 0 to h.
        weights: float [R, n], interpolation weights of those rows; None where both are the same rows.
    """

    rows: slice
    source: slice
    weights: Tensor | None

    def upsample(self, logits: Tensor) -> Tensor:
        """Return the chunk of logits of the labels' width: [..., h, W] to [..., R, W], a tensor of its own."""
        part = logits[..., self.source, :]
        return part.clone() if self.weights is None else self.weights @ part

    def add_gradient(self, gradient: Tensor, gradient_sum: Tensor) -> None:
        """Backward of `upsample`: add a gradient [..., R, W] of its result to `gradient_sum` [..., h, W]."""
        gradient_sum[..., self.source, :] += gradient if self.weights is None else self.weights.T @ gradient


def row_chunk(first: int, rows: int, size: int, height: int, like: Tensor) -> RowChunk:
    """Return the chunk of rows `first` to `first + rows`.

    Args:
        first: in [0, H).
        rows: R.
        size: h.
        height: H.
        like: gives device and dtype.
    """
    own = slice(first, first + rows)
    if size == height:
        return RowChunk(own, own, None)
    low, fraction = _bilinear_rows(first, rows, size, height, like.device)
    # The bounds from Python's numbers: asking the tensor would wait for the device.
    start = min(int(max((first + 0.5) * size / height - 0.5, 0)), size - 1)
    stop = min(int(max((first + rows - 0.5) * size / height - 0.5, 0)) + 2, size)
    source, next_row = torch.arange(start, stop, device=like.device), (low + 1).clamp(max=size - 1)
    weights = (source == low[:, None]) * (1 - fraction) + (source == next_row[:, None]) * fraction
    return RowChunk(own, slice(start, stop), weights.to(like.dtype))


def _bilinear_rows(first: int, rows: int, size: int, height: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the row at or above each row of a chunk, int64 [R], and the weight of the next one, float64 [R, 1]."""
    centres = (torch.arange(first, first + rows, device=device, dtype=torch.float64) + 0.5) * size / height
    above = (centres - 0.5).clamp(min=0)
    low = above.long()
    return low, (above - low)[:, None]


def upsample_rows(logits: Tensor, labels: Tensor, position: tuple[int, int]) -> Tensor:
    """Return logits at the size of a chunk of labels, in float32 at least.

    Args:
        logits: [B, K, h, w] float, the whole image's.
        labels: [B, R, W], rows first to first + R of H.
        position: (first, H).

    Returns:
        [B, K, R, W]: rows first to first + R of what bilinear interpolation (align_corners=False) to H x W gives.
    """
    logits = as_float32(logits)
    (rows, width), (first, height) = labels.shape[1:], position
    if logits.shape[-2:] == (rows, width) and rows == height:
        return logits
    size = logits.shape[2]
    if rows == height:
        return F.interpolate(logits, size=(rows, width), mode="bilinear", align_corners=False)
    if size == height:
        return upsample_width(logits[:, :, first : first + rows], width)
    # Not by a product with `RowChunk.weights`: its backward pass would be in bfloat16 if it ran under autocast.
    low, fraction = _bilinear_rows(first, rows, size, height, logits.device)
    above, below = logits[:, :, low], logits[:, :, (low + 1).clamp(max=size - 1)]
    return upsample_width(torch.lerp(above, below, fraction.to(logits.dtype)), width)


def upsample_width(logits: Tensor, width: int) -> Tensor:
    """Return logits [..., h, w] of another width, interpolated, [..., h, width]."""
    if logits.shape[-1] == width:
        return logits
    return F.interpolate(logits, size=(logits.shape[-2], width), mode="bilinear", align_corners=False)
