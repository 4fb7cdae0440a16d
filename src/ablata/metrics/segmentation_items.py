"""What a segmenter got on each image, so that its mean is the score: the linear parts of mean IoU and pixel accuracy.

Mean IoU is a ratio of sums over all images, of which no image has a part of its own. To first order it has: with
intersections I and unions U of class c in image i and their sums over the m images,

    value_i = mIoU + m / K * sum_c (I_ic - IoU_c * U_ic) / sum_i U_ic,

whose mean is mIoU exactly, and whose variance over images is that of mIoU (the delta method; the infinitesimal
jackknife of Jaeckel 1972). Likewise pixel accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ablata.metrics.segmentation import histogram


class SegmentationItems:
    """Collects counts of single images on the device, without waiting for it at any batch.

    Args:
        classes: K.
        ignore: label of the pixels that do not count.
    """

    def __init__(self, classes: int, ignore: int = 255) -> None:
        self.classes, self.ignore = classes, ignore
        self._rows: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def update(self, predicted: Tensor, labels: Tensor, index: Tensor) -> None:
        """Count a batch.

        Args:
            predicted: [B, H, W] integers in [0, K).
            labels: [B, H, W] integers in [0, K), or `ignore`.
            index: [B] int64, which images they are.
        """
        bins = self.classes + 1
        counted = (labels != self.ignore).flatten(1)
        own, found = labels.flatten(1).long(), predicted.flatten(1).long()
        first = bins * torch.arange(len(labels), device=labels.device)[:, None]
        # What does not count goes into a bin of its own, so that no pixel has to be selected.
        pairs = ((own, counted & (own == found)), (own, counted), (found, counted))
        codes = [torch.where(taken, ids, self.classes) for ids, taken in pairs]
        counts = [histogram((first + ids).flatten(), bins * len(labels)).view(-1, bins)[:, :-1] for ids in codes]
        self._rows.append((index, torch.stack(counts, dim=1)))

    def gathered(self, all_gather: Callable[[Tensor], Tensor], device: torch.device) -> tuple[Tensor, Tensor]:
        """Return the images of all processes, int64 [N], rising, and their counts, int64 [N, 3, K]: right pixels, those
        of the class, those predicted as it."""
        empty = (torch.zeros(0, dtype=torch.int64), torch.zeros(0, 3, self.classes, dtype=torch.int64))
        parts = self._rows or [empty]
        index, counts = (all_gather(torch.cat([part[place].to(device) for part in parts])).cpu() for place in range(2))
        order = index.argsort()
        return index[order], counts[order]


def item_values(counts: Tensor) -> Mapping[str, Tensor]:
    """Return the values of each image in percent, float64 [N]: `miou`, `pixel_accuracy`, and `image_iou`, the mean IoU
    of the image alone over the classes that are in it or predicted (100 where it has no pixel that counts).

    Args:
        counts: int64 [N, 3, K], as `gathered` returns.
    """
    right, own, found = counts.double().unbind(1)
    union = own + found - right
    total = union.sum(0)
    seen = total > 0
    iou = right.sum(0)[seen] / total[seen]
    parts = (right[:, seen] - iou * union[:, seen]) / total[seen]
    mean_iou = iou.mean() + len(counts) * parts.sum(1) / seen.sum()
    pixels, hits = own.sum(1), right.sum(1)
    accuracy = hits.sum() / pixels.sum()
    pixel_accuracy = accuracy + len(counts) * (hits - accuracy * pixels) / pixels.sum()
    alone = torch.where(union > 0, right / union.clamp(min=1), torch.nan).nanmean(1).nan_to_num(1.0)
    return {"miou": 100 * mean_iou, "pixel_accuracy": 100 * pixel_accuracy, "image_iou": 100 * alone}
