"""Memory bank of the contrastive loss: pixels and regions of earlier batches, in one queue a class.

Each class has a queue: the newest vectors push out the oldest. A region is the mean of a class's pixels in an image.

Source: Wang et al. 2021, arXiv 2101.11939, section 3.3 (memory bank). Unlike in its code a queue moves on by as many as
came, holds its own class alone (class 0 too, never ignored pixels), and is empty at first, not full of noise.

Letters: B images, P pixels of an image, D width of the embedding, K classes, T length of a queue, N new vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ablata.base.settings import Settings


class SemiHard(Settings):
    """Semi-hard example sampling: for each anchor a random choice from the nearest negatives and the farthest positives
    of the memory bank (section 3.3 of the paper; not in its code)."""

    kind: Literal["semi_hard"] = "semi_hard"
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Fraction of the memory's positives, and of its negatives, that counts as hard."""
    positives: Annotated[int, Field(ge=1)] = 1024
    """Most positives drawn from them."""
    negatives: Annotated[int, Field(ge=1)] = 2048
    """Most negatives drawn from them."""


class MemoryBank(Settings):
    """Memory bank: queues of earlier pixels and regions. Those of all processes enter all queues, which stay equal."""

    kind: Literal["memory_bank"] = "memory_bank"
    pixels: Annotated[int, Field(ge=0)] = 1000
    """Pixels remembered of each class; 0: none. The published code has 5,000 of both; cost grows with them."""
    regions: Annotated[int, Field(ge=0)] = 500
    """Regions remembered of each class; 0: none. The paper has as many as there are training images."""
    per_image: Annotated[int, Field(ge=1)] = 10
    """Pixels of each class that an image adds, drawn at random, or all it has."""
    mining: SemiHard | None = None
    """Use the hard part of the memory alone; null: all of it."""


class ClassQueues:
    """One queue of unit vectors for each class.

    Args:
        classes: K.
        length: T.
        width: D.
        device: where they are.
    """

    def __init__(self, classes: int, length: int, width: int, device: torch.device | str = "cpu") -> None:
        self.classes, self.length = classes, length
        # One class and one slot more take what is not to be kept, so that a GPU need not be waited for.
        self._vectors = torch.zeros(classes + 1, length, width, device=device)
        self._added = torch.zeros(classes + 1, dtype=torch.int64, device=device)

    @property
    def filled(self) -> Tensor:
        """Return int64 [K], how many vectors each queue holds."""
        return self._added[:-1].clamp(max=self.length)

    def content(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return vectors float32 [K T, D], their classes int64 [K T], and bool [K T], which slots are filled."""
        slot = torch.arange(self.length, device=self._vectors.device)
        held = slot < self.filled[:, None]
        classes = torch.arange(self.classes, device=slot.device)[:, None].expand_as(held)
        return self._vectors[:-1].flatten(0, 1), classes.flatten(), held.flatten()

    def oldest_first(self, label: int) -> Tensor:
        """Return one class's vectors, float32 [n, D], in the order in which they came."""
        added, length = int(self._added[label]), self.length
        return self._vectors[label, : min(added, length)].roll(-(added % length) if added > length else 0, 0)

    @torch.no_grad()
    def add(self, vectors: Tensor, labels: Tensor) -> None:
        """Let vectors in, one after the other; of more than T of a class the last T stay.

        Args:
            vectors: [N, D], of any length but 0; they are scaled to 1.
            labels: int64 [N]; those outside [0, K) are not kept.
        """
        labels = torch.where((labels >= 0) & (labels < self.classes), labels, self.classes)
        counts = torch.zeros_like(self._added).index_add_(0, labels, torch.ones_like(labels))
        order = labels.argsort(stable=True)
        sorted_labels = labels[order]
        rank = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[sorted_labels]
        last = rank >= counts[sorted_labels] - self.length
        row = torch.where(last, sorted_labels, self.classes)
        slot = (self._added[sorted_labels] + rank) % self.length
        self._vectors[row, slot] = F.normalize(vectors.float()[order], dim=1)
        self._added += counts

    def state(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        return {"vectors": self._vectors[:-1], "added": self._added[:-1]}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `state` returned.

        Raises:
            ValueError: it is of queues of other sizes.
        """
        if state["vectors"].shape != self._vectors[:-1].shape:
            found, own = tuple(state["vectors"].shape), tuple(self._vectors[:-1].shape)
            raise ValueError(f"queues must be of shape {own} (classes, length, width), got {found}")
        self._vectors[:-1].copy_(state["vectors"])
        self._added[:-1].copy_(state["added"])


def mean_regions(pixels: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Return the mean of the unit vectors of each class in each image.

    Args:
        pixels: [B, P, D], unit vectors.
        labels: int64 [B, P]; those outside [0, K) belong to no region.
        classes: K.

    Returns:
        float32 [B K, D], and their classes int64 [B K], -1 where an image has none of a class.
    """
    members = (labels[:, None] == torch.arange(classes, device=labels.device)[:, None]).to(pixels.dtype)
    means = (members @ pixels).float() / members.sum(2, keepdim=True).clamp(min=1)
    present = members.any(2)
    own = torch.arange(classes, device=labels.device).expand(len(labels), -1)
    return means.flatten(0, 1), torch.where(present, own, -1).flatten()
