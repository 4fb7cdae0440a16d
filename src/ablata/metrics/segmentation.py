"""Mean intersection over union, accuracy of pixels and of classes, from one confusion matrix of all pixels.

Letters: K classes, B pictures, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ablata.base.errors import DataError

_LARGEST_SHORT = torch.iinfo(torch.int16).max
_PIECE = 2**15
"""Pixels counted at once on the processor: their codes stay in its cache."""


class SegmentationScores:
    """Counts pixels in int64 on the device, without waiting for it at any batch.

    Counts are added up over all pictures before anything is divided, so scores do not depend on batches or processes.

    Args:
        classes: K.
        ignore: label of the pixels that do not count.
        device: where the predictions will be.
    """

    def __init__(self, classes: int, ignore: int = 255, device: torch.device | str = "cpu") -> None:
        self.classes, self.ignore = classes, ignore
        # A row and a column more on either side take in whatever is no class, so that a pixel costs no selection.
        self._counts = torch.zeros((classes + 2) ** 2, dtype=torch.int64, device=device)
        self._ignored = torch.zeros((), dtype=torch.int64, device=device)

    @torch.no_grad()
    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch.

        Args:
            predicted: [B, H, W] integers in [0, K), the likeliest class of each pixel.
            labels: [B, H, W] integers in [0, K), or `ignore`.

        Raises:
            ValueError: the shapes differ.
        """
        if predicted.shape != labels.shape:
            raise ValueError(
                f"predictions and labels must have one shape, got {[*predicted.shape]} and {[*labels.shape]}"
            )
        dtype = torch.int16 if len(self._counts) <= _LARGEST_SHORT else torch.int64
        if not labels.numel():
            return
        piece = _PIECE if labels.device.type == "cpu" else labels.numel()
        pieces = (torch.split(ids.flatten(), piece) for ids in (predicted, labels))
        for guess, truth in zip(*pieces, strict=True):
            code = _row(truth, self.classes, dtype).mul_(self.classes + 2).add_(_row(guess, self.classes, dtype))
            self._counts += _histogram(code, len(self._counts))
            self._ignored += torch.count_nonzero(truth == self.ignore)

    def state(self) -> dict[str, Tensor]:
        """Return the sums: `counts` [(K + 2)^2] int64 and `ignored` [] int64.

        Summed over processes and given to `load_state`, they are the sums of the joined data.
        """
        return {"counts": self._counts, "ignored": self._ignored}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by those of `state`."""
        self._counts, self._ignored = (state[name].clone() for name in ("counts", "ignored"))

    def confusion(self) -> Tensor:
        """Return [K, K] int64 counts, true classes in rows, predicted ones in columns.

        Raises:
            DataError: a label is neither a class nor `ignore`, or a prediction is no class.
        """
        table = self._counts.view(self.classes + 2, self.classes + 2).clone()
        if 0 <= self.ignore < self.classes:
            table[0] += table[self.ignore + 1]
            table[self.ignore + 1] = 0
        odd_labels = int(table[0].sum() + table[-1].sum() - self._ignored)
        odd_guesses = int(table[1:-1, 0].sum() + table[1:-1, -1].sum())
        if odd_labels or odd_guesses:
            raise DataError(
                f"labels and predictions must be classes 0 to {self.classes - 1}, or labels {self.ignore} for ignored",
                found=f"{odd_labels} pixels with another label, {odd_guesses} with another prediction",
                do="check the table of ids: training and scoring must use the same classes",
            )
        return table[1:-1, 1:-1]

    def class_iou(self) -> Tensor:
        """Return [K] float64 in percent: intersection over union; nan for a class in neither truth nor prediction."""
        confusion = self.confusion()
        right = confusion.diagonal()
        return 100 * right.double() / (confusion.sum(0) + confusion.sum(1) - right)

    def class_accuracy(self) -> Tensor:
        """Return [K] float64 in percent: of each class's pixels, those predicted as it; nan where it has none."""
        confusion = self.confusion()
        return 100 * confusion.diagonal().double() / confusion.sum(1)

    def absent(self) -> list[int]:
        """Return the classes in neither truth nor prediction: nan in `class_iou`, left out of the mean."""
        return torch.nonzero(self.class_iou().isnan()).flatten().tolist()

    def scores(self) -> dict[str, float]:
        """Return `miou`, `pixel_accuracy` and `mean_accuracy` in percent; nan without a pixel that counts."""
        confusion = self.confusion()
        return {
            "miou": float(self.class_iou().nanmean()),
            "pixel_accuracy": float(100 * confusion.diagonal().sum().double() / confusion.sum()),
            "mean_accuracy": float(self.class_accuracy().nanmean()),
        }


def _row(ids: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    """Return 1 + id of each pixel as a new tensor of `dtype`; 0 for ids below 0, K + 1 for those of K or above."""
    if ids.element_size() > 2 and (ids.device.type != "cpu" or _is_wide(ids)):
        ids = ids.clamp(-1, classes)  # before it is narrowed, where a large id would come round as a small one
    return ids.to(dtype).clamp(-1, classes).add_(1)


def _is_wide(ids: Tensor) -> bool:
    """Tell whether an id does not fit into 16 bits; cheaper than `clamp`, but it waits for the device."""
    least, most = torch.aminmax(ids)
    return int(most) > _LARGEST_SHORT or int(least) < -_LARGEST_SHORT


def _histogram(codes: Tensor, bins: int) -> Tensor:
    """Return how often each of [0, bins) occurs in integer codes [N], int64 [bins]."""
    if codes.device.type == "cpu":
        return torch.bincount(codes, minlength=bins)
    # bincount looks at the largest code first, which waits for the device.
    codes = codes.long()
    return torch.zeros(bins, dtype=torch.int64, device=codes.device).index_add_(0, codes, torch.ones_like(codes))
