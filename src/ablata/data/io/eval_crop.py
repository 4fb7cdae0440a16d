"""Evaluation crops: which part of an image a protocol looks at, cut before or after resizing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ablata.data.io.crop import Backend, Interpolation, crop, image_size, resize, resize_and_center_crop


@dataclass(frozen=True)
class EvalCrop:
    """A crop for evaluation: the part of an image that a protocol looks at.

    Attributes:
        ratio: size / resize, in (0, 1]: the fraction of the shorter side that the central square covers; None: that of
            the data's settings.
        crop_first: cut the square out of the image as it is and resize it, in place of resizing the image first.
        whole: keep the whole central square of side `resize`, from which the protocol cuts views of `size` itself.
    """

    ratio: float | None = None
    crop_first: bool = False
    whole: bool = False


DEFAULT = EvalCrop()
"""As the data's settings say: the shorter side is resized, the central square cut."""


def eval_crop(
    image: Image.Image | np.ndarray,
    evaluation: EvalCrop,
    *,
    size: int,
    short: int,
    backend: Backend,
    interpolation: Interpolation,
) -> np.ndarray:
    """Crop and resize a decoded image for evaluation.

    Args:
        image: uint8 [H, W, 3], or a PIL image for the PIL backend.
        evaluation: what is wanted.
        size: side of the square that the network sees, in pixels.
        short: side to which the settings resize the shorter side; at least `size`.
        backend: what resizes.
        interpolation: its filter.

    Returns:
        uint8 [size, size, 3]; [short, short, 3] of a `whole` crop.

    Source: `crop_first` is the evaluation of the EfficientNet paper's code (tensorflow/tpu, efficientnet/
    preprocessing.py, central crop of 224 / 256 of the shorter side, then the resize).
    """
    if evaluation.ratio is not None:
        short = round(size / evaluation.ratio)
    if evaluation.whole:
        return resize_and_center_crop(image, short, short, backend, interpolation)
    if not evaluation.crop_first:
        return resize_and_center_crop(image, short, size, backend, interpolation)
    high, wide = image_size(image)
    side = max(1, round(min(high, wide) * size / short))
    top, left = (high - side) // 2, (wide - side) // 2
    return resize(crop(image, (left, top, left + side, top + side)), (size, size), backend, interpolation)
