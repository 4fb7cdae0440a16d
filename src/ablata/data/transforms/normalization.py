"""Normalization of images by mean and standard deviation: the named constants, and fast arithmetic on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ablata.base.errors import DataError

NormalizationName = Literal["own", "imagenet", "none"]
"""own: mean and standard deviation of the settings; imagenet: ImageNet's; none: pixels stay in 0..1."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green, blue over ImageNet's training set, in 0..1, as the field has used it since 2015."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green, blue, in 0..1."""


def constants(
    name: NormalizationName, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the normalization constants, mean and standard deviation of each channel, that a name stands for.

    Args:
        name: which.
        mean: the set's own, in 0..1.
        std: the set's own, in 0..1.

    Raises:
        DataError: ImageNet's are asked for images without its three channels.
    """
    if name == "own":
        return tuple(mean), tuple(std)
    if name == "none":
        return (0.0,) * len(mean), (1.0,) * len(std)
    if len(mean) != len(IMAGENET_MEAN):
        raise DataError(
            "ImageNet's constants are for three channels",
            found=f"{len(mean)} in data.mean",
            do="data.normalization=own",
        )
    return IMAGENET_MEAN, IMAGENET_STD


_PART = 1 << 18
"""Values that are normalized together: 1 MiB of float32, which stays in a core's cache between the two passes."""


def normalize_in_cache(images: Tensor, scale: Tensor, shift: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Return images * scale + shift, on the processor, part by part.

    Args:
        images: uint8 or float [B, C, H, W], in any memory order.
        scale: float32 [1, C, 1, 1].
        shift: float32 [1, C, 1, 1].
        memory_format: of the result, channels_last or contiguous.

    Returns:
        float32 [B, C, H, W], rounded once where the two operations one after the other round twice.
    """
    result = torch.empty(images.shape, dtype=torch.float32, memory_format=memory_format)
    source, target = images, result
    if memory_format == torch.channels_last:
        # Channels lie beside each other: constants repeated along a row let whole rows be multiplied at once.
        source, target = images.permute(0, 2, 3, 1), result.permute(0, 2, 3, 1).flatten(2)
        scale, shift = (constant.flatten().repeat(images.shape[-1]) for constant in (scale, shift))
    rows = max(1, _PART // max(1, images[:1].numel()))
    for pixels, values in zip(torch.split(source, rows), torch.split(target, rows), strict=True):
        values.copy_(pixels.contiguous().view(values.shape))
        torch.addcmul(shift, values, scale, out=values)
    return result


class Normalizer:
    """Normalizes uint8 images to float32 by mean and standard deviation.

    Args:
        mean: mean of each channel over the training set, in 0..1.
        std: standard deviation of each channel, in 0..1.
        channels_last: give the result the channels_last memory format.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], channels_last: bool = False) -> None:
        deviation = torch.tensor(std, dtype=torch.float64).view(1, -1, 1, 1)
        self.scale = (1 / (255 * deviation)).float()
        self.shift = (-torch.tensor(mean, dtype=torch.float64).view(1, -1, 1, 1) / deviation).float()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format

    def to(self, device: torch.device) -> Normalizer:
        """Move the constants to `device`; returns itself."""
        if self.scale.device != device:
            self.scale, self.shift = self.scale.to(device), self.shift.to(device)
        return self

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize uint8 or float [B, C, H, W] in 0..255 to float32 [B, C, H, W]."""
        self.to(images.device)
        if images.device.type != "cpu":
            return self.floats(images).mul_(self.scale).add_(self.shift)
        return normalize_in_cache(images, self.scale, self.shift, self.memory_format)

    def floats(self, images: Tensor) -> Tensor:
        """Copy to float32, still in 0..255, in the wanted memory format."""
        return images.to(torch.float32, memory_format=self.memory_format, copy=True)

    def undo(self, images: Tensor) -> Tensor:
        """Return float32 in 0..255, clipped: what normalized images look like."""
        self.to(images.device)
        return ((images - self.shift) / self.scale).clamp_(0, 255)
