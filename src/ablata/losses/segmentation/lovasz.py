"""Lovasz-softmax loss: a convex surrogate of 1 - IoU (Berman et al. 2018, arXiv 1705.08790).

The lean form holds the logarithm of each pixel's softmax sum [B, H, W], found chunk by chunk, then one class at a time.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings, mean_over
from ablata.losses.segmentation.cross_entropy import PixelCrossEntropy
from ablata.losses.segmentation.upsample_rows import upsample_rows


class Lovasz(PixelLossSettings):
    """Lovasz-softmax loss."""

    kind: Literal["lovasz"] = "lovasz"
    classes: Literal["present", "all"] = "present"
    """Mean over the classes that the truth holds, or over all: an absent class then costs its largest probability."""
    over: Literal["image", "batch"] = "image"
    """The union of each image, of which the mean is taken, or of the whole batch."""

    def build(self, ignore: int = IGNORE) -> LovaszLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return LovaszLoss(self, ignore)


class LovaszLoss(PixelLoss):
    """Mean over classes of the Lovasz extension of the Jaccard loss at the errors |y - p| (algorithm 1 of the paper).

    Args:
        settings: see `Lovasz`.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, settings: Lovasz, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        chunks = self.row_chunks(logits, labels)
        scale = torch.cat([self.compute(_log_sum, *chunk) for chunk in chunks], 1)
        valid = self._flat(labels != self.ignore)
        truths = [self._flat(labels == c) & valid for c in range(logits.shape[1])]
        present = torch.stack([truth.any(1) for truth in truths], 1)
        losses = torch.stack(
            [
                self.compute(self._of_class, own, scale, labels, truth, valid)
                for own, truth in zip(torch.split(logits, 1, 1), truths, strict=True)
            ],
            1,
        )
        counted = present if self.settings.classes == "present" else valid.any(1, keepdim=True).expand_as(present)
        each = torch.where(counted, losses, 0.0).sum(1) / counted.sum(1).clamp(min=1)
        return mean_over(each, counted.any(1))

    def _of_class(self, logits: Tensor, scale: Tensor, labels: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of one class [G], one for each image or for the batch, from its logits [B, 1, h, w]."""
        full = upsample_rows(logits, labels, (0, labels.shape[1]))[:, 0]
        probability = self._flat((full - scale).exp())
        return lovasz_extension((truth.to(probability.dtype) - probability).abs(), truth, valid)

    def _flat(self, pixels: Tensor) -> Tensor:
        """Return [B, H, W] as [G, N]: G groups whose union is taken together."""
        return pixels.flatten(1) if self.settings.over == "image" else pixels.flatten()[None]


def _log_sum(logits: Tensor, labels: Tensor, position: tuple[int, int]) -> Tensor:
    return upsample_rows(logits, labels, position).logsumexp(1)


def lovasz_extension(errors: Tensor, truth: Tensor, valid: Tensor) -> Tensor:
    """Return the Lovasz extension of one class's Jaccard loss.

    Args:
        errors: [G, N] float in [0, 1].
        truth: [G, N] bool, the pixels of the class; false where ignored.
        valid: [G, N] bool, the pixels that count.

    Returns:
        [G] float in [0, 1]; 0 where no pixel counts.
    """
    # Ignored pixels go last, add nothing to either count, and their error is lifted to 0.
    ordered, order = torch.where(valid, errors, -1.0).sort(1, descending=True)
    true, other = truth.gather(1, order), (valid & ~truth).gather(1, order)
    total = true.sum(1, keepdim=True)
    union = total + other.cumsum(1)
    jaccard = 1 - (total - true.cumsum(1)).to(errors.dtype) / union.clamp(min=1).to(errors.dtype)
    slope = torch.diff(jaccard, dim=1, prepend=jaccard.new_zeros(len(jaccard), 1))
    return (ordered.clamp(min=0) * slope).sum(1)


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
