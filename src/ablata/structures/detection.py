"""Object detection: ground truth, detections, and batches of images with objects.

Letters: B rows of the batch, C channels, H height, W width, N objects or detections of an image.
Boxes are left, top, right, bottom in pixels, half open, from the upper left corner.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablata.structures.batch import Rows


@dataclass(frozen=True)
class Rle:
    """Run-length encoding (RLE) of a mask, compressed as COCO does.

    Attributes:
        size: height and width in pixels.
        counts: the packed run lengths.
    """

    size: tuple[int, int]
    counts: bytes

    def as_dict(self) -> dict[str, object]:
        """Return the form that COCO's evaluators read."""
        return {"size": list(self.size), "counts": self.counts}


@dataclass(frozen=True)
class Objects:
    """Ground truth of one image: boxes, labels, masks.

    Attributes:
        boxes: float32 [N, 4], right > left and bottom > top, inside the image.
        labels: int64 [N], in [0, classes).
        masks: bool [N, H, W]; run lengths, one an object; or None where the data has boxes alone.
        ids: int64 [N], stable numbers of the objects, each once in a data set.
        crowd: bool [N], regions with many objects and objects that are too hard to call: ignored, so neither missed nor
            wrong in scores.
        ignored: float32 [M, 4], boxes of such regions where they are no objects: a batch for training has them here,
            and what lies on them is neither positive nor negative. None: there are none.
    """

    boxes: Tensor
    labels: Tensor
    masks: Tensor | tuple[Rle, ...] | None
    ids: Tensor
    crowd: Tensor
    ignored: Tensor | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Objects:
        """Return the objects with every tensor on `device`."""

        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        masks = moved(self.masks) if isinstance(self.masks, Tensor) else self.masks
        ignored = None if self.ignored is None else moved(self.ignored)
        return Objects(moved(self.boxes), moved(self.labels), masks, moved(self.ids), moved(self.crowd), ignored)

    def at(self, rows: Tensor) -> Objects:
        """Return some of the objects, chosen by a mask bool [N] or row numbers."""
        if isinstance(self.masks, tuple):
            numbers = torch.arange(len(self))[rows.cpu()].tolist()
            masks: Tensor | tuple[Rle, ...] | None = tuple(self.masks[number] for number in numbers)
        else:
            masks = None if self.masks is None else self.masks[rows]
        return Objects(self.boxes[rows], self.labels[rows], masks, self.ids[rows], self.crowd[rows], self.ignored)

    def without_crowd(self) -> Objects:
        """Return the objects as training takes them: crowd regions are no objects, and their boxes ignored."""
        if not bool(self.crowd.any()):
            return self
        return replace(self.at(~self.crowd), ignored=self.boxes[self.crowd])


def no_objects(masks: bool = False) -> Objects:
    """Return the ground truth of an image without objects; with `masks`, an empty tuple of them."""
    return Objects(
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        () if masks else None,
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, dtype=torch.bool),
    )


@dataclass(frozen=True)
class Detections:
    """Detections of one image, by falling score.

    Attributes:
        boxes: float32 [N, 4], in pixels of the original image.
        labels: int64 [N], in [0, classes).
        scores: float32 [N], in [0, 1].
        masks: run lengths, one a detection; None where the detector has none.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    masks: tuple[Rle, ...] | None = None

    def __len__(self) -> int:
        """Return N."""
        return len(self.labels)


@dataclass(frozen=True)
class DetectionBatch:
    """Images with their objects.

    Attributes:
        images: uint8 [B, C, H, W] in 0..255 as loaded; float32 normalised after augmentation or for evaluation. A
            image lies at the upper left; what is beside it is black, or 0 after normalisation.
        sizes: int64 [B, 2], height and width of each image in the batch.
        originals: int64 [B, 2], height and width of each image as it is stored.
        objects: of each image; boxes and masks in pixels of the batch.
        index: int64 [B], stable sample ids: row numbers in the split's source, the same in every run.
        rows: which rows of the global batch these are.
    """

    images: Tensor
    sizes: Tensor
    originals: Tensor
    objects: tuple[Objects, ...]
    index: Tensor
    rows: Rows

    def __len__(self) -> int:
        """Return B."""
        return len(self.index)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> DetectionBatch:
        """Return the batch with every tensor on `device`; `non_blocking` copies pinned memory in the background."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            objects=tuple(target.to(device, non_blocking) for target in self.objects),
        )

    def narrow(self, start: int, stop: int) -> DetectionBatch:
        """Return rows `start` to `stop` (exclusive) as views, with their place in the global batch kept."""
        rows = slice(start, stop)
        global_rows = Rows(self.rows.first + start, self.rows.total)
        return DetectionBatch(
            self.images[rows], self.sizes[rows], self.originals[rows], self.objects[rows], self.index[rows], global_rows
        )

    def chunk(self, n: int) -> list[DetectionBatch]:
        """Split into `n` consecutive micro-batches whose lengths differ by at most one.

        Raises:
            ValueError: `n` is not in [1, B].
        """
        if not 1 <= n <= len(self):
            raise ValueError(f"`n` must be in [1, {len(self)}] for a batch of {len(self)} rows, got {n}")
        bounds = [len(self) * part // n for part in range(n + 1)]
        return [self.narrow(start, stop) for start, stop in itertools.pairwise(bounds)]


def joined(images: Sequence[Tensor], stride: int = 1) -> tuple[Tensor, Tensor]:
    """Collate images of several sizes into one batch, padded with 0.

    Args:
        images: [C, h, w] each, of one type.
        stride: H and W are multiples of it.

    Returns:
        [B, C, H, W] with zeros beside the images, and their sizes, int64 [B, 2].
    """
    sizes = torch.tensor([list(image.shape[-2:]) for image in images])
    height, width = (-(-int(side) // stride) * stride for side in sizes.amax(0))
    batch = images[0].new_zeros(len(images), images[0].shape[0], height, width)
    for row, image in zip(batch, images, strict=True):
        row[:, : image.shape[-2], : image.shape[-1]] = image
    return batch, sizes
