"""Annotation errors: what is wrong with boxes and masks, and what is done about it.

| found | `on_invalid=repair` | `on_invalid=refuse` |
|---|---|---|
| a box without area | left out | refused |
| a box that leaves the image | cut at the border; left out if nothing remains | refused |
| a mask without a pixel | left out with its box | refused |
| a number that two objects have | all objects of the file are numbered anew | refused |
| a category that the list lacks, a mask of another size than its image, an image that is missing or of another size,
a number that two images have | refused | refused |

An image without objects is no fault: it is trained and scored on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from ablata.base.errors import DataError
from ablata.data.detection.rle import areas
from ablata.structures.detection import Objects, Rle

OnInvalid = Literal["repair", "refuse"]

_SHOWN = 3


@dataclass
class Findings:
    """Collects annotation errors.

    Attributes:
        on_invalid: whether what can be repaired is.
        repaired: examples by what was done.
        refused: examples by what must hold.
    """

    on_invalid: OnInvalid
    repaired: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)

    def repairable(self, must: str, done: str, where: str) -> None:
        """Note a fault that is repaired, or refused where the setting says so.

        Args:
            must: what must hold.
            done: what the repair is.
            where: file and object.
        """
        target, key = (self.repaired, done) if self.on_invalid == "repair" else (self.refused, must)
        target.setdefault(key, []).append(where)

    def refuse(self, must: str, where: str) -> None:
        """Note a fault that nothing can repair."""
        self.refused.setdefault(must, []).append(where)

    def notices(self) -> tuple[str, ...]:
        """Return a sentence for each kind of repair.

        Raises:
            DataError: something is refused; names the first kind with examples, and counts the others.
        """
        for must, places in self.refused.items():
            others = len(self.refused) - 1
            raise DataError(
                must,
                found=_some(places) + (f"; and {others} other kinds of faults" if others else ""),
                do="correct the annotations"
                if self.on_invalid == "repair"
                else "correct them, or set data.on_invalid=repair",
            )
        return tuple(f"{done}: {_some(places)}" for done, places in self.repaired.items())


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


def checked_objects(
    where: str,
    size: tuple[int, int],
    boxes: np.ndarray,
    labels: Sequence[int],
    masks: Sequence[Rle] | None,
    ids: Sequence[int],
    crowd: Sequence[bool],
    findings: Findings,
) -> Objects:
    """Check the annotated objects of an image and return those that stand, after the policy of `Findings`.

    Args:
        where: the image's file, for messages.
        size: its height and width.
        boxes: float [N, 4], left, top, right, bottom as written.
        labels: N classes, already positions in the list.
        masks: N masks, or None.
        ids: N numbers.
        crowd: N flags.
        findings: where faults are noted.
    """
    height, width = size
    boxes = boxes.reshape(-1, 4).astype(np.float32)
    kept = np.ones(len(boxes), dtype=bool)
    cut = boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))
    for row, (box, inside) in enumerate(zip(boxes, cut, strict=True)):
        named = f"{where} object {ids[row]} {_written(box)}"
        if not (box[2] > box[0] and box[3] > box[1]):
            findings.repairable("Boxes must have an area", "boxes without area left out", named)
            kept[row] = False
        elif not (inside[2] > inside[0] and inside[3] > inside[1]):
            findings.repairable("Boxes must lie in the image", "boxes outside their image left out", named)
            kept[row] = False
        elif (box != inside).any():
            findings.repairable("Boxes must lie in the image", "boxes cut at the border of their image", named)
    if masks is not None:
        for row, mask in enumerate(masks):
            if mask.size != size:
                sides = f"mask {mask.size[0]}x{mask.size[1]}, image {height}x{width}"
                findings.refuse("Masks must have the size of their image", f"{where} object {ids[row]}: {sides}")
                kept[row] = False
        fitting: list[int] = np.flatnonzero(kept).tolist()
        for row, area in zip(fitting, areas([masks[row] for row in fitting]), strict=True):
            if not area:
                findings.repairable("Masks must have a pixel", "empty masks left out", f"{where} object {ids[row]}")
                kept[row] = False
    rows: list[int] = np.flatnonzero(kept).tolist()
    return Objects(
        torch.from_numpy(cut[rows]),
        torch.tensor([labels[row] for row in rows], dtype=torch.int64),
        None if masks is None else tuple(masks[row] for row in rows),
        torch.tensor([ids[row] for row in rows], dtype=torch.int64),
        torch.tensor([crowd[row] for row in rows], dtype=torch.bool),
    )


def _written(box: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"
