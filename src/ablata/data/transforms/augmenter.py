"""The base of batch augmentation: what a training loader asks of it, whatever the samples are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic

from ablata.structures.batch import BatchT


class Augmenter(ABC, Generic[BatchT]):
    """Augments and normalizes the batches of one training.

    It holds no random state: what is drawn follows from the run's seed and the step alone, for all rows of the global
    batch (`batch.rows` says which of them are at hand), so that training resumes exactly and processes agree.

    Attributes:
        repeats: how often each image comes in a batch (repeated augmentation, arXiv 1901.09335).
    """

    repeats: int = 1

    @abstractmethod
    def __call__(self, batch: BatchT, step: int, epoch: int) -> BatchT:
        """Return a batch of uint8 images augmented, with float32 normalized images, on the device it is on.

        Args:
            batch: as the reader gave it.
            step: global step, counted from 0 over the whole training.
            epoch: epoch of the step, counted from 0.
        """

    def mixes(self, epoch: int) -> bool:
        """Tell whether images of a batch may be mixed with each other in this epoch (mixup, CutMix)."""
        return False

    def needs_other_batch(self, epoch: int) -> bool:
        """Tell whether images of this epoch may be mixed with those of another batch, which is then read too."""
        return False
