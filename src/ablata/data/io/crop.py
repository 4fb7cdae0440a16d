"""Crops and resizing of decoded images, with the filter that made them on record.

PIL and torch filter when they make an image smaller (antialias); OpenCV's linear and cubic do not, and the difference
is worth up to half a point of accuracy. Nearest takes the same pixels in all three. Whichever is chosen is kept with
every checkpoint.
"""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ablata.data.io.decode import COLORS, Decoder, Orientation, any_size

Backend = Literal["torch", "pil", "opencv"]
Interpolation = Literal["bilinear", "bicubic", "nearest"]
Aspect = Literal["log_uniform", "uniform_swapped"]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, half open."""

_PIL = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
_OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "nearest": cv2.INTER_NEAREST_EXACT}
_TRIES = 10
_AT_ONCE = 4


def default_decoder(backend: Backend) -> Decoder:
    """Return the decoder that goes with a resizing backend."""
    return "pil" if backend == "pil" else "opencv"


def backend_name(
    backend: Backend,
    interpolation: str | None,
    reduced: bool = False,
    *,
    decoder: Decoder | None = None,
    orientation: Orientation = "applied",
    prepared: int | None = None,
) -> str:
    """Name what decodes and resizes, for checkpoints.

    `pil 13.0`, `torch 2.6 bilinear antialias`, `reduced` where JPEGs shrink early, `decoded by pil` where that is not
    the resizer's own decoder, `orientation ignored`, `prepared 256` where images are kept at that shorter side.
    """
    version = {"pil": PIL.__version__, "torch": torch.__version__, "opencv": cv2.__version__}[backend]
    words = [f"{backend} {'.'.join(version.split('.')[:2])}"]
    if interpolation:
        words += [interpolation, "no-antialias" if interpolation == "nearest" or backend == "opencv" else "antialias"]
    if reduced:
        words.append("reduced")
    if decoder not in (None, default_decoder(backend)):
        words.append(f"decoded by {decoder}")
    if orientation == "ignored":
        words.append("orientation ignored")
    if prepared:
        words.append(f"prepared {prepared}")
    return " ".join(words)


def resize(
    image: Image.Image | np.ndarray, size: tuple[int, int], backend: Backend, interpolation: Interpolation
) -> np.ndarray:
    """Resize an image of any number of bands.

    Args:
        image: uint8 [H, W, C], or a PIL image for the PIL backend.
        size: height and width of the result.
        backend: `pil`; `torch`, the same filter in integers, at most two grey levels off (where neither side shrinks,
            there is nothing to antialias, and OpenCV's faster code of that filter is taken); `opencv`, no antialias.
        interpolation: the filter.

    Returns:
        uint8 [height, width, C].
    """
    height, width = size
    if backend == "pil" and not isinstance(image, Image.Image) and image.shape[2] != COLORS:
        bands = (Image.fromarray(np.ascontiguousarray(image[..., band])) for band in range(image.shape[2]))
        return np.stack([np.asarray(band.resize((width, height), _PIL[interpolation])) for band in bands], axis=-1)
    if backend == "pil":
        pil_image = image if isinstance(image, Image.Image) else Image.fromarray(image)
        return np.asarray(pil_image.resize((width, height), _PIL[interpolation]))
    pixels = np.asarray(image)
    if pixels.shape[:2] == size:
        return pixels
    grows = height >= pixels.shape[0] and width >= pixels.shape[1]
    if backend == "opencv" or (grows and interpolation == "bilinear"):
        return opencv_resize(pixels, size, _OPENCV[interpolation])
    # The dimension of the batch comes first: put there after permute, its stride hides channels_last, and torch copies.
    images = torch.from_numpy(np.require(pixels, requirements=["W"]))[None].permute(0, 3, 1, 2)
    return torch_resize(images, (height, width), interpolation)[0].permute(1, 2, 0).numpy()


def opencv_resize(pixels: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """Resize uint8 [H, W, C] to `size`, height and width, by OpenCV, of which some filters take four bands at most."""
    height, width = size
    if pixels.shape[2] <= _AT_ONCE:
        return cv2.resize(pixels, (width, height), interpolation=interpolation).reshape(height, width, -1)
    starts = range(0, pixels.shape[2], _AT_ONCE)
    parts = (np.ascontiguousarray(pixels[..., start : start + _AT_ONCE]) for start in starts)
    return np.concatenate([opencv_resize(part, size, interpolation) for part in parts], axis=-1)


def torch_resize(images: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Resize uint8 [b, C, H, W] to `size`, height and width, with the filter that PIL has of this name."""
    if interpolation == "nearest":
        rows, columns = (_nearest(old, new) for old, new in zip(images.shape[-2:], size, strict=True))
        return images.index_select(-2, rows).index_select(-1, columns)
    return functional.interpolate(images, size, mode=interpolation, antialias=True)


def _nearest(old: int, new: int) -> Tensor:
    """Return int64 [new], the rows that PIL's nearest takes of `old`; torch's own rounds in single precision and takes
    others."""
    rows = cv2.resize(np.arange(old, dtype=np.int32)[:, None], (1, new), interpolation=cv2.INTER_NEAREST_EXACT)
    return torch.from_numpy(rows[:, 0]).long()


def crop(image: Image.Image | np.ndarray, box: Box) -> Image.Image | np.ndarray:
    """Crop an image to a box, which lies inside it."""
    if isinstance(image, Image.Image):
        with any_size(image.width * image.height):
            return image.crop(box)
    left, top, right, bottom = box
    return image[top:bottom, left:right]


def resize_and_center_crop(
    image: Image.Image | np.ndarray, short: int, size: int, backend: Backend, interpolation: Interpolation
) -> np.ndarray:
    """Resize and center crop: the shorter side to `short`, the central square of `size` pixels, as in torchvision.

    The longer side becomes `int(short * long / shorter)`; `short` is at least `size`. Returns uint8 [size, size, C].
    """
    high, wide = scaled(image_size(image), short)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    return resize(image, (high, wide), backend, interpolation)[top : top + size, left : left + size]


def resize_and_random_crop(
    image: Image.Image | np.ndarray,
    short: int,
    size: int,
    backend: Backend,
    interpolation: Interpolation,
    random: np.random.Generator,
) -> np.ndarray:
    """Resize and random crop: the shorter side to `short`, a random square of `size`: uint8 [size, size, C]."""
    high, wide = scaled(image_size(image), short)
    top, left = random.integers(0, high - size + 1), random.integers(0, wide - size + 1)
    return resize(image, (high, wide), backend, interpolation)[top : top + size, left : left + size]


def scaled(size: tuple[int, int], short: int) -> tuple[int, int]:
    """Return height and width with `short` pixels on the shorter side, as torchvision rounds them."""
    height, width = size
    return (int(short * height / width), short) if width <= height else (short, int(short * width / height))


def image_size(image: Image.Image | np.ndarray) -> tuple[int, int]:
    """Return height and width."""
    if isinstance(image, Image.Image):
        return image.height, image.width
    return image.shape[0], image.shape[1]


def draw_random_resized_crop(
    random: np.random.Generator,
    size: tuple[int, int],
    scale: tuple[float, float],
    ratio: tuple[float, float],
    aspect: Aspect = "log_uniform",
) -> Box:
    """Draw the box of a random resized crop (Szegedy et al. 2015, arXiv 1409.4842, section 6; as torchvision has it).

    Args:
        random: drawn from.
        size: height and width of the image.
        scale: lowest and highest fraction of the area, uniform.
        ratio: lowest and highest width / height.
        aspect: how it is drawn between them. log_uniform: uniform in the logarithm, as torchvision; uniform_swapped:
            uniform, then width and height are exchanged by a fair coin, as pycls.

    Returns:
        A box inside the image; after ten boxes that do not fit, the largest central one with an allowed ratio.
    """
    height, width = size
    low, high = math.log(ratio[0]), math.log(ratio[1])
    swapped = aspect == "uniform_swapped"
    for area, shape, across, down, *coin in random.random((_TRIES, 4 + swapped)).tolist():
        target = height * width * (scale[0] + (scale[1] - scale[0]) * area)
        shaped = ratio[0] + (ratio[1] - ratio[0]) * shape if swapped else math.exp(low + (high - low) * shape)
        wide, tall = round(math.sqrt(target * shaped)), round(math.sqrt(target / shaped))
        if swapped and coin[0] < 0.5:
            wide, tall = tall, wide
        if 0 < wide <= width and 0 < tall <= height:
            left, top = int(across * (width - wide + 1)), int(down * (height - tall + 1))
            return left, top, left + wide, top + tall
    wide = min(width, max(1, round(height * ratio[1])))
    tall = min(height, max(1, round(width / ratio[0])))
    left, top = (width - wide) // 2, (height - tall) // 2
    return left, top, left + wide, top + tall


def shrink_factor(box: Box, size: int) -> int:
    """Return the largest of 1, 2, 4, 8 by which a JPEG can shrink while the box keeps at least `size` pixels a side."""
    shorter = min(box[2] - box[0], box[3] - box[1])
    return max(factor for factor in (1, 2, 4, 8) if factor == 1 or shorter >= factor * size)
