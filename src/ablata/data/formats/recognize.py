"""Recognition of a folder: which format it has, for which task, and the settings that read it.

    for found in recognize("cells", cache):
        found.task, found.kind, found.settings    # "detect", "boxes", ("data.root=cells", "data.format=yolo", ...)

The first answer is what the folder most likely is; others are further ways to train on it, such as masks for
segmentation from the polygons of objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablata.base.errors import DataError
from ablata.data.detection.layouts import LAYOUTS, coco_files, has_boxes, has_instance_masks, voc_classes, voc_lists
from ablata.data.formats.all import FORMATS, Format, format_of
from ablata.data.io.decode import IMAGE_SUFFIXES
from ablata.data.io.walk import files_under
from ablata.data.labels.class_lists import find_list, read_list
from ablata.data.labels.layout import BESIDE, list_labelled, masks_beside
from ablata.data.loading.locate import find_root
from ablata.data.reid.layouts import MARKET, NAMED, is_market, is_named

FolderTask = Literal["reidentify", "detect", "segment", "classify"]
TASKS: tuple[FolderTask, ...] = ("reidentify", "detect", "segment", "classify")
"""In the order in which a folder is compared with their formats."""


@dataclass(frozen=True)
class Recognized:
    """A way to train on a folder.

    Attributes:
        format: the format's name: yolo, coco, voc, mask_folder, image_folder ...
        words: the format in words.
        task: what can be trained.
        kind: of the data set, for `data=KIND`.
        settings: that read the folder, `data.root=FOLDER` first.
        classes: their names; empty: not known without a look at every file.
        masks: objects have masks, too; None: that is not known without a look at every file.
        faults: what keeps the folder from being trained on as it is, with what to do about it; `ablata data check`
            looks at every file.
    """

    format: str
    words: str
    task: FolderTask
    kind: str
    settings: tuple[str, ...]
    classes: tuple[str, ...] = ()
    masks: bool | None = None
    faults: tuple[str, ...] = ()

    @property
    def overrides(self) -> list[str]:
        """Return the settings of a recipe of this task: the kind of data, then its settings."""
        return [f"data={self.kind}", *self.settings]


def recognize(root: str, cache: Path, tasks: Sequence[FolderTask] = TASKS) -> list[Recognized]:
    """Return the ways to train on a folder, or a zip, the likeliest first; nothing where none is known.

    Args:
        root: the folder, or a zip of it.
        cache: where zips are unpacked.
        tasks: that are asked about.

    Raises:
        DataError: it does not exist, or a list of classes in it has no meaning.
    """
    folder = _located(root, cache)
    if folder is None:
        return []
    ways = {"reidentify": _identities, "detect": _boxes, "segment": _segments, "classify": _classes}
    return [found for task in TASKS if task in tasks for found in ways[task](folder, root, cache)]


def box_formats() -> str:
    """Return the formats of boxes that are recognized, in words."""
    return "; or ".join([LAYOUTS, *(one.words for one in FORMATS)])


def _located(root: str, cache: Path) -> Path | None:
    """Return the folder that has a format: the root, the one below it, or that of its zip; None: there is none."""
    ways: list[Callable[[Path], bool]] = [has_boxes, has_format, holds_identities, holds_masks, holds_classes]
    find_root(root, default=None, fits=Path.is_dir, layout="", cache=cache)
    for fit in ways:
        try:
            return find_root(root, default=None, fits=fit, layout="", cache=cache)
        except DataError:
            continue
    return None


def has_format(folder: Path) -> bool:
    """Tell whether a folder has an annotation tool's format."""
    return format_of(folder) is not None


def holds_identities(folder: Path) -> bool:
    """Tell whether a folder has images whose names say identity and camera."""
    return folder.is_dir() and (is_market(folder) or is_named(folder))


def holds_masks(folder: Path) -> bool:
    """Tell whether a folder has images with image files of masks beside them."""
    try:
        return masks_beside(folder) or any(
            sample.label is not None and sample.image is not None for sample in list_labelled(folder).samples
        )
    except DataError:
        return False


def holds_classes(folder: Path) -> bool:
    """Tell whether a folder has images in folders by class, or tars of images."""
    from ablata.data.classification import image_folder, shards

    if image_folder.has_layout(folder) or shards.has_shards(folder):
        return True
    from ablata.data.formats import image_list

    return image_list.fits(folder)


def _boxes(folder: Path, root: str, cache: Path) -> Iterator[Recognized]:
    if has_boxes(folder):
        from ablata.data.detection.coco import ChestXray, Coco
        from ablata.data.detection.penn_fudan import PennFudan
        from ablata.data.detection.voc import BloodCells, Voc

        for kind in (ChestXray, Coco, PennFudan, BloodCells, Voc):
            if kind.recognizes(folder):
                told = tuple(f"data.{setting}" for setting in kind.layout_settings(folder))
                format, classes, masks = _usual(folder)
                words = {"coco": "COCO's JSON", "voc": "Pascal VOC's XML", "instances": "masks of instance numbers"}
                yield Recognized(
                    format, words[format], "detect", kind().kind, (f"data.root={root}", *told), classes, masks
                )
                return
    found = format_of(folder)
    if found is not None:
        yield _described(found, folder, root)


