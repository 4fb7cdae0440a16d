"""Cross-entropy plus Lovasz-softmax: the one per pixel, the other per class."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.lovasz import Lovasz


class CrossEntropyLovasz(PixelLossSettings):
    """Weighted sum of both; each has its own `implementation` and `rows`."""

    kind: Literal["cross_entropy_lovasz"] = "cross_entropy_lovasz"
    cross_entropy: PixelCrossEntropy = PixelCrossEntropy()
    """Pixel-wise cross-entropy."""
    lovasz: Lovasz = Lovasz()
    """Lovasz-softmax."""
    cross_entropy_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on the cross-entropy."""
    lovasz_weight: Annotated[float, Field(ge=0)] = 1.0
    """Factor on Lovasz-softmax."""

    def build(self, ignore: int = IGNORE) -> CrossEntropyLovaszLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return CrossEntropyLovaszLoss(self, ignore)


class CrossEntropyLovaszLoss(PixelLoss):
    """a x cross-entropy + b x Lovasz.

    Args:
        settings: see `CrossEntropyLovasz`.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: CrossEntropyLovasz, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings
        self.cross_entropy_loss, self.lovasz_loss = settings.cross_entropy.build(ignore), settings.lovasz.build(ignore)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        settings = self.settings
        both: Tensor = settings.cross_entropy_weight * self.cross_entropy_loss(logits, labels)
        lovasz: Tensor = self.lovasz_loss(logits, labels)
        return both + settings.lovasz_weight * lovasz
