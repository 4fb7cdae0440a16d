"""The objects of one image that stand: those with an area in the image, after the policy of `Findings`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ablata.data.detection.problems import Findings, written
from ablata.data.detection.rle import areas
from ablata.structures.detection import Objects, Rle


def checked_objects(
    where: str,
    size: tuple[int, int],
    boxes: np.ndarray,
    labels: Sequence[int],
    masks: Sequence[Rle] | None,
    ids: Sequence[int],
    crowd: Sequence[bool],
    findings: Findings,
    names: Sequence[str] | None = None,
) -> Objects:
    """Check the annotated objects of an image and return those that stand, after the policy of `Findings`.

    Args:
        where: the image's file, for messages.
        size: its height and width.
        boxes: float [N, 4], left, top, right, bottom as written.
        labels: N classes, already positions in the list.
        masks: N masks as high and wide as the image, or None.
        ids: N numbers.
        crowd: N flags.
        findings: where faults are noted.
        names: what messages call each; None: by `where` and number.
    """
    names = names or [f"{where} object {number}" for number in ids]
    height, width = size
    boxes = boxes.reshape(-1, 4).astype(np.float32)
    kept = np.ones(len(boxes), dtype=bool)
    cut = boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))
    for row, (box, inside) in enumerate(zip(boxes, cut, strict=True)):
        named = f"{names[row]} {written(box.tolist())}"
        if not (box[2] > box[0] and box[3] > box[1]):
            findings.repairable("Every box must have an area", "boxes without area left out", named)
            kept[row] = False
        elif not (inside[2] > inside[0] and inside[3] > inside[1]):
            findings.repairable("Every box must lie in the image", "boxes outside their image left out", named)
            kept[row] = False
        elif (box != inside).any():
            findings.repairable("Every box must lie in the image", "boxes cut at the border of their image", named)
    if masks is not None:
        fitting: list[int] = np.flatnonzero(kept).tolist()
        for row, area in zip(fitting, areas([masks[row] for row in fitting]), strict=True):
            if not area:
                findings.repairable("Every mask must have a pixel", "empty masks left out", names[row])
                kept[row] = False
    rows: list[int] = np.flatnonzero(kept).tolist()
    return Objects(
        torch.from_numpy(cut[rows]),
        torch.tensor([labels[row] for row in rows], dtype=torch.int64),
        None if masks is None else tuple(masks[row] for row in rows),
        torch.tensor([ids[row] for row in rows], dtype=torch.int64),
        torch.tensor([crowd[row] for row in rows], dtype=torch.bool),
    )
