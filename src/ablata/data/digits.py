"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, shipped with the library, no download."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from sklearn.datasets import load_digits

from ablata.base.settings import Settings
from ablata.data.augment import Augment
from ablata.data.memory import MemoryImages, Store
from ablata.data.splits import hold_out


class Digits(Settings):
    """Handwritten digits 0 to 9 (Alpaydin and Kaynak 1998, UCI), one channel, 17 grey levels stretched to 0..255."""

    kind: Literal["digits"] = "digits"
    val: Annotated[int, Field(ge=10, le=1700)] = 500
    """Samples held out for validation, stratified; the others are for training."""
    minival: int | float = 0
    """Samples (or a share, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of both splits, apart from the run's seed: every run sees the same ones."""
    augment: Augment = Augment()
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.305,)
    """Mean of the channel over the training set, in 0..1."""
    std: tuple[float, ...] = (0.376,)
    """Standard deviation of the channel, in 0..1."""

    def build(self, cache: Path) -> MemoryImages:
        """Return the data set; nothing is cached.

        Raises:
            DataError: minival is out of range.
        """
        pixels, labels = load_digits(return_X_y=True)
        images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        labels = labels.astype(np.int64)
        train, val = hold_out(labels, self.val, self.split_seed, "data.val")
        return MemoryImages(
            Store(images[train], labels[train]),
            Store(images[val], labels[val]),
            classes=[str(digit) for digit in range(10)],
            fingerprint=hashlib.sha256(images.tobytes() + labels.tobytes() + val.tobytes()).hexdigest(),
            mean=self.mean,
            std=self.std,
            minival=self.minival,
            split_seed=self.split_seed,
            augment=self.augment,
            backend="exact",
        )
