"""A batch of images for classification, and what batch augmentation did to it.

Letters: B rows of the batch, C channels, H height, W width.
"""

from __future__ import annotations

import itertools
from dataclasses import Field, dataclass, replace
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

import torch
from torch import Tensor

MixingForm = Literal["labels", "losses"]


@dataclass(frozen=True)
class Rows:
    """Rows of the global batch that a batch holds; all processes share one global batch a step.

    Attributes:
        first: position in the global batch of this batch's first row; the rows are consecutive.
        total: rows of the global batch.
        keep: (start, stop) among the rows held here that remain after mixing; None: all of them. It is set where a
            process needs its neighbours' images to mix with.
    """

    first: int
    total: int
    keep: tuple[int, int] | None = None


class Batch(Protocol):
    """Base of batches: a frozen dataclass with images, sample ids and rows."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def images(self) -> Tensor:
        """Return [B, C, H, W]: uint8 in 0..255 as loaded, float32 normalized after augmentation."""

    @property
    def index(self) -> Tensor:
        """Return int64 [B], stable sample ids: row numbers in the split's source."""

    @property
    def rows(self) -> Rows:
        """Return which rows of the global batch these are."""

    def __len__(self) -> int:
        """Return B."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """Return the batch with every tensor on `device`."""


BatchT = TypeVar("BatchT", bound=Batch)


@dataclass(frozen=True)
class Mixing:
    """Mixup or CutMix of a batch: each row's partner and weight.

    Mixup: image = weight * own + (1 - weight) * partner. CutMix: a box of the partner covers the fraction 1 - weight.

    Attributes:
        labels_b: int64 [B], class of the partner, in [0, classes).
        partner_index: int64 [B], sample id of the partner.
        lam: float32 [B], weight of the row's own label, in [0, 1].
        mix_target: whether the loss is taken once against mixed labels, or twice and then mixed. The two are equal for
            losses that are linear in the target (cross-entropy) and differ for others.
    """

    labels_b: Tensor
    partner_index: Tensor
    lam: Tensor
    mix_target: MixingForm

    def targets(self, labels: Tensor, classes: int) -> Tensor:
        """Return mixed one-hot targets, float32 [B, classes], rows adding to one."""
        own = torch.nn.functional.one_hot(labels, classes).float()
        partner = torch.nn.functional.one_hot(self.labels_b, classes).float()
        return torch.lerp(partner, own, self.lam[:, None])

    def _at(self, rows: slice) -> Mixing:
        return Mixing(self.labels_b[rows], self.partner_index[rows], self.lam[rows], self.mix_target)


@dataclass(frozen=True)
class ImageBatch:
    """Images with one class each.

    Attributes:
        images: uint8 [B, C, H, W] in 0..255 as loaded; float32 normalized (mean 0, deviation 1 over the training set)
            after augmentation or `Dataset.prepare`.
        labels: int64 [B], in [0, classes).
        index: int64 [B], stable sample ids: row numbers in the split's source, the same in every run. Training and
            minival share one numbering, val has its own.
        rows: which rows of the global batch these are.
        mixing: what mixup or cutmix did; None: nothing.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    rows: Rows
    mixing: Mixing | None = None

    def __len__(self) -> int:
        """Return B."""
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> ImageBatch:
        """Return the batch with every tensor on `device`; `non_blocking` copies pinned memory in the background."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        mixing = self.mixing and replace(
            self.mixing,
            labels_b=moved(self.mixing.labels_b),
            partner_index=moved(self.mixing.partner_index),
            lam=moved(self.mixing.lam),
        )
        return replace(
            self, images=moved(self.images), labels=moved(self.labels), index=moved(self.index), mixing=mixing
        )

    def narrow(self, start: int, stop: int) -> ImageBatch:
        """Return rows `start` to `stop` (exclusive) as views, with their place in the global batch kept."""
        rows = slice(start, stop)
        return ImageBatch(
            self.images[rows],
            self.labels[rows],
            self.index[rows],
            Rows(self.rows.first + start, self.rows.total),
            self.mixing and self.mixing._at(rows),
        )

    def chunk(self, n: int) -> list[ImageBatch]:
        """Split into `n` consecutive micro-batches whose lengths differ by at most one.

        Raises:
            ValueError: `n` is not in [1, B], or rows wait to be dropped after mixing (augment first).
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"`n` must be in [1, {len(self)}] for a batch of {len(self)} rows, got {n}")
        if self.rows.keep is not None:
            raise ValueError("a batch with `rows.keep` set must be augmented before it is chunked")
        bounds = [len(self) * part // n for part in range(n + 1)]
        return [self.narrow(start, stop) for start, stop in itertools.pairwise(bounds)]
