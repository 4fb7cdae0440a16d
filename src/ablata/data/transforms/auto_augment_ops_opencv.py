"""The operations on one image by OpenCV and tables of 256 values.

Where values only are changed, the result is PIL's but for rounding: one grey level for contrast and brightness, two for
colour and sharpness. Where pixels move, OpenCV weighs neighbours in steps of 1/32 (up to four levels), and blends the
outermost pixels with the fill where PIL cuts.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from ablata.data.transforms.auto_augment_ops import SOLARIZE_ADD_BELOW, Name, cutout_box, inverse_affine

_VALUES = np.arange(256)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13


def apply_to_pixels(
    image: np.ndarray, name: Name, argument: float, place: tuple[float, float], fill: int
) -> np.ndarray:
    """Return pixels uint8 [H, W, 3] changed by one operation; see `operations_pil.apply_to_image`."""
    match name:
        case "auto_contrast":
            return _by_channel(image, _stretching)
        case "equalize":
            return _by_channel(image, _equalizing)
        case "invert":
            return np.asarray(255 - image)
        case "posterize":
            return image & np.uint8(256 - 2 ** (8 - int(argument))) if argument < 8 else image
        case "solarize":
            return _looked_up(image, np.where(argument > _VALUES, _VALUES, 255 - _VALUES))
        case "solarize_add":
            return _looked_up(image, np.where(_VALUES < SOLARIZE_ADD_BELOW, _VALUES + int(argument), _VALUES))
        case "color":
            grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            return cv2.addWeighted(image, argument, grey, 1 - argument, 0)
        case "contrast":
            mean = int(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean() + 0.5)
            return _looked_up(image, mean + argument * (_VALUES - mean))
        case "brightness":
            return _looked_up(image, argument * _VALUES)
        case "sharpness":
            smooth = cv2.filter2D(image, -1, _SMOOTH)
            for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
                smooth[edge] = image[edge]
            return cv2.addWeighted(image, argument, smooth, 1 - argument, 0)
        case "cutout":
            top, left, bottom, right = cutout_box(argument, place, *image.shape[:2])
            covered = image.copy()
            covered[top:bottom, left:right] = fill
            return covered
        case _:
            return _moved(image, inverse_affine(name, argument, *image.shape[:2]), fill)


def _looked_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each value by that of a table [256] or [256, 3], clipped and cut to a whole number."""
    return cv2.LUT(image, table.clip(0, 255).astype(np.uint8).reshape(1, 256, -1))


def _by_channel(image: np.ndarray, table_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    counts = [np.bincount(image[..., channel].ravel(), minlength=256) for channel in range(image.shape[2])]
    return _looked_up(image, np.stack([table_of(count) for count in counts], axis=1))


def _stretching(count: np.ndarray) -> np.ndarray:
    """Return the table that spreads the values present over 0..255."""
    present = count.nonzero()[0]
    low, high = int(present[0]), int(present[-1])
    if high == low:
        return _VALUES
    scale = 255.0 / (high - low)
    return _VALUES * scale + -low * scale


def _equalizing(count: np.ndarray) -> np.ndarray:
    """Return the table that makes all values equally frequent, as far as possible, with PIL's rounding."""
    present = count.nonzero()[0]
    step = int(count.sum() - count[present[-1]]) // 255
    if len(present) == 1 or step == 0:
        return _VALUES
    return np.asarray((step // 2 + np.cumsum(count) - count) // step)


def _moved(image: np.ndarray, matrix: np.ndarray, fill: int) -> np.ndarray:
    """Apply a map between places [2, 3]; OpenCV counts from the centre of the first pixel."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    return cv2.warpAffine(
        image,
        shifted,
        (image.shape[1], image.shape[0]),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill, fill, fill),
    )
