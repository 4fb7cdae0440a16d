"""Faults of annotations: what is repaired, what is refused, and how both are told.

The rule: what has one meaning is repaired, what holds nothing is left out, everything else is refused. Each fault is
told with the file, the annotation, the field and its value. docs/howto/boxes.md has the whole table.

An image without objects is no fault: it is trained and scored on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from ablata.base.errors import DataError, listing
from ablata.data.detection.rle import areas
from ablata.structures.detection import Objects, Rle

OnInvalid = Literal["repair", "refuse"]

_SHOWN = 3


@dataclass(frozen=True)
class AnnotationFault:
    """A fault of an annotation or an image file.

    Attributes:
        kind: what must hold, or what was done about it.
        where: file, annotation, field and value.
        repaired: training goes on without it; else it is refused.
    """

    kind: str
    where: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


@dataclass
class Findings:
    """Collects faults.

    Attributes:
        on_invalid: whether what can be repaired is.
        repaired: examples by what was done.
        refused: examples by what must hold.
        remarks: what is worth knowing, and no fault.
    """

    on_invalid: OnInvalid
    repaired: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

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

    def remark(self, text: str) -> None:
        """Note what is no fault and worth knowing."""
        self.remarks.append(text)

    def all(self) -> Iterator[AnnotationFault]:
        """Yield every fault, those that are refused first."""
        for must, places in self.refused.items():
            yield from (AnnotationFault(must, where) for where in places)
        for done, places in self.repaired.items():
            yield from (AnnotationFault(done, where, repaired=True) for where in places)

    def notices(self) -> tuple[str, ...]:
        """Return a sentence for each kind of repair.

        Raises:
            DataError: something is refused; names the first kind with examples, and counts the others.
        """
        for must, places in self.refused.items():
            others = [other for other in self.refused if other != must]
            more = f"; and {len(others)} other kinds of faults: {listing(others[:_SHOWN])}"
            raise DataError(
                must,
                found=_some(places) + (more if others else ""),
                do="correct the annotations (ablata data check lists every fault)"
                if self.on_invalid == "repair"
                else "correct them, or set data.on_invalid=repair",
            )
        return (*(f"{done}: {_some(places)}" for done, places in self.repaired.items()), *self.remarks)


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


def written(numbers: Sequence[float]) -> str:
    """Return numbers as a message shows them: `[1, 2.5]`."""
    return "[" + ", ".join(f"{value:g}" for value in numbers) + "]"
