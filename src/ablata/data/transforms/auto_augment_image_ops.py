"""Augmentation operations on one image: PIL's own, and OpenCV's where those differ from PIL's.

PIL meets to the bit what recipes were trained with that use it. OpenCV stays because published recipes differ from
others in this alone (the imagenet notebook compares them): contrast and brightness are off by one grey level, color and
sharpness by two; where pixels move, it weighs neighbours in steps of 1/32 (up to four levels), and blends the outermost
pixels with the fill where PIL cuts. All other operations give the same values in both, and PIL does them.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ablata.data.transforms.auto_augment_ops import SOLARIZE_ADD_BELOW, Name, cutout_box, inverse_affine

_VALUES = np.arange(256)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], dtype=np.float32) / 13


def apply_by_pil(image: Image.Image, name: Name, argument: float, place: tuple[float, float], fill: int) -> Image.Image:
    """Return an RGB image changed by one operation.

    Args:
        image: RGB.
        name: the operation.
        argument: what `Range.argument` gives for this operation.
        place: for `cutout`, in [0, 1): down and across.
        fill: value of all channels, 0..255, of what comes into view from outside and of `cutout`.
    """
    match name:
        case "auto_contrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "invert":
            return ImageOps.invert(image)
        case "posterize":
            mask = 256 - 2 ** (8 - min(8, int(argument)))  # PIL itself refuses to keep no bit
            return image.point([value & mask for value in range(256)] * 3)
        case "solarize":
            return ImageOps.solarize(image, int(argument))
        case "solarize_add":
            table = [min(255, value + int(argument)) for value in range(SOLARIZE_ADD_BELOW)]
            return image.point((table + list(range(SOLARIZE_ADD_BELOW, 256))) * 3)
        case "color":
            return ImageEnhance.Color(image).enhance(argument)
        case "contrast":
            return ImageEnhance.Contrast(image).enhance(argument)
        case "brightness":
            return ImageEnhance.Brightness(image).enhance(argument)
        case "sharpness":
            return ImageEnhance.Sharpness(image).enhance(argument)
        case "cutout":
            top, left, bottom, right = cutout_box(argument, place, image.height, image.width)
            covered = image.copy()
            covered.paste((fill, fill, fill), (left, top, right, bottom))
            return covered
        case _:
            matrix = inverse_affine(name, argument, image.height, image.width).ravel().tolist()
            return image.transform(
                image.size,
                Image.Transform.AFFINE,
                matrix,
                resample=Image.Resampling.BILINEAR,
                fillcolor=(fill, fill, fill),
            )


def apply_by_opencv(
    image: np.ndarray, name: Name, argument: float, place: tuple[float, float], fill: int
) -> np.ndarray:
    """Return pixels uint8 [H, W, 3] changed by one operation; see `apply_by_pil`."""
    match name:
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
        case "rotate" | "shear_x" | "shear_y" | "translate_x" | "translate_y":
            return _moved(image, inverse_affine(name, argument, *image.shape[:2]), fill)
        case _:
            return np.asarray(apply_by_pil(Image.fromarray(image), name, argument, place, fill))


def _looked_up(image: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace each value by that of a table [256], clipped and cut to a whole number."""
    return cv2.LUT(image, table.clip(0, 255).astype(np.uint8).reshape(1, 256, -1))


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
