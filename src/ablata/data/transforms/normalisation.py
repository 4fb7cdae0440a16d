"""The constants that images are normalised with, by name, and the arithmetic on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ablata.base.errors import DataError

NormalisationName = Literal["own", "imagenet", "none"]
"""own: mean and standard deviation of the settings; imagenet: ImageNet's; none: pixels stay in 0..1."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of red, green, blue over ImageNet's training set, in 0..1, as the field has used it since 2015."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of red, green, blue, in 0..1."""


def constants(
    name: NormalisationName, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation of each channel that a name stands for.

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
            do="data.normalisation=own",
        )
    return IMAGENET_MEAN, IMAGENET_STD


_PART = 1 << 18
"""Values that are normalised together: 1 MiB of float32, which stays in a core's cache between the two passes."""


def normalise_in_cache(images: Tensor, scale: Tensor, shift: Tensor, memory_format: torch.memory_format) -> Tensor:
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
