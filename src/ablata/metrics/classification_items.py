"""What a classifier got on each image: whether it was right, its cross-entropy and its margin."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


class ClassificationItems:
    """Collects single images' results on the device, without waiting for it at any batch.

    Args:
        classes: K; the top-5 hit is collected from five on.
    """

    def __init__(self, classes: int) -> None:
        self.ks = tuple(k for k in (1, 5) if k <= classes)
        self._rows: list[tuple[Tensor, Tensor]] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The columns: `top1`, `top5` (0 or 100, in percent), `loss` in nats, `margin` in -1..1."""
        return (*(f"top{k}" for k in self.ks), "loss", "margin")

    @torch.no_grad()
    def update(self, logits: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take a batch.

        The margin is the probability of the true class less that of the likeliest other one.

        Args:
            logits: [B, K] float.
            labels: [B] int64 in [0, K).
            index: [B] int64, which images they are.
        """
        if len(labels) == 0:
            return
        logits = logits.float() if logits.element_size() < 4 else logits
        best = logits.topk(max(self.ks, default=1), dim=1).indices == labels[:, None]
        probabilities = logits.softmax(1)
        own = probabilities.gather(1, labels[:, None])
        others = probabilities.scatter(1, labels[:, None], 0.0).amax(1)
        columns = [
            *(100.0 * best[:, :k].any(1) for k in self.ks),
            F.cross_entropy(logits, labels, reduction="none"),
            own[:, 0] - others,
        ]
        self._rows.append((index, torch.stack([column.float() for column in columns], dim=1)))

    def gathered(self, all_gather: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the images of all processes, int64 [N], rising, and their values, float32 [N, columns].

        Args:
            all_gather: joins the rows of all processes, as `ProcessGroup.all_gather` does.
            device: where they are joined.
        """
        empty = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, len(self.names)))
        parts = self._rows or [empty]
        index, values = (all_gather(torch.cat([part[place].to(device) for part in parts])).cpu() for place in range(2))
        order = index.argsort()
        return index[order], values[order]
