"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, shipped with the library, no download."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ablata.data.loading.dataset import ClassificationSettings, NominalShape
from ablata.data.loading.in_memory import ImageArrays, InMemoryDataset
from ablata.data.loading.splits import hold_out
from ablata.data.transforms.classification import Augment


class Digits(ClassificationSettings):
    """Handwritten digits 0 to 9 (Alpaydin and Kaynak 1998, UCI), one channel, 17 grey levels stretched to 0..255."""

    kind: Literal["digits"] = "digits"
    val: Annotated[int, Field(ge=10, le=1700)] = 500
    """Samples held out for validation, stratified; the others are for training."""
    minival: int | float = 0
    """Samples (or a fraction, below 1) held out of the training set to choose on; 0: none."""
    split_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of both splits, apart from the run's seed: every run sees the same ones."""
    augment: Augment = Augment()
    """Augmentation of training batches."""
    mean: tuple[float, ...] = (0.305,)
    """Mean of the channel over the training set, in 0..1."""
    std: tuple[float, ...] = (0.376,)
    """Standard deviation of the channel, in 0..1."""

    def nominal_shape(self) -> NominalShape:
        """Return the shape that complexity is counted for."""
        return NominalShape(classes=10, channels=1, height=8, width=8)

    def build(self, cache: Path) -> InMemoryDataset:
        """Return the data set; nothing is cached.

        Raises:
            DataError: minival is out of range.
        """
        pixels, labels = _shipped()
        images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
        train, val = hold_out(labels, self.val, self.split_seed, "data.val")
        return InMemoryDataset(
            ImageArrays(images[train], labels[train]),
            ImageArrays(images[val], labels[val]),
            classes=[str(digit) for digit in range(10)],
            fingerprint=hashlib.sha256(images.tobytes() + labels.tobytes() + val.tobytes()).hexdigest(),
            mean=self.mean,
            std=self.std,
            minival=self.minival,
            split_seed=self.split_seed,
            augment=self.augment,
            backend="exact",
        )


def _shipped() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels float64 [1797, 64] in 0..16 and labels int64 [1797].

    The file is read where scikit-learn keeps it: importing the library takes longer than training on these images.
    """
    library = find_spec("sklearn")
    file = Path(library.origin if library and library.origin else "").parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        from sklearn.datasets import load_digits

        pixels, labels = load_digits(return_X_y=True)
        return pixels, labels.astype(np.int64)
    table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return table[:, :-1].astype(np.float64), table[:, -1]
