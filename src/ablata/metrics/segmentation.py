"""Mean IoU, pixel accuracy and mean class accuracy, from one confusion matrix of all pixels.

Letters: K classes, B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ablata.base.errors import DataError

_LARGEST_SHORT = torch.iinfo(torch.int16).max
_PIECE = 2**16
"""Pixels counted at once on the processor: their codes stay in its cache."""


class SegmentationScores:
    """Confusion matrix of pixels, in int64 on the device, without waiting for it at any batch.

    Counts are added up over all images before anything is divided, so scores do not depend on batches or processes.

    Args:
        classes: K.
        ignore: label of the pixels that do not count, in [-256, 65535].
        device: where the predictions will be.

    Raises:
        ValueError: `ignore` lies elsewhere.
    """

    def __init__(self, classes: int, ignore: int = 255, device: torch.device | str = "cpu") -> None:
        if not -256 <= ignore <= 65535:
            raise ValueError(f"`ignore` must be in [-256, 65535], got {ignore}")
        self.classes, self.ignore = classes, ignore
        # One row for each label between the classes and the ignored one, and a row and a column more on either side
        # take in whatever is no class, so that a pixel costs no selection.
        self._least, self._most = min(-1, ignore - 1), max(classes, ignore + 1)
        self._counts = torch.zeros((self._most - self._least + 1) * (classes + 2), dtype=torch.int64, device=device)

    @torch.no_grad()
    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch.

        Args:
            predicted: [B, H, W] integers in [0, K), the predicted class of each pixel.
            labels: [B, H, W] integers in [0, K), or `ignore`.

        Raises:
            ValueError: the shapes differ.
        """
        if predicted.shape != labels.shape:
            raise ValueError(
                f"predictions and labels must have one shape, got {[*predicted.shape]} and {[*labels.shape]}"
            )
        if not labels.numel():
            return
        dtype = torch.int16 if len(self._counts) <= _LARGEST_SHORT else torch.int32
        columns = self.classes + 2
        piece = _PIECE if labels.device.type == "cpu" else labels.numel()
        pieces = (torch.split(ids.flatten(), piece) for ids in (predicted, labels))
        for guess, truth in zip(*pieces, strict=True):
            row, column = _within(truth, self._least, self._most, dtype), _within(guess, -1, self.classes, dtype)
            code = column.add_(row, alpha=columns).add_(1 - self._least * columns)
            self._counts += histogram(code, len(self._counts))

    def state(self) -> dict[str, Tensor]:
        """Return the sums: `counts`, int64 of one axis.

        Summed over processes and given to `load_state`, they are the sums of the joined data.
        """
        return {"counts": self._counts}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by those of `state`."""
        self._counts = state["counts"].clone()

    def confusion(self) -> Tensor:
        """Return [K, K] int64 counts, true classes in rows, predicted ones in columns.

        Raises:
            DataError: a label is neither a class nor `ignore`, or a prediction is no class.
        """
        table = self._counts.view(-1, self.classes + 2).clone()
        table[self.ignore - self._least] = 0
        classes = table[-self._least :][: self.classes]
        odd_labels = int(table.sum() - classes.sum())
        odd_guesses = int(classes[:, 0].sum() + classes[:, -1].sum())
        if odd_labels or odd_guesses:
            raise DataError(
                f"labels and predictions must be classes 0 to {self.classes - 1}, or labels {self.ignore} for ignored",
                found=f"{odd_labels} pixels with another label, {odd_guesses} with another prediction",
                do="check the table of ids: training and scoring must use the same classes",
            )
        return classes[:, 1:-1]

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


def _within(ids: Tensor, least: int, most: int, dtype: torch.dtype) -> Tensor:
    """Return ids as a new tensor of `dtype`, those outside of `least` to `most` at the nearer end."""
    if ids.element_size() > dtype.itemsize:  # before it is narrowed, where a large id would come round as a small one
        return ids.clamp(least, most).to(dtype)
    return ids.to(dtype).clamp(least, most)


def histogram(codes: Tensor, bins: int) -> Tensor:
    """Return how often each of [0, bins) occurs in integer codes [N], int64 [bins]."""
    if codes.device.type == "cpu":
        return torch.bincount(codes, minlength=bins)
    # bincount looks at the largest code first, which waits for the device.
    codes = codes.long()
    return torch.zeros(bins, dtype=torch.int64, device=codes.device).index_add_(0, codes, torch.ones_like(codes))
