"""Data-dependent initialisation: models whose first weights are computed from training images."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class DataDependentInit(nn.Module):
    """A model with a layer whose initial weights are computed from training images.

    The task calls `init_from_images` once, right after the model is built. What it computes lies in the model's
    parameters, so a resumed run takes it from its checkpoint.
    """

    init_images: int
    """How many training images it needs; 0: none."""

    @abstractmethod
    def init_from_images(self, images: Tensor) -> None:
        """Set the initial weights.

        Args:
            images: float32 [N, C, H, W], normalised, not augmented: `init_images` of the training set, or all of it.
        """
