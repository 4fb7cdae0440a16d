"""Pixel-wise cross-entropy from small logits, with neither the large ones nor their gradient ever in memory.

Each chunk of rows is upsampled, reduced to one loss a pixel and forgotten while it lies in the processor's cache; the
backward pass upsamples it again, and adds its gradient to the small logits'. What is kept is one number a pixel.

Letters: B images, K classes, h x w the logits' size, H x W the labels', R rows of a chunk.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ablata.losses.segmentation.upsample_rows import RowChunk, row_chunk, upsample_width
from ablata.nn.dtypes import as_float32

_CACHED = 2**18
"""Values of a chunk: with those of its exponentials they fit into a core's own cache."""
_CACHED_ON_DEVICE = 2**23
"""The same on a graphics processor, where each chunk costs launches."""


def rows_per_chunk(classes: int, width: int, device: torch.device) -> int:
    """Return how many rows of an image make a chunk that suits the device."""
    values = _CACHED * torch.get_num_threads() if device.type == "cpu" else _CACHED_ON_DEVICE
    return max(values // (classes * width), 1)


class RowChunkCrossEntropy(torch.autograd.Function):
    """-log softmax of the label's logit, for every pixel; differentiable once, by the logits."""

    @staticmethod
    def forward(context: Any, logits: Tensor, labels: Tensor, ignore: int, rows: int | None) -> Tensor:
        """Return the losses.

        Args:
            context: torch's.
            logits: [B, K, h, w] float, upsampled to H x W (bilinear, corners not aligned).
            labels: [B, H, W] integers in [0, K), or `ignore`.
            ignore: label of the pixels that do not count.
            rows: R; None: as suits the device.

        Returns:
            [B, H, W] in nats, in float32 at least; 0 where a pixel is ignored.
        """
        row_chunks = _chunks(logits, labels, rows)
        losses = torch.empty(labels.shape, dtype=as_float32(logits[:0]).dtype, device=logits.device)
        scales = torch.empty_like(losses)
        for logit, label, loss, scale in zip(logits, labels, losses, scales, strict=True):
            wide = upsample_width(as_float32(logit)[None], labels.shape[2])[0]
            for part in row_chunks:
                ignored, index = _targets(label[part.rows], ignore)
                values = part.upsample(wide)
                top = values.amax(0)
                own = values.gather(0, index)[0].sub_(top)
                sums = values.sub_(top).exp_().sum(0).log_()
                torch.sub(sums, own, out=loss[part.rows]).masked_fill_(ignored, 0)
                torch.add(sums, top, out=scale[part.rows])
        context.save_for_backward(logits, labels, scales)
        context.ignore, context.row_chunks = ignore, row_chunks
        return losses

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        """Return the gradient [B, K, h, w] by the logits from that by the losses [B, H, W]."""
        logits, labels, scales = context.saved_tensors
        result = torch.empty_like(logits)
        with torch.autocast(logits.device.type, enabled=False):
            for logit, label, scale, slope, total in zip(logits, labels, scales, gradient, result, strict=True):
                values = as_float32(logit)[None]
                wide = upsample_width(values, labels.shape[2])
                gradients = torch.zeros_like(wide)
                for part in context.row_chunks:
                    _add_gradients(
                        part, wide[0], scale, _targets(label[part.rows], context.ignore), slope, gradients[0]
                    )
                total.copy_(_upsample_width_backward(gradients, values)[0])
        return result, None, None, None


def _add_gradients(
    part: RowChunk, wide: Tensor, scale: Tensor, truth: tuple[Tensor, Tensor], slope: Tensor, gradients: Tensor
) -> None:
    """Add a chunk's part, softmax minus truth times the slope of the loss, to `gradients` [K, h, W]."""
    ignored, index = truth
    factor = slope[part.rows].masked_fill(ignored, 0)
    values = part.upsample(wide).sub_(scale[part.rows]).exp_().mul_(factor)
    values.scatter_add_(0, index, factor.neg_()[None])
    part.add_gradient(values, gradients)


def _chunks(logits: Tensor, labels: Tensor, rows: int | None) -> list[RowChunk]:
    height, width = labels.shape[1:]
    rows = rows or rows_per_chunk(logits.shape[1], width, logits.device)
    like = as_float32(logits[:0])
    return [row_chunk(at, min(rows, height - at), logits.shape[2], height, like) for at in range(0, height, rows)]


def _targets(labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Return which pixels are ignored [R, W], and the labels as an index [1, R, W], 0 where they are."""
    ignored = labels == ignore
    return ignored, labels.long().masked_fill(ignored, 0)[None]


def _upsample_width_backward(gradients: Tensor, values: Tensor) -> Tensor:
    """Return the gradient [1, K, h, w] by `values`, the argument of `upsample_width`, from that by its result."""
    if gradients.shape == values.shape:
        return gradients
    size = [*gradients.shape[2:]]
    return torch.ops.aten.upsample_bilinear2d_backward(gradients, size, [*values.shape], False, None, None)  # type: ignore[no-any-return]
