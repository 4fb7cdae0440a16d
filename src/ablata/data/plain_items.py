"""What a plain data set may give as an image, and how it is told."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from ablata.base.errors import DataError, listing


def as_pixels(image: Any, where: str) -> np.ndarray:
    """Return an image as uint8 [H, W, C].

    Args:
        image: a PIL image, an array [H, W] or [H, W, C], or a tensor [C, H, W]; 8-bit, or float in [0, 1].
        where: the item, for messages.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(image, Image.Image):
        array = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    elif isinstance(image, torch.Tensor):
        array = image.numpy()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    else:
        array = np.asarray(image)
    array = array[:, :, None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] not in (1, 3):
        raise DataError(
            "An image must be a PIL image, an array [H, W] or [H, W, C], or a tensor [C, H, W], of 1 or 3 channels",
            found=f"{where}: {type(image).__name__} of shape {tuple(np.shape(array))}",
            do="return one of these from the data set",
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if (
        not np.issubdtype(array.dtype, np.floating)
        or not np.isfinite(array).all()
        or array.min() < 0
        or array.max() > 1
    ):
        raise DataError(
            "An image must be 8-bit, or float in [0, 1]",
            found=f"{where}: {array.dtype}, from {array.min():g} to {array.max():g}",
            do="return uint8, or divide by 255; leave normalization to data.mean and data.std",
        )
    scaled: np.ndarray = np.rint(array * 255).astype(np.uint8)
    return scaled


def in_color(pixels: np.ndarray) -> np.ndarray:
    """Return an image uint8 [H, W, C] with three channels."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)


def in_words(value: Any) -> str:
    """Return what a data set gave, in one line: the shape of an array, the keys of a dict."""
    if isinstance(value, torch.Tensor | np.ndarray) and value.ndim:
        return f"{type(value).__name__} {value.dtype} of shape {tuple(value.shape)}"
    if isinstance(value, dict):
        return f"a dict of {listing(str(key) for key in value)}" if value else "an empty dict"
    return " ".join(repr(value).split())[:80]


def content_digest(arrays: Sequence[np.ndarray], classes: Sequence[str]) -> str:
    """Return the fingerprint of arrays and names."""
    hasher = hashlib.sha256("\0".join(classes).encode())
    for array in arrays:
        hasher.update(f"{array.shape}{array.dtype}".encode())
        hasher.update(np.ascontiguousarray(array).tobytes())
    return hasher.hexdigest()
