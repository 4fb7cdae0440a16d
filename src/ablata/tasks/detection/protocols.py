"""Named ways to score a detector: overlaps from which a detection is a hit, and how many boxes are proposed.

ap01    average precision at an overlap of 0.01: found anywhere near
ap50    at 0.50; any two digits from 01 to 99 are such a name
coco    the mean over 0.50, 0.55, ..., 0.95, with 0.50 and 0.75 apart and by size
ap50@1000   the same with so many proposed boxes, of which relations see as many as their settings say
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ablata.base.errors import SettingsError
from ablata.metrics.average_precision import COCO_THRESHOLDS

NAMES = ("ap01", "ap50", "coco", "ap50@64", "ap50@128", "ap50@512", "ap50@1000")
"""Those that lists show; others of the same form are understood."""
_FORM = re.compile(r"(?:ap(?P<percent>\d\d)|coco)(?:@(?P<boxes>[1-9]\d*))?")


@dataclass(frozen=True)
class DetectionProtocol:
    """A way to score.

    Attributes:
        thresholds: overlaps.
        boxes: proposed in testing; None: as the model's settings say.
        by_size: whether scores of small, medium and large objects are given.
    """

    thresholds: tuple[float, ...]
    boxes: int | None
    by_size: bool


def is_protocol(name: str) -> bool:
    """Tell whether a name is one of ours, and not that of a user's function."""
    return _FORM.fullmatch(name) is not None


def detection_protocol(name: str) -> DetectionProtocol:
    """Return the protocol of a name.

    Raises:
        SettingsError: it is none.
    """
    found = _FORM.fullmatch(name)
    if found is None or found["percent"] == "00":
        raise SettingsError(
            "A protocol of detection must be apNN (an overlap in percent, from 01 to 99) or coco, perhaps with @BOXES",
            found=name,
            do="for example ap01, ap50, coco, ap50@1000",
        )
    boxes = int(found["boxes"]) if found["boxes"] else None
    if found["percent"] is None:
        return DetectionProtocol(COCO_THRESHOLDS, boxes, by_size=True)
    return DetectionProtocol((int(found["percent"]) / 100,), boxes, by_size=False)
