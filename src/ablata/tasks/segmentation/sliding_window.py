"""How a segmenter is scored: whole images or sliding windows, at one scale or several, with mirror images or not.

The algorithm of windows is that of CoinCheung/BiSeNet (tools/evaluate.py): scale the image, pad it with zeros around
its middle where it is smaller than the window, score every window, add the scores up, cut the padding off, bring the
map to the size of the labels, and add up over scales.

Letters: B images, C channels, K classes, H x W the size of the scores, h x w of a scaled image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, get_args

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings

Network = Callable[[Tensor], Tensor]
"""Maps images [B, C, h, w] to logits [B, K, ., .], perhaps of a smaller size."""


class SlidingWindow(Settings):
    """Square windows that slide over an image."""

    size: Annotated[int, Field(ge=1)] = 1024
    """Height and width of a window in pixels of the scaled image."""
    stride: Annotated[float, Field(gt=0, le=1)] = 2 / 3
    """Step from window to window as a fraction of `size`, rounded up to pixels."""
    padding: Literal["zeros", "none"] = "zeros"
    """Where an image is smaller than a window: zeros around its middle, or a window of the image's own size."""
    average: bool = False
    """Whether scores are divided by the number of windows over a pixel. Without it pixels under several windows count
    more than once against other scales, as in the published figures."""

    @property
    def step(self) -> int:
        """Pixels from one window to the next."""
        # Rounded first: 960 * 2 / 3 may come out a hair above 640.
        return math.ceil(round(self.size * self.stride, 6))


