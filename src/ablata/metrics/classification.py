"""Top-k accuracy, accuracy of each class, confusion matrix and mean cross-entropy of a classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


class ClassificationScores:
    """Top-k accuracy and confusion matrix: counts on the device, without waiting for it at any batch.

    Args:
        classes: K.
        ks: which top-k accuracies to count; those above K are left out.
        device: where the logits will be.
    """

    def __init__(self, classes: int, ks: Sequence[int] = (1, 5), device: torch.device | str = "cpu") -> None:
        self.classes = classes
        self.ks = tuple(k for k in ks if k <= classes)
        self._confusion = torch.zeros(classes * classes, dtype=torch.int64, device=device)
        self._hits = torch.zeros(len(self.ks), dtype=torch.int64, device=device)
        self._loss = torch.zeros((), dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Count a batch.

        Args:
            logits: [B, K] float.
            labels: [B] int64 in [0, K).
        """
        if len(labels) == 0:
            return
        logits = logits.float() if logits.element_size() < 4 else logits
        best = logits.topk(max(self.ks, default=1), dim=1).indices
        right = best == labels[:, None]
        self._hits += torch.stack([right[:, :k].sum() for k in self.ks]) if self.ks else 0
        self._confusion.index_add_(0, labels * self.classes + best[:, 0], torch.ones_like(labels))
        self._loss += F.cross_entropy(logits, labels, reduction="none").sum(dtype=torch.float64)

    def state(self) -> dict[str, Tensor]:
        """Return the sums: `confusion` [K * K] int64, `hits` [number of ks] int64, `loss` [] float64.

        Summed over processes and given to `load_state`, they are the sums of the joined data.
        """
        return {"confusion": self._confusion, "hits": self._hits, "loss": self._loss}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Replace the sums by those of `state`."""
        self._confusion, self._hits, self._loss = (state[name].clone() for name in ("confusion", "hits", "loss"))

    def confusion(self) -> Tensor:
        """Return [K, K] int64 counts, true classes in rows, predicted ones in columns."""
        return self._confusion.view(self.classes, self.classes)

    def class_accuracy(self) -> Tensor:
        """Return [K] float64 in percent: of each class's samples, those predicted as it; nan where it has none."""
        confusion = self.confusion()
        return 100 * confusion.diagonal().double() / confusion.sum(1)

    def absent(self) -> list[int]:
        """Return the classes without a sample."""
        return torch.nonzero(self.confusion().sum(1) == 0).flatten().tolist()

    def scores(self) -> dict[str, float]:
        """Return `top{k}` in percent for every k and `loss` in nats, means over all samples; nan without a sample."""
        samples = int(self._confusion.sum())
        if samples == 0:
            return {f"top{k}": float("nan") for k in self.ks} | {"loss": float("nan")}
        top = {f"top{k}": 100 * hits / samples for k, hits in zip(self.ks, self._hits.tolist(), strict=True)}
        return top | {"loss": float(self._loss) / samples}
