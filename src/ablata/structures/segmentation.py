"""A batch of images with a class for each pixel.

Letters: B rows of the batch, C channels, H height, W width.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablata.structures.batch import Rows
from ablata.structures.ignore import IGNORE as IGNORE


@dataclass(frozen=True)
class SegmentationBatch:
    """Images with label maps.

    Attributes:
        images: uint8 [B, C, H, W] in 0..255 as loaded; float32 normalised after augmentation or for evaluation.
        labels: uint8 [B, H, W], in [0, classes) or `IGNORE`; also where an image is smaller than the batch.
        sizes: int64 [B, 2], height and width of each image, which lies at the top left.
        index: int64 [B], stable sample ids: row numbers in the split's source, the same in every run. Training and
            minival share one numbering, val has its own.
        rows: which rows of the global batch these are.
    """

    images: Tensor
    labels: Tensor
    sizes: Tensor
    index: Tensor
    rows: Rows

    def __len__(self) -> int:
        """Return B."""
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SegmentationBatch:
        """Return the batch with every tensor on `device`; `non_blocking` copies pinned memory in the background."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=non_blocking)
            for name in ("images", "labels", "sizes", "index")
        }
        return replace(self, **moved)

    def narrow(self, start: int, stop: int) -> SegmentationBatch:
        """Return rows `start` to `stop` (exclusive) as views, with their place in the global batch kept."""
        rows = slice(start, stop)
        global_rows = Rows(self.rows.first + start, self.rows.total)
        return SegmentationBatch(self.images[rows], self.labels[rows], self.sizes[rows], self.index[rows], global_rows)

    def chunk(self, n: int) -> list[SegmentationBatch]:
        """Split into `n` consecutive micro-batches whose lengths differ by at most one.

        Raises:
            ValueError: `n` is not in [1, B].
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"`n` must be in [1, {len(self)}] for a batch of {len(self)} rows, got {n}")
        bounds = [len(self) * part // n for part in range(n + 1)]
        return [self.narrow(start, stop) for start, stop in itertools.pairwise(bounds)]
