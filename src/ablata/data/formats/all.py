"""The formats of boxes and masks that are read, in the order in which a folder is compared with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ablata.data.formats import (
    coco_files,
    cvat,
    instance_masks,
    label_studio,
    labelme,
    supervisely,
    voc_anywhere,
    yolo,
)
from ablata.data.formats.description import Described, Reading
from ablata.data.labels.class_lists import find_list

if TYPE_CHECKING:
    from ablata.data.formats.reading import ReadSet

FormatName = Literal[
    "yolo", "labelme", "cvat", "supervisely", "label_studio", "coco", "voc", "mask_files", "instance_numbers"
]


@dataclass(frozen=True)
class Format:
    """An annotation tool's format.

    Attributes:
        name: what `data.format` calls it.
        words: its files, in words.
        fits: tells whether a folder has it.
        classes: returns the classes that it lists, or that occur.
        describe: reads such a folder, noting every fault.
        measured: reads it where a format checks its own objects, in place of `describe`.
        has_masks: objects may have polygons or masks.
    """

    name: FormatName
    words: str
    fits: Callable[[Path], bool]
    classes: Callable[[Path], tuple[str, ...]]
    describe: Callable[[Path, Reading], Described] | None = None
    measured: Callable[[Path, Reading], ReadSet] | None = None
    has_masks: bool = True

    def read(self, folder: Path, reading: Reading) -> ReadSet:
        """Read a folder of the format.

        Raises:
            DataError: a file has no meaning as a whole; single faults are noted.
        """
        if self.describe is None:
            assert self.measured is not None
            return self.measured(folder, reading)
        from ablata.data.formats.reading import read_described

        return read_described(folder, self.describe(folder, reading), reading)


FORMATS: tuple[Format, ...] = (
    Format("yolo", "YOLO: images with labels/NAME.txt, and data.yaml or classes.txt", yolo.fits, yolo.class_names,
           yolo.describe),
    Format("supervisely", "Supervisely: meta.json, and img/NAME.jpg with ann/NAME.jpg.json", supervisely.fits,
           supervisely.class_names, supervisely.describe),
    Format("labelme", "labelme: NAME.json beside NAME.jpg", labelme.fits, labelme.class_names, labelme.describe),
    Format("cvat", "CVAT: annotations.xml (CVAT for images 1.1, or for video with its frames) with images", cvat.fits,
           cvat.class_names,
           cvat.describe),
    Format("label_studio", "Label Studio: a JSON of tasks with images", label_studio.fits, label_studio.class_names,
           label_studio.describe),
    Format("coco", "COCO: any number of JSON files with images, one for all among them", coco_files.fits,
           coco_files.class_names, measured=coco_files.read),
    Format("voc", "Pascal VOC: NAME.xml beside NAME.jpg, or Annotations with images of any ending",
           voc_anywhere.fits, voc_anywhere.class_names, voc_anywhere.describe, has_masks=False),
    Format("mask_files", "one mask an object: ID/images/ID.png with ID/masks/*.png (DSB2018)",
           instance_masks.fits_files, instance_masks.class_names, instance_masks.describe_files),
    Format("instance_numbers", "masks with one number an object, of 16 bits", instance_masks.fits_numbers,
           instance_masks.class_names, instance_masks.describe_numbers),
)  # fmt: skip


def format_of(folder: Path, with_masks: bool = False) -> Format | None:
    """Return the format that a folder has; None: none of them. Numbers that a class list names, or that tell
    classes themselves, are not of objects.

    Args:
        folder: it need not exist.
        with_masks: only formats are asked whose objects may have masks.
    """
    found = next((one for one in FORMATS if (one.has_masks or not with_masks) and one.fits(folder)), None)
    if found is None or found.name != "instance_numbers":
        return found
    return None if find_list(folder) is not None or instance_masks.tells_classes(folder) else found
