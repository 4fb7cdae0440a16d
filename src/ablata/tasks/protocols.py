"""Named ways to score a classifier: which views of a picture it sees, and what share each view has in its logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from ablata.data.geometry import pad_images

Protocol = Literal["plain", "mirror", "mirror_translate"]
"""plain: the picture as it is. mirror: the mean with its mirror image. mirror_translate: half of that, and half the
mean of the same for the picture moved by one pixel down and right, and up and left (Jordan 2024, arXiv 2404.00498)."""


def predict(network: Callable[[Tensor], Tensor], images: Tensor, protocol: Protocol) -> Tensor:
    """Return the logits [B, K] of a batch under a protocol.

    Args:
        network: maps images to logits [B, K].
        images: float [B, C, H, W], normalised.
        protocol: which views; with `mirror_translate` the border is reflected where a view leaves the picture.
    """
    if protocol == "plain":
        return network(images)
    centre = _with_mirror(network, images)
    if protocol == "mirror":
        return centre
    height, width = images.shape[-2:]
    padded = pad_images(images, 1, "reflect")
    moved = (padded[..., :height, :width], padded[..., 2:, 2:])
    return 0.5 * centre + 0.25 * sum(_with_mirror(network, view) for view in moved)


def _with_mirror(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return 0.5 * network(images) + 0.5 * network(images.flip(-1))