def _identities(folder: Path, root: str, cache: Path) -> Iterator[Recognized]:
    if has_boxes(folder) or format_of(folder) is not None or not holds_identities(folder):
        return
    if is_market(folder):
        yield Recognized("market", f"Market-1501's layout: {MARKET}", "reidentify", "market",
                         (f"data.root={root}",))  # fmt: skip
        return
    yield Recognized("identities", NAMED, "reidentify", "identities", (f"data.root={root}",))


def _usual(folder: Path) -> tuple[str, tuple[str, ...], bool | None]:
    """Return format, classes and whether there are masks, of a folder that the sets of boxes read."""
    if (files := coco_files(folder)) is not None:
        from ablata.data.detection.coco_json import drop_root_category, read_categories, read_tree
        from ablata.data.detection.problems import Findings

        path = files[0][0]
        tree = drop_root_category(read_tree(folder / path))
        classes = read_categories(tree, path, Findings("repair"))
        drawn = [bool(one.get("segmentation")) for one in tree["annotations"] if isinstance(one, dict)]
        return "coco", tuple(classes[number] for number in sorted(classes)), bool(drawn) and all(drawn)
    if has_instance_masks(folder):
        return "instances", ("pedestrian",), True
    return "voc", tuple(sorted(set(voc_classes(folder)))) if voc_lists(folder) else (), False


def _described(found: Format, folder: Path, root: str) -> Recognized:
    faults: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    try:
        classes = found.classes(folder)
    except DataError as error:
        faults = (str(error),)
    told = (f"data.classes={json.dumps(classes, ensure_ascii=False)}",) if classes else ()
    settings = (f"data.root={root}", f"data.format={found.name}", *told)
    return Recognized(found.name, found.words, "detect", "boxes", settings, classes, None, faults)


def _segments(folder: Path, root: str, cache: Path) -> Iterator[Recognized]:
    if (found := format_of(folder, with_masks=True)) is not None:
        yield from _painted(found, folder, root, cache)
    beside = folder.is_dir() and masks_beside(folder)
    if not beside and not holds_masks(folder):
        return
    from ablata.data.segmentation.mask_folder import MaskFolder

    told = {"images": ".", "labels": ".", "mask_suffix": BESIDE} if beside else {}
    classes, faults = tuple[str, ...](), tuple[str, ...]()
    try:
        file = find_list(folder)
        classes = () if file is None else read_list(file).names
        MaskFolder.model_validate({"root": root, **told}).find(cache)
    except DataError as error:
        faults = (str(error),)
    words = "images, with masks of the same names beside them"
    settings = (f"data.root={root}", *(f"data.{key}={value}" for key, value in told.items()))
    yield Recognized("mask_folder", words, "segment", "mask_folder", settings, classes, True, faults)


def _painted(found: Format, folder: Path, root: str, cache: Path) -> Iterator[Recognized]:
    """Yield segmentation from the masks of objects, where there are any."""
    from ablata.data.formats.description import Reading

    made = _described(found, folder, root)
    read = None if made.faults else found.read(folder, Reading())
    objects = 0 if read is None else sum(len(image.entry.objects) for image in read.images)
    if read is None or len(read.maskless) >= objects:
        return
    faults = () if not read.maskless else (
        f"Every object must have a polygon or a mask\n  found: {len(read.maskless)} of {objects} have a box alone\n"
        "  do:    set data.rectangles=fill to paint whole boxes",
    )  # fmt: skip
    words = f"{found.words}; its polygons or masks painted"
    yield Recognized(found.name, words, "segment", "shapes", made.settings, made.classes, True, faults)


def _classes(folder: Path, root: str, cache: Path) -> Iterator[Recognized]:
    if has_boxes(folder) or format_of(folder) is not None or holds_masks(folder) or holds_identities(folder):
        return  # their folders of images may look like folders of classes
    from ablata.data.classification import image_folder, shards

    if image_folder.has_layout(folder):
        train = image_folder.train_folder(folder)
        names = tuple(entry.name for entry in sorted(train.iterdir()) if _has_images(entry))
        words = "a folder of images for each class, in train and val"
        yield Recognized("image_folder", words, "classify", "image_folder", (f"data.root={root}",), names)
        return
    from ablata.data.formats import image_list

    if image_list.fits(folder):
        faults, names = tuple[str, ...](), tuple[str, ...]()
        try:
            names = image_list.ImageList(root=root).listed(cache).classes
        except DataError as error:
            faults = (str(error),)
        form = "table" if image_list.find_tables(folder) else "class_folders"
        yield Recognized(form, image_list.LAYOUT, "classify", "image_list", (f"data.root={root}",), names, None, faults)
    if shards.has_shards(folder):
        yield Recognized("shards", "tars of images", "classify", "shards", (f"data.root={root}",))


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and any(file.suffix.lower() in IMAGE_SUFFIXES for file in files_under(folder))
