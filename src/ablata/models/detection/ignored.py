"""Boxes on ignored regions: crowds, and objects that are too hard to call, are neither positive nor negative.

An anchor or a proposal that is no object's and lies for the most part on such a region is left out of the loss, as in
mmdetection's `ignore_iof_thr` and, for crowds, in COCO's evaluation: overlap is the intersection over the box's own
area, for the region may be far larger.

Shapes: n boxes of an image, m ignored regions.

    labels [n]     boxes [n, 4]     ignored [m, 4]     left, top, right, bottom in pixels
"""

from __future__ import annotations

import torch
from torch import Tensor

from ablata.structures.detection import Objects

IGNORED = -1
"""Label of a box that is left out of the loss."""
_COVERED = 0.5
"""Fraction of a box's area on a region from which it is ignored."""


def ignore_covered(labels: Tensor, boxes: Tensor, objects: Objects) -> Tensor:
    """Return labels [n], 0 for the background, with `IGNORED` for background boxes [n, 4] on an ignored region."""
    if objects.ignored is None or not len(objects.ignored):
        return labels
    low = torch.maximum(boxes[:, None, :2], objects.ignored[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], objects.ignored[None, :, 2:])
    common = (high - low).clamp(min=0).prod(2).amax(1)
    covered = common >= _COVERED * (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1e-6)
    return torch.where((labels == 0) & covered, IGNORED, labels)
