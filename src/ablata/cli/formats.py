"""`ablata data convert FOLDER --to yolo`: a set of one annotation tool's format written in another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablata.base.errors import DataError, SettingsError
from ablata.cli.console import note
from ablata.cli.named_data import boxes_recipe

TARGETS = ("yolo", "coco")


def convert_format(folder: str, to: str, output: Path | None, settings: Sequence[str]) -> None:
    """Write a folder of boxes, with masks where it has them, in another format.

    Args:
        folder: the source.
        to: one of `TARGETS`.
        output: the folder to make.
        settings: of how the source is read.

    Raises:
        SettingsError: there is no such format, or no folder to make.
        DataError: the source has no format that is known, or a fault that is refused.
    """
    from ablata.data.detection.files import DetectionFileSettings
    from ablata.data.formats.recognize import box_formats
    from ablata.data.formats.write_coco import write_coco
    from ablata.data.formats.write_yolo import write_yolo
    from ablata.data.formats.writing import convert_boxes
    from ablata.records.home import lab_home

    writers = {"yolo": write_yolo, "coco": write_coco}
    if to not in writers:
        raise SettingsError(f"--to must be one of {', '.join(TARGETS)}", found=f"--to {to}")
    if output is None:
        raise SettingsError("A conversion needs the folder to make", found="no --output", do="--output NEW_FOLDER")
    found = boxes_recipe(folder, list(settings))
    if found is None:
        raise DataError(
            f"What is converted must have boxes: {box_formats()}", found=f"{folder} has none of these formats"
        )
    recipe, words = found
    data = getattr(recipe, "data", None)
    assert isinstance(data, DetectionFileSettings)
    done = convert_boxes(data, lab_home() / "cache", output, writers[to])
    for notice in done.notices:
        note(notice)
    told = ", ".join(
        f"{split} {count:,} images with {done.objects[split]:,} objects" for split, count in done.images.items()
    )
    note(f"read: {words}\nwritten: {output} ({told})")
