"""`ablata data convert FOLDER --to yolo`: a set of one annotation tool's format written in another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ablata.base.errors import DataError, SettingsError, suggestion
from ablata.base.quantities import counted
from ablata.cli.console import note
from ablata.cli.data.named import boxes_recipe, named_recipe

if TYPE_CHECKING:
    from ablata.data.formats.writing import Written

TARGETS = ("yolo", "coco", "masks")


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
    if to not in TARGETS:
        raise SettingsError(f"--to must be one of {', '.join(TARGETS)}", found=f"--to {to}", do=suggestion(to, TARGETS))
    if output is None:
        raise SettingsError("A conversion needs the folder to make", found="no --output", do="--output NEW_FOLDER")
    words, done = (_masks if to == "masks" else _boxes)(folder, to, output, settings)
    for notice in done.notices:
        note(notice)
    counts = ((split, count, done.objects.get(split)) for split, count in done.images.items())
    told = ", ".join(
        f"{split} {counted(images, 'image')}" + (f" with {counted(objects, 'object')}" if objects is not None else "")
        for split, images, objects in counts
    )
    note(f"read: {words}\nwritten: {output} ({told})")


def _boxes(folder: str, to: str, output: Path, settings: Sequence[str]) -> tuple[str, Written]:
    from ablata.base.home import lab_cache
    from ablata.data.detection.files import DetectionFileSettings
    from ablata.data.formats.recognize import box_formats
    from ablata.data.formats.write_coco import write_coco
    from ablata.data.formats.write_yolo import write_yolo
    from ablata.data.formats.writing import convert_boxes

    found = boxes_recipe(folder, list(settings))
    if found is None:
        must = f"What is converted must have boxes: {box_formats()}"
        raise DataError(
            must,
            found=f"{folder} has none of these formats",
            do="give the folder that holds these files",
        )
    recipe, words = found
    data = getattr(recipe, "data", None)
    assert isinstance(data, DetectionFileSettings)
    write = write_yolo if to == "yolo" else write_coco
    return words, convert_boxes(data, lab_cache(), output, write)


def _masks(folder: str, to: str, output: Path, settings: Sequence[str]) -> tuple[str, Written]:
    from ablata.base.home import lab_cache
    from ablata.data.formats.recognize import box_formats, recognize
    from ablata.data.formats.shapes import Shapes
    from ablata.data.formats.write_masks import convert_masks

    cache = lab_cache()
    found = next((one for one in recognize(folder, cache, ("segment",)) if one.kind == "shapes"), None)
    if found is None:
        must = f"What is painted must have polygons or masks of objects: {box_formats()}"
        raise DataError(must, found=f"{folder} has none of these formats",
                        do=f"label files are converted by a map: ablata data convert {folder} --map FILE --output NEW"
                        )  # fmt: skip
    data = getattr(named_recipe(found.kind, [*found.settings, *settings]), "data", None)
    assert isinstance(data, Shapes)
    return found.words, convert_masks(data, cache, output)