class SegmentationProtocol(Settings):
    """A way to score a segmenter: scales, flips, sliding window, and how predictions are averaged."""

    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Height and width that images are brought to before they are scaled, whatever their aspect; null: their own."""
    scales: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (1.0,)
    """Factors on height and width."""
    mirror: bool = False
    """Whether each view is followed by its mirror image."""
    fusion: Literal["logits", "softmax", "exp", "exp_logits"] = "softmax"
    """What is added up over windows and scales. logits; softmax; exp: with mirror images the exponential of the two
    softmaxes' sum, without them the softmax (CoinCheung/BiSeNet); exp_logits: the exponential of the logits' sum."""
    sliding_window: SlidingWindow | None = None
    """Sliding windows; null shows whole images."""
    multiple: Annotated[int, Field(ge=1)] = 1
    """Scaled heights and widths are rounded up to a multiple of this many pixels; 1 leaves them."""
    align_corners: bool = True
    """How images and scores are resized: corner pixels on corner pixels, or pixel areas on pixel areas."""


ProtocolName = Literal["ss", "ssc", "msf", "mscf"]
"""The columns of published tables. ss: single scale; ssc: single scale, windows; msf: six scales and mirror images;
mscf: six scales, windows and mirror images."""

PROTOCOL_NAMES: tuple[ProtocolName, ...] = get_args(ProtocolName)
"""All of them."""

SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


def named(name: ProtocolName, windows: SlidingWindow | None = None) -> SegmentationProtocol:
    """Return the settings of a column: windows do not round sizes, whole images do to 32; `exp` is in mscf only.

    Args:
        name: the column.
        windows: those of ssc and mscf; None: 1024 at 2/3.
    """
    match name:
        case "ss":
            return SegmentationProtocol(multiple=32)
        case "ssc":
            return SegmentationProtocol(sliding_window=windows or SlidingWindow())
        case "msf":
            return SegmentationProtocol(scales=SCALES, mirror=True, multiple=32)
        case "mscf":
            return SegmentationProtocol(
                scales=SCALES, mirror=True, fusion="exp", sliding_window=windows or SlidingWindow()
            )


def starts(length: int, crop: int, step: int) -> list[int]:
    """Return where windows begin along a side: every `step` pixels, the last moved back to end at the border.

    Args:
        length: of the side, at least `crop`.
        crop: of a window.
        step: from window to window.
    """
    count = math.ceil((length - crop) / step) + 1
    return [min(index * step, length - crop) for index in range(count)]


def scaled_size(height: int, width: int, scale: float, multiple: int = 1) -> tuple[int, int]:
    """Return height and width times `scale`, cut to whole pixels, then rounded up to a multiple; at least one."""

    def side(length: int) -> int:
        return math.ceil(max(1, int(length * scale)) / multiple) * multiple

    return side(height), side(width)


@torch.no_grad()
def score(
    network: Network, images: Tensor, protocol: SegmentationProtocol, size: tuple[int, int] | None = None
) -> Tensor:
    """Return the scores [B, K, H, W] of a batch under a protocol, of which the largest is the predicted class.

    Args:
        network: maps images to logits; in evaluation mode.
        images: float [B, C, h, w], normalised.
        protocol: scales, flips, windows, and how predictions are averaged.
        size: H and W; None: those of the images.

    Returns:
        Sums over views, float32 at least; float64 with fusion `exp_logits`, whose sums leave float32's range.
    """
    size = size or (images.shape[-2], images.shape[-1])
    total: Tensor | None = None
    for scale in protocol.scales:
        view = view_of(images, protocol, scale)
        if protocol.sliding_window is None:
            scores = _of_view(network, view, protocol, size)
        else:
            scores = resized(
                _of_windows(network, view, protocol, protocol.sliding_window), size, protocol.align_corners
            )
        total = scores if total is None else total.add_(scores)
    assert total is not None  # `scales` has at least one
    return total


def _of_windows(
    network: Network, view: Tensor, protocol: SegmentationProtocol, sliding_window: SlidingWindow
) -> Tensor:
    """Return the sum of the windows' scores [B, K, h, w] over a scaled image."""
    height, width = view.shape[-2:]
    crop, step = sliding_window.size, sliding_window.step
    top, left = (max(crop - side, 0) // 2 if sliding_window.padding == "zeros" else 0 for side in (height, width))
    if sliding_window.padding == "zeros":
        down, right = (max(crop - side, 0) - before for side, before in ((height, top), (width, left)))
        view = F.pad(view, (left, right, top, down))
    tall, wide = (min(crop, side) for side in view.shape[-2:])
    total: Tensor | None = None
    cover = view.new_zeros(view.shape[-2:])
    for y in starts(view.shape[-2], tall, step):
        for x in starts(view.shape[-1], wide, step):
            here = (..., slice(y, y + tall), slice(x, x + wide))
            scores = _of_view(network, view[here], protocol, (tall, wide))
            if total is None:
                total = scores.new_zeros(*scores.shape[:2], *view.shape[-2:])
            total[here] += scores
            cover[here[1:]] += 1
    assert total is not None  # there is at least one window
    if sliding_window.average:
        total /= cover
    return total[..., top : top + height, left : left + width]


def _of_view(network: Network, view: Tensor, protocol: SegmentationProtocol, size: tuple[int, int]) -> Tensor:
    """Return the joined scores [B, K, *size] of a view and, if asked for, its mirror image."""
    scores = _as_float32(network(view), size, protocol)
    if protocol.mirror:
        scores = scores + _as_float32(network(view.flip(-1)).flip(-1), size, protocol)
    match protocol.fusion:
        case "logits" | "softmax":
            return scores
        case "exp":
            return scores.exp() if protocol.mirror else scores
        case "exp_logits":
            return scores.double().exp()


def _as_float32(logits: Tensor, size: tuple[int, int], protocol: SegmentationProtocol) -> Tensor:
    """Return logits at `size` in float32 at least, or their softmax where the fusion adds that up."""
    logits = logits.float() if logits.element_size() < 4 else logits
    logits = resized(logits, size, protocol.align_corners)
    return logits.softmax(1) if protocol.fusion in ("softmax", "exp") else logits


def view_of(images: Tensor, protocol: SegmentationProtocol, scale: float) -> Tensor:
    """Return the images [B, C, h, w] as the network sees them at one of the protocol's scales."""
    height, width = protocol.size or images.shape[-2:]
    shown = scaled_size(height, width, scale, protocol.multiple)
    return resized(images, shown, protocol.align_corners)


def resized(images: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """Return images or scores [B, C, h, w] at another size, by bilinear interpolation."""
    if images.shape[-2:] == size:
        return images
    return F.interpolate(images, size=size, mode="bilinear", align_corners=align_corners)
