"""What a model offers that looks at training images before its first step."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor, nn


class StartsFromImages(nn.Module):
    """A model with a layer whose initial weights are computed from training images.

    The task calls `start_from` once, right after the model is built. What it computes lies in the model's parameters,
    so a resumed run takes it from its checkpoint.
    """

    images_wanted: int
    """How many training images it needs; 0: none."""

    @abstractmethod
    def start_from(self, images: Tensor) -> None:
        """Set the initial weights.

        Args:
            images: float32 [N, C, H, W], normalised, not augmented: `images_wanted` of the training set, or all of it.
        """
