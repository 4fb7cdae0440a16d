"""Augmentation operations of AutoAugment and RandAugment, and what a magnitude from 0 to 10 means for each.

Sources: AutoAugment, Cubuk et al. 2018, arXiv 1805.09501, appendix; RandAugment, Cubuk et al. 2019, arXiv 1909.13719,
section 3. `INCREASING` has the ranges of timm's "inc1" (timm/data/auto_augment.py), in which a larger magnitude always
changes an image more; `ORIGINAL` those of AutoAugment.

How an operation changes an image is in `auto_augment_batch_ops` for whole batches on their device, and in
`auto_augment_image_ops` for one image, with equal results but for what is noted there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Name = Literal[
    "auto_contrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "solarize_add",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
]
NAMES: tuple[Name, ...] = get_args(Name)
STEEPEST = 10.0
"""Highest magnitude."""
SOLARIZE_ADD_BELOW = 128
"""Values from here on are left by `solarize_add`."""


@dataclass(frozen=True)
class Range:
    """Range of an operation's argument: start + span * magnitude / 10.

    Attributes:
        start: argument at magnitude 0.
        span: what magnitude 10 adds.
        signed: what is added may also be taken away, by a fair coin.
        whole: what is added is cut to a whole number.
    """

    start: float = 0.0
    span: float = 0.0
    signed: bool = False
    whole: bool = False

    def argument(self, magnitude: float, negative: bool) -> float:
        """Return the argument; `negative` is the coin."""
        change = self.span * magnitude / STEEPEST
        change = float(int(change)) if self.whole else change
        return self.start - change if self.signed and negative else self.start + change


_FACTOR = Range(1.0, 0.9, signed=True)
_SHEAR = Range(0.0, 0.3, signed=True)
_TRANSLATE = Range(0.0, 0.45, signed=True)

INCREASING: dict[Name, Range] = {
    "auto_contrast": Range(),
    "equalize": Range(),
    "invert": Range(),
    "rotate": Range(0.0, 30.0, signed=True),  # degrees, against the clock
    "posterize": Range(4.0, -4.0, whole=True),  # bits that are kept
    "solarize": Range(256.0, -256.0, whole=True),  # lowest value that is inverted
    "solarize_add": Range(0.0, 110.0, whole=True),  # added to values below 128
    "color": _FACTOR,  # distance from grey
    "contrast": _FACTOR,  # distance from the mean grey
    "brightness": _FACTOR,  # distance from black
    "sharpness": _FACTOR,  # distance from the smoothed image
    "shear_x": _SHEAR,  # columns a row
    "shear_y": _SHEAR,  # rows a column
    "translate_x": _TRANSLATE,  # fraction of the width
    "translate_y": _TRANSLATE,  # fraction of the height
    "cutout": Range(
        0.0, 80 / 224
    ),  # side of a square, fraction of the shorter side; the reference's 2 x 40 of 224 pixels
}
_FREE_FACTOR = Range(0.1, 1.8)
ORIGINAL: dict[Name, Range] = INCREASING | {
    "posterize": Range(4.0, 4.0, whole=True),
    "solarize": Range(0.0, 256.0, whole=True),
    "color": _FREE_FACTOR,
    "contrast": _FREE_FACTOR,
    "brightness": _FREE_FACTOR,
    "sharpness": _FREE_FACTOR,
}


def inverse_affine(name: Name, argument: float, height: int, width: int) -> np.ndarray:
    """Return the affine map float64 [2, 3] from places (x, y, 1) of the result to places of the image.

    Places are in pixels from the upper left corner of the upper left pixel, whose centre is (0.5, 0.5). Shearing leaves
    the upper row or the left column where it is, rotation the centre, as PIL does.

    Raises:
        ValueError: the operation moves nothing.
    """
    match name:
        case "rotate":
            angle = -np.deg2rad(argument)
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            centre = np.array([width / 2, height / 2])
            return np.column_stack([turn, centre - turn @ centre])
        case "shear_x":
            return np.array([[1, argument, 0], [0, 1, 0]], dtype=np.float64)
        case "shear_y":
            return np.array([[1, 0, 0], [argument, 1, 0]], dtype=np.float64)
        case "translate_x":
            return np.array([[1, 0, argument * width], [0, 1, 0]], dtype=np.float64)
        case "translate_y":
            return np.array([[1, 0, 0], [0, 1, argument * height]], dtype=np.float64)
    raise ValueError(f"`name` must be an operation that moves pixels, got {name}")


def cutout_box(argument: float, place: tuple[float, float], height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right of a square inside the image, half open.

    Args:
        argument: side as a fraction of the shorter side.
        place: down and across, in [0, 1): where the centre lies.
        height: of the image.
        width: of the image.
    """
    side = int(argument * min(height, width))
    top, left = int(place[0] * height) - side // 2, int(place[1] * width) - side // 2
    return max(top, 0), max(left, 0), min(top + side, height), min(left + side, width)
