"""Augmentation operations on rows of a batch, on their device, each row with an argument of its own: PIL's results.

Written here because torchvision's functions take one argument for a whole batch, and because its auto contrast, color,
contrast and sharpness are a grey level off PIL's; its `equalize` is PIL's, and is used.

Letters: b rows that share an operation, C channels (1 or 3), H height, W width. Moved pixels may be one level off
PIL's, since it weighs neighbours in double precision.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ablata.data.transforms.auto_augment_ops import SOLARIZE_ADD_BELOW, Name, cutout_box, inverse_affine
from ablata.data.transforms.geometry import box_mask


def apply_to_rows(images: Tensor, name: Name, arguments: np.ndarray, places: np.ndarray, fill: int) -> Tensor:
    """Return rows changed by one operation.

    Args:
        images: uint8 [b, C, H, W].
        name: the operation.
        arguments: float64 [b], what `Range.argument` gives.
        places: float64 [b, 2] in [0, 1), down and across, for `cutout`.
        fill: value of what comes into view from outside and of `cutout`, 0..255.

    Returns:
        uint8 [b, C, H, W].
    """
    values = torch.from_numpy(arguments).to(images.device, torch.float32).view(-1, 1, 1, 1)
    match name:
        case "auto_contrast":
            return _stretched(images)
        case "equalize":
            return _equalized(images)
        case "invert":
            return 255 - images
        case "posterize":
            masks = [256 - 2 ** (8 - min(8, int(bits))) for bits in arguments]
            return images & torch.tensor(masks, device=images.device).to(torch.uint8).view(-1, 1, 1, 1)
        case "solarize":
            return torch.where(images < values, images, 255 - images)
        case "solarize_add":
            more = (images + values).clamp_(max=255).to(torch.uint8)
            return torch.where(images < SOLARIZE_ADD_BELOW, more, images)
        case "color":
            return _blended(luma(images).float(), images, values)
        case "contrast":
            mean = luma(images).double().mean(dim=(1, 2, 3), keepdim=True).add_(0.5).floor_()
            return _blended(mean.float(), images, values)
        case "brightness":
            return _blended(torch.zeros_like(values), images, values)
        case "sharpness":
            return _blended(_smoothed(images), images, values)
        case "cutout":
            return _covered(images, arguments, places, fill)
        case _:
            return _moved(images, name, arguments, fill)


def luma(images: Tensor) -> Tensor:
    """Return the grey values int32 [b, 1, H, W], with PIL's rounding; of one channel, its values."""
    if images.shape[1] == 1:
        return images.int()
    red, green, blue = images.int().unbind(1)
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)[:, None]


def _blended(start: Tensor, images: Tensor, factors: Tensor) -> Tensor:
    """Return start + factor * (image - start), clipped and cut to whole numbers."""
    return (start + factors * (images - start)).clamp_(0, 255).to(torch.uint8)


def _equalized(images: Tensor) -> Tensor:
    # Importing it brings torch's compiler along, 1.5 s that most programs can do without.
    from torchvision.transforms.v2.functional import equalize

    equalized: Tensor = equalize(images)
    return equalized


def _stretched(images: Tensor) -> Tensor:
    flat = images.flatten(2)
    low, high = (edge[..., None].double() for edge in (flat.amin(2), flat.amax(2)))
    values = torch.arange(256, device=images.device, dtype=torch.float64).expand(*flat.shape[:2], 256)
    scale = torch.full_like(high, 255).div(high - low)  # a number over a tensor is a product, rounded twice
    tables = torch.where(high > low, values * scale + -low * scale, values).clamp(0, 255).to(torch.uint8)
    return tables.gather(2, flat.long()).view_as(images)


def _smoothed(images: Tensor) -> Tensor:
    """Return float32 [b, C, H, W], rounded: (1 1 1, 1 5 1, 1 1 1) / 13, the outermost pixels as they are."""
    channels = images.shape[1]
    kernel = torch.ones(channels, 1, 3, 3, device=images.device)
    kernel[..., 1, 1] = 5
    result = images.float()
    if min(images.shape[-2:]) > 2:
        inside = functional.conv2d(result, kernel, groups=channels)
        result[..., 1:-1, 1:-1] = (inside / 13 + 0.5).floor_()
    return result


def _covered(images: Tensor, arguments: np.ndarray, places: np.ndarray, fill: int) -> Tensor:
    height, width = images.shape[-2:]
    boxes = [cutout_box(a, (p[0], p[1]), height, width) for a, p in zip(arguments, places, strict=True)]
    top, left, bottom, right = torch.tensor(boxes, device=images.device).unbind(1)
    return images.masked_fill(box_mask(top, left, bottom, right, height, width)[:, None], fill)


def _moved(images: Tensor, name: Name, arguments: np.ndarray, fill: int) -> Tensor:
    height, width = images.shape[-2:]
    matrices = np.stack([inverse_affine(name, argument, height, width) for argument in arguments])
    maps = torch.from_numpy(matrices).to(images.device, torch.float32)
    across = torch.arange(width, device=images.device) + 0.5
    down = torch.arange(height, device=images.device) + 0.5
    places = (
        maps[:, None, None, :, 0] * across[:, None]
        + maps[:, None, None, :, 1] * down[:, None, None]
        + maps[:, None, None, :, 2]
    )
    size = torch.tensor([width, height], device=images.device)
    inside = ((places >= 0) & (places < size)).all(-1)[:, None]
    found = functional.grid_sample(
        images.float(), places * 2 / size - 1, mode="bilinear", padding_mode="border", align_corners=False
    )
    # A thousandth keeps whole numbers, as of an image moved by whole pixels, from being cut to the one below.
    return torch.where(inside, (found + 1e-3).clamp_(max=255).to(torch.uint8), fill)
