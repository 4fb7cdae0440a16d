"""The constants that pictures are normalised with, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

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
        DataError: ImageNet's are asked for pictures without its three channels.
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
