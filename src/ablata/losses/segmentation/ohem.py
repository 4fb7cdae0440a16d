"""Online hard example mining: the mean cross-entropy of the pixels that are hardest. Four definitions share the name.

`count_valid` and `count_all` are those of CoinCheung/BiSeNet (lib/ohem_ce_loss.py, now and formerly), `probability` is
that of openseg and mmsegmentation, `top_fraction` that of DeepLab (hard example mining of its train utilities).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ablata.losses.segmentation.base import IGNORE, PixelLoss, PixelLossSettings, mean_over

KEPT_BY_PROBABILITY = 100_000


class Ohem(PixelLossSettings):
    """Online hard example mining."""

    kind: Literal["ohem"] = "ohem"
    definition: Literal["count_valid", "count_all", "probability", "top_fraction"] = "count_valid"
    """Which pixels are kept. count_valid: those with a loss above -ln threshold, and at least the hardest n, n = valid
    pixels // divisor. count_all: the same with n = all pixels // divisor, where ignored ones count with a loss of 0.
    probability: those whose label has a probability below the larger of threshold and the (n + 1)-th lowest, n =
    min_kept. top_fraction: the hardest n, n = all pixels // divisor, whatever the threshold; losses of 0 do not count
    in the mean."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    """The probability of the label below which a pixel is hard."""
    divisor: Annotated[int, Field(ge=1)] = 16
    """One pixel in so many is kept at least, of those that are mined together."""
    min_kept: Annotated[int, Field(ge=0)] | None = None
    """How many pixels are kept at least, in place of `divisor`; null with `probability` is 100,000."""
    min_kept_of: Literal["batch", "image"] = "batch"
    """Whether `min_kept` is of the batch (openseg) or of each of its images (mmsegmentation)."""
    mine: Literal["process", "batch"] = "process"
    """Which pixels are mined together: those that one process has at once, as in the notes and in the public codes, or
    those of all processes at once, so that the result does not depend on their number; each then sorts the losses of
    all. The parts of an accumulated batch are mined one by one either way."""

    def build(self, ignore: int = IGNORE) -> OhemLoss:
        """Make the loss; pixels labelled `ignore` do not count."""
        return OhemLoss(self, ignore)


class OhemLoss(PixelLoss):
    """Mean cross-entropy over the pixels that are kept; 0 where none is.

    The lean form keeps one loss a pixel, found chunk by chunk, and selects the n-th value. The plain form holds all
    logits and sorts all pixels.

    Args:
        settings: see `Ohem`.
        ignore: label of the pixels that do not count.

    Attributes:
        pool: joins values [N] of this process with those of the others, for `mine=batch`; gradients reach its own.
    """

    def __init__(self, settings: Ohem, ignore: int = IGNORE) -> None:
        super().__init__(settings, ignore)
        self.settings = settings
        self.pool: Callable[[Tensor], Tensor] = _own_only

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return a scalar."""
        losses = self.cross_entropy(logits, labels).flatten()
        valid, images = labels.flatten() != self.ignore, len(labels)
        if self.settings.mine == "batch":
            own = len(losses)
            losses, valid = self.pool(losses), self.pool(valid.byte()).bool()
            images = images * len(losses) // own
        return self.hardest(losses, valid, images)

    def hardest(self, losses: Tensor, valid: Tensor, images: int = 1) -> Tensor:
        """Return the mean over the pixels that are kept; a loss that is not a number is hard. Waits for no device.

        Args:
            losses: [N] float, cross-entropy in nats, 0 for ignored pixels.
            valid: [N] bool, the pixels that count.
            images: of the batch.
        """
        settings = self.settings
        most = min(self._min_kept(len(losses), images), len(losses))
        if settings.definition == "probability":
            return self._by_probability(losses, valid, most)
        if settings.definition == "top_fraction":
            top = self._top(losses, most, ordered=False)
            return mean_over(top, top != 0)
        hard = ~(losses <= -math.log(settings.threshold))
        least = torch.tensor(most, device=losses.device)
        if settings.definition == "count_valid":
            count = valid.count_nonzero()
            least = count // settings.divisor if settings.min_kept is None else count.clamp(max=most)
        # Where exactly `least` pixels are hard both ways keep the same ones, so the older code's test by index, one
        # off, has the same value.
        enough = hard.count_nonzero() >= least
        if _is_on_cpu(losses):  # so only one of the two is computed
            return mean_over(losses, hard) if enough else self._top(losses, int(least), ordered=False).mean()
        top = self._top(losses, most)
        first = torch.arange(most, device=losses.device) < least
        return torch.where(enough, mean_over(losses, hard), mean_over(top, first))

    def _min_kept(self, pixels: int, images: int) -> int:
        settings, kept = self.settings, self.settings.min_kept
        if kept is None and settings.definition != "probability":
            return pixels // settings.divisor
        return (KEPT_BY_PROBABILITY if kept is None else kept) * (images if settings.min_kept_of == "image" else 1)

    def _top(self, losses: Tensor, count: int, ordered: bool = True) -> Tensor:
        if self.settings.implementation == "plain":
            return losses.sort(descending=True).values[:count]
        if _is_on_cpu(losses) and not ordered:
            # numpy's, since torch's top-k of two million losses takes five times as long as this and its gather.
            last = len(losses) - 1
            index = np.argpartition(losses.detach().numpy(), min(len(losses) - count, last))[len(losses) - count :]
            return losses.gather(0, torch.from_numpy(index))
        return losses.topk(count, sorted=ordered).values

    def _by_probability(self, losses: Tensor, valid: Tensor, least: int) -> Tensor:
        probability = losses.detach().neg().exp_()  # 1 where a pixel is ignored, which no limit lies above
        index = (valid.count_nonzero() - 1).clamp(min=0, max=min(least, len(probability) - 1))
        if _is_on_cpu(losses):
            lowest = self._top(-probability, int(index) + 1, ordered=False).amin().neg()
        else:
            lowest = -self._top(-probability, min(least + 1, len(probability)))[index]
        return mean_over(losses, ~(probability >= lowest.clamp(min=self.settings.threshold)))


def _is_on_cpu(values: Tensor) -> bool:
    """Return whether reading a number costs no wait, and numpy can have the values."""
    return values.device.type == "cpu"


def _own_only(values: Tensor) -> Tensor:
    return values
