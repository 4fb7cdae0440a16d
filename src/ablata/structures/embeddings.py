"""Embeddings of images of persons, with identity and camera.

Letters: N images, D dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

JUNK = -1
"""Identity of an image that shows no whole person: it counts neither as right nor as wrong."""


@dataclass(frozen=True)
class Embeddings:
    """Embeddings of images, with identities and cameras.

    Attributes:
        features: float [N, D].
        identities: int64 [N], `JUNK` or at least 0.
        cameras: int64 [N].
    """

    features: Tensor
    identities: Tensor
    cameras: Tensor

    def __len__(self) -> int:
        """Return N."""
        return len(self.identities)

    def at(self, rows: Tensor | slice) -> Embeddings:
        """Return some of the images, chosen by a mask, row numbers or a slice."""
        return Embeddings(self.features[rows], self.identities[rows], self.cameras[rows])
