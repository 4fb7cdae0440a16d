"""Recognition of detection data sets by their folder layout."""

from __future__ import annotations

from pathlib import Path

from ablata.base.errors import DataError
from ablata.data.detection.coco import ChestXray, Coco
from ablata.data.detection.penn_fudan import PennFudan
from ablata.data.detection.voc import BloodCells

_BY_LAYOUT: tuple[type[ChestXray] | type[Coco] | type[PennFudan] | type[BloodCells], ...] = (
    ChestXray,
    Coco,
    PennFudan,
    BloodCells,
)


def recognize(root: str, cache: Path) -> str | None:
    """Return the kind of detection data set that a folder, or a zip, has the layout of; None: of none of them.

    Args:
        root: the folder or the zip.
        cache: where zips are unpacked.
    """
    for kind in _BY_LAYOUT:
        settings = kind(root=root)
        try:
            settings.locate(cache)
        except DataError:
            continue
        return settings.kind
    return None
