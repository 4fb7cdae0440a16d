"""Recognition of detection data sets by their folder layout, with the settings that read them.

A folder of another kind is told without torch: the sets themselves, which need it, are imported where one fits.
"""

from __future__ import annotations

from pathlib import Path

from ablata.base.errors import DataError
from ablata.data.detection.layouts import LAYOUTS, has_boxes
from ablata.data.loading.locate import find_root


def recognize(root: str, cache: Path) -> tuple[str, list[str]] | None:
    """Return the kind of detection set that a folder, or a zip, has the layout of, and its settings; None: of none.

    Args:
        root: the folder or the zip.
        cache: where zips are unpacked.

    Raises:
        DataError: annotations that were found cannot be read, or are YOLO's.
    """
    _refuse_yolo(Path(root).expanduser())
    try:
        folder = find_root(root, default=None, fits=has_boxes, layout="", cache=cache)
    except DataError:
        return None
    from ablata.data.detection.coco import ChestXray, Coco
    from ablata.data.detection.penn_fudan import PennFudan
    from ablata.data.detection.voc import BloodCells, Voc

    for kind in (ChestXray, Coco, PennFudan, BloodCells, Voc):
        if kind.recognizes(folder):
            told = [f"data.{setting}" for setting in kind.layout_settings(folder)]
            return kind().kind, [f"data.root={root}", *told]
    return None


def _refuse_yolo(folder: Path) -> None:
    """Say that a folder of images beside text files of boxes is YOLO's, before it is taken for one without labels."""
    labels = folder / "labels"
    if (folder / "images").is_dir() and labels.is_dir() and next(labels.rglob("*.txt"), None) is not None:
        raise DataError(
            f"Boxes must be in one of these layouts: {LAYOUTS}",
            found=f"{folder} has YOLO's, images beside labels/*.txt",
            do="export the set as COCO's JSON, with boxes in pixels",
        )
