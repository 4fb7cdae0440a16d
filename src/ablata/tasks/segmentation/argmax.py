"""Label maps by argmax, without logits of the image's size where a single view is scored.

The largest logit is the largest softmax, and an enlargement without weights is linear and takes rows and columns apart:
logits are enlarged to the image's width first, then a strip of rows is a small matrix times the few rows that it lies
between, and is reduced to classes while it lies in the processor's cache.

Letters: B images, K classes, h x w the logits' size, H x W that of the map, R rows of a strip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ablata.losses.segmentation.row_chunked_cross_entropy import rows_per_chunk
from ablata.models.segmentation.base import Segmenter
from ablata.nn.dtypes import as_float32
from ablata.tasks.segmentation.sliding_window import SegmentationProtocol, resized, score, view_of

Enlargement = Callable[[Tensor, tuple[int, int]], Tensor]
"""Maps [B, K, h, w] to [B, K, H, W], linear in each channel, rows and columns apart."""
_BYTES = 2**8
_FAR = 1e30
"""Makes any difference of two logits larger than the number of classes."""


@torch.no_grad()
def predict_labels(
    network: Segmenter,
    images: Tensor,
    protocol: SegmentationProtocol,
    classes: int,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Return the class with the largest score at every pixel, that of `score` but for the order of sums.

    Args:
        network: in evaluation mode.
        images: float [B, C, height, width], normalised.
        protocol: scales, flips and windows.
        classes: K, those that can be predicted: the first of the network's.
        size: H and W; None: those of the images.

    Returns:
        [B, H, W], uint8, or int64 where that cannot hold the classes.

    Raises:
        SettingsError: a view is smaller than the network can take.
    """
    size = size or (images.shape[-2], images.shape[-1])
    if len(protocol.scales) > 1 or protocol.mirror or protocol.sliding_window is not None:
        scores = score(partial(full_logits, network), images, protocol, size)[:, :classes]
        return scores.argmax(1).to(map_dtype(classes))
    view = view_of(images, protocol, protocol.scales[0])
    seen = (view.shape[-2], view.shape[-1])
    network.refuse_small(seen)
    outputs = network(view)
    steps: list[tuple[Enlargement, tuple[int, int]]] = []
    if network.head.resize is None:
        logits = network.full_size(outputs, seen)["logits"]
    else:
        logits = outputs["logits"]
        steps.append((network.head.resize, seen))
    steps.append((partial(resized, align_corners=protocol.align_corners), size))
    return argmax_upsampled(logits[:, :classes], steps)


def argmax_upsampled(logits: Tensor, steps: Sequence[tuple[Enlargement, tuple[int, int]]]) -> Tensor:
    """Return which of the logits is the largest at every pixel, after some enlargements.

    Args:
        logits: float [B, K, h, w].
        steps: enlargements and the sizes they lead to, the last H x W.

    Returns:
        [B, H, W], as `predict_labels`; of equal logits the first.
    """
    (height, width), (low, _) = steps[-1][1], logits.shape[-2:]
    result = torch.empty(len(logits), height, width, dtype=map_dtype(logits.shape[1]), device=logits.device)
    with torch.autocast(logits.device.type, enabled=False):
        # Found on the processor whatever the device: where a strip's rows begin and end decides shapes.
        shares = _through(torch.eye(low)[None, None], [(step, (rows, low)) for step, (rows, _) in steps])[0, 0]
        logits = _through(as_float32(logits).contiguous(), [(step, (low, columns)) for step, (_, columns) in steps])
        used = shares != 0
        begins, ends = used.float().argmax(1).tolist(), (low - used.flip(1).float().argmax(1)).tolist()
        rows = rows_per_chunk(logits.shape[1], width, logits.device)
        for first in range(0, height, rows):
            own = slice(first, min(first + rows, height))
            source = slice(begins[own.start], ends[own.stop - 1])
            weights = shares[own, source].to(logits)
            for image, labels in zip(logits, result, strict=True):
                labels[own] = _argmax(weights @ image[:, source])
    return result


def map_dtype(classes: int) -> torch.dtype:
    """Return the smallest type that holds a class map."""
    return torch.uint8 if classes <= _BYTES else torch.int64


def _through(x: Tensor, steps: Sequence[tuple[Enlargement, tuple[int, int]]]) -> Tensor:
    for step, size in steps:
        x = step(x, size)
    return x


def _argmax(logits: Tensor) -> Tensor:
    """Return which of [K, R, W] is the largest, the first of equal ones, as numbers of their type; overwrites them."""
    if logits.device.type != "cpu":
        return logits.argmax(0)
    # What is no maximum is pushed far below 0, and the largest of what is left counts from the last class. Sums and
    # maxima over planes take 0.6 ns a value together; torch's argmax over the first axis took 10.
    count = len(logits)
    backwards = torch.arange(count, 0, -1, dtype=logits.dtype)[:, None, None]
    logits.sub_(logits.amax(0))
    torch.add(backwards, logits, alpha=_FAR, out=logits)
    return count - logits.amax(0)


def full_logits(network: Segmenter, views: Tensor) -> Tensor:
    """Return the logits [B, K, H, W] of images [B, C, H, W].

    Raises:
        SettingsError: they are smaller than the network can take.
    """
    size = (views.shape[-2], views.shape[-1])
    network.refuse_small(size)
    return network.full_size(network(views), size)["logits"]
