"""Color jitter for whole batches: brightness, then contrast, then saturation, each with a factor per image.

The formulas are those of PIL's ImageEnhance and torchvision; torchvision shuffles the order of the three for every
image, here it is fixed.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings

Strength = Annotated[float, Field(ge=0)]

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""


class ColorJitter(Settings):
    """Color jitter of brightness, contrast and saturation: a factor drawn uniformly from [max(0, 1 - s), 1 + s]."""

    brightness: Strength = 0.0
    """Strength of the change of brightness (a factor on every value); 0 is off."""
    contrast: Strength = 0.0
    """Strength of the change of contrast (distance from the pivot); 0 is off."""
    saturation: Strength = 0.0
    """Strength of the change of saturation (distance from the pixel's grey); 0 is off. One channel has none."""
    contrast_pivot: Literal["image", "constant"] = "image"
    """What contrast turns around: the mean grey of the image (torchvision), or the constant `pivot`."""
    pivot: Annotated[float, Field(ge=0, le=255)] = 74.0
    """The constant pivot, 0..255 (74: the value of BiSeNet's published augmentation)."""


def draw_factors(generator: torch.Generator, total: int, color: ColorJitter) -> Tensor:
    """Draw the factors, float32 [total, 3], of brightness, contrast and saturation."""
    strength = torch.tensor([color.brightness, color.contrast, color.saturation])
    low, high = (1 - strength).clamp(min=0), 1 + strength
    return low + (high - low) * torch.rand(total, 3, generator=generator)


def jitter(images: Tensor, factors: Tensor, color: ColorJitter) -> Tensor:
    """Apply color jitter, clipping to the range after each.

    Args:
        images: float32 [B, C, H, W] in 0..255; saturation changes those of three channels alone.
        factors: float32 [B, 3] from `draw_factors`.
        color: the settings; a strength of 0 skips its step.

    Returns:
        float32 [B, C, H, W] in 0..255.
    """
    brightness, contrast, saturation = (factor.view(-1, 1, 1, 1) for factor in factors.unbind(1))
    if color.brightness:
        images = (images * brightness).clamp_(0, 255)
    if color.contrast:
        if color.contrast_pivot == "image":
            pivot: Tensor | float = to_grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
        else:
            pivot = color.pivot
        images = (images * contrast + pivot * (1 - contrast)).clamp_(0, 255)
    if color.saturation and images.shape[1] == 3:
        images = (images * saturation + to_grayscale(images) * (1 - saturation)).clamp_(0, 255)
    return images


def to_grayscale(images: Tensor) -> Tensor:
    """Return the luma of [B, 3, H, W] as [B, 1, H, W]; images of one channel are returned as they are, of other numbers
    of them the mean."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != len(GREY):
        return images.mean(1, keepdim=True)
    red, green, blue = images.unbind(1)
    return (red * GREY[0] + green * GREY[1] + blue * GREY[2])[:, None]


_VALUES = (0.2175, 0.0188, 0.0045)
_VECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""A row for each of red, green, blue; a column for each principal colour. For values in 0..1."""


def draw_pca_lighting(generator: torch.Generator, total: int, deviation: float) -> Tensor:
    """Draw PCA lighting noise: float32 [total, 3], what is added to red, green and blue of each image, in 0..255.

    Args:
        generator: drawn from.
        total: number of images.
        deviation: standard deviation of the weight of each principal colour (0.1 is usual).
    """
    weights = deviation * torch.randn(total, 3, generator=generator)
    return 255 * (weights * torch.tensor(_VALUES)) @ torch.tensor(_VECTORS).T
