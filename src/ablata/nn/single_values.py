"""Batch normalisation of one value a channel, which has no variance: torch's error in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ablata.base.errors import SettingsError

_TOLD = "Expected more than 1 value per channel when training"
"""How torch.nn.functional.batch_norm begins its ValueError."""


class SingleValueError(SettingsError):
    """A step has one image, and a network that normalises one value a channel of it."""


@contextmanager
def single_values_in_words() -> Iterator[None]:
    """Tell in words that batch normalisation met one value a channel inside a `with` block; other failures pass.

    Raises:
        SingleValueError: it did.
    """
    try:
        yield
    except ValueError as error:
        if _TOLD not in str(error):
            raise
        size = str(error).rpartition("torch.Size(")[2].removesuffix(")")
        raise SingleValueError(
            "Batch normalisation needs more than one value a channel in training",
            found=f"a map {size} (images, channels, height, width) of a step's images",
            do="take a larger batch: train.batch of 2 or more for each of train.accumulate; or larger images",
        ) from None
