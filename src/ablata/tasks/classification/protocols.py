"""Named ways to score a classifier: which part of an image it sees, in which views, and how they are joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ablata.data.io.eval_crop import DEFAULT, EvalCrop
from ablata.data.transforms.geometry import pad_images
from ablata.tasks.own_scores import check_shape, own_function

Protocol = Literal[
    "plain",
    "mirror",
    "mirror_translate",
    "center_0.875",
    "center_0.9",
    "center_0.95",
    "center_1.0",
    "crop_resize",
    "ten_crop",
]
"""plain: the image as the data's settings cut it. mirror: the mean with its mirror image. mirror_translate: half of
that, and half the mean of the same for the image moved by one pixel down and right, and up and left (Jordan 2024,
arXiv 2404.00498). center_R: the shorter side is resized to size / R and the central square cut, whatever the settings
say. crop_resize: the square is cut first and resized then (EfficientNet's own code). ten_crop: four corners and the
middle of the resized central square, each with its mirror image, probabilities averaged (Krizhevsky et al. 2012,
section 4.1)."""

PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
"""All of them; those from `center_0.875` on need image files."""


def eval_crop(protocol: str) -> EvalCrop:
    """Return which part of an image a protocol looks at."""
    if protocol.startswith("center_"):
        return EvalCrop(ratio=float(protocol.removeprefix("center_")))
    return {"crop_resize": EvalCrop(crop_first=True), "ten_crop": EvalCrop(whole=True)}.get(protocol, DEFAULT)


def predict(
    network: Callable[[Tensor], Tensor],
    images: Tensor,
    protocol: str,
    size: tuple[int, int] | None = None,
    classes: int | None = None,
) -> Tensor:
    """Return the logits [B, K] of a batch under a protocol.

    Args:
        network: maps images to logits [B, K].
        images: float [B, C, H, W], normalised, cropped as `eval_crop` says.
        protocol: which views, or a reference to a function of network and images that returns logits; with
            `mirror_translate` the border is reflected where a view leaves the image.
        size: height and width of the views of `ten_crop`; None: those of the images.
        classes: K, to check what a function of the user's own returns; None: any.

    Returns:
        Logits; of `ten_crop` the logarithm of the mean probability.

    Raises:
        SettingsError: a function of the user's own returns no logits.
    """
    if (own := own_function(protocol)) is not None:
        return check_shape(protocol, own(network, images), (len(images), classes), "logits [B, K]")
    if protocol == "mirror":
        return _with_mirror(network, images)
    if protocol == "mirror_translate":
        height, width = images.shape[-2:]
        padded = pad_images(images, 1, "reflect")
        moved = (padded[..., :height, :width], padded[..., 2:, 2:])
        beside = sum(_with_mirror(network, view) for view in moved)
        return 0.5 * _with_mirror(network, images) + 0.25 * beside
    if protocol == "ten_crop":
        views = [network(view).float() for view in _ten_views(images, *(size or images.shape[-2:]))]
        return functional.log_softmax(torch.stack(views), dim=2).logsumexp(0) - math.log(len(views))
    return network(images)


def _with_mirror(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return 0.5 * network(images) + 0.5 * network(images.flip(-1))


def _ten_views(images: Tensor, height: int, width: int) -> Iterator[Tensor]:
    """Yield corners and middle [B, C, height, width], each followed by its mirror image."""
    low, right = images.shape[-2] - height, images.shape[-1] - width
    for top, left in ((0, 0), (0, right), (low, 0), (low, right), (round(low / 2), round(right / 2))):
        view = images[..., top : top + height, left : left + width]
        yield view
        yield view.flip(-1)
