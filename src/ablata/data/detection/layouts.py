"""The folder layouts of detection sets: which files tell one, and the settings that read it; without torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ablata.base.errors import DataError
from ablata.data.io.walk import exists, is_name
from ablata.data.loading.locate import find_root

_TRAIN, _VAL, _TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
_JSON = (
    "{split}.json", "instances_{split}.json", "{split}2017.json", "instances_{split}2017.json",
    "{split}_annotations.json", "annotations_{split}.json", "_annotations.coco.json", "annotations.json",
)  # fmt: skip
_JSON_FOLDERS = (".", "annotations", "{split}")
_IMAGE_FOLDERS = ("{split}", "{split}2017", "images/{split}", "images/{split}2017", "{split}/images", "images", ".")
_LISTS = "ImageSets/Main"
IMAGES, MASKS = ("PNGImages_jpg", "PNGImages"), "PedMasks"
"""Penn-Fudan's folders."""
LAYOUTS = "COCO's JSON beside its images, Annotations and ImageSets of Pascal VOC, or PedMasks of Penn-Fudan"


def find_set(root: str | None, *, default: str | None, fits: Callable[[Path], bool], layout: str, cache: Path) -> Path:
    """Return the folder of a set, as `find_root` does; where it has another set's layout, that is told.

    Raises:
        DataError: there is none.
    """
    try:
        return find_root(root, default=default, fits=fits, layout=layout, cache=cache)
    except DataError as error:
        try:
            folder = None if root is None else find_root(root, default=None, fits=has_boxes, layout="", cache=cache)
            told = None if folder is None else _told(folder)
        except DataError:
            told = None
        if told is None:
            raise
        told = f"{root} has the layout of {told}"
        raise DataError(error.must, found=error.found, do=told) from None


def _told(folder: Path) -> str:
    """Return the kind of set that reads a folder, and its settings."""
    if coco_files(folder) is not None:
        kind, settings = "coco", coco_settings(folder)
    elif has_instance_masks(folder):
        kind, settings = "penn_fudan", penn_fudan_settings(folder)
    else:
        kind, settings = "voc", voc_settings(folder)
    return " ".join([f"{kind}: data={kind}", *(f"data.{setting}" for setting in settings)])


def has_boxes(folder: Path) -> bool:
    """Tell whether a folder has one of the layouts."""
    return has_instance_masks(folder) or coco_files(folder) is not None or voc_lists(folder) is not None


def has_instance_masks(folder: Path) -> bool:
    """Tell whether a folder has Penn-Fudan's images and masks."""
    return (folder / MASKS).is_dir() and any((folder / name).is_dir() for name in IMAGES)


def _json_files(folder: Path, splits: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for split in splits:
        for place in _JSON_FOLDERS:
            for name in _JSON:
                # A file that does not name its split lies in a folder that does.
                if "{split}" in place + name:
                    path = (Path(place) / name).as_posix().format(split=split)
                    if (folder / path).is_file():
                        yield path, split


def coco_files(folder: Path) -> tuple[tuple[str, str], tuple[str, str]] | None:
    """Return COCO's JSON files to train and to score on, and what each calls its split; None: they are not there."""
    train, val = (next(_json_files(folder, names), None) for names in (_TRAIN, _VAL))
    return (train, val) if train and val else None


def coco_settings(folder: Path) -> list[str]:
    """Return the settings of `coco` that read a folder whose files are found.

    Raises:
        DataError: a file is not COCO's.
    """
    from ablata.data.detection.coco_json import drop_root_category, read_tree

    files = coco_files(folder)
    if files is None:
        return []
    tree = drop_root_category(read_tree(folder / files[0][0]))
    found = [f"classes={len(tree['categories'])}"]
    for word, (path, split) in zip(("train", "val"), files, strict=True):
        found += [f"{word}_json={path}", f"{word}_images={_image_folder(folder, path, split)}"]
    if (test := next(_json_files(folder, _TEST), None)) is not None:
        found += [f"test_json={test[0]}", f"test_images={_image_folder(folder, *test)}"]
    return found


def _image_folder(folder: Path, path: str, split: str) -> str:
    """Return the folder that holds the first of the images that a file lists."""
    from ablata.data.detection.coco_json import read_tree

    images = read_tree(folder / path)["images"]
    name = images[0].get("file_name") if images and isinstance(images[0], dict) else None
    places = [one.format(split=split) for one in _IMAGE_FOLDERS]
    there = [place for place in places if (folder / place).is_dir()]
    if isinstance(name, str) and is_name(name):
        named = name.replace("\\", "/")
        there = [place for place in there if exists(folder / place / named)] or there
    return there[0] if there else "train2017"


def penn_fudan_settings(folder: Path, usual: int = 50) -> list[str]:
    """Return the settings of `penn_fudan` where `usual` images to score on would leave nothing to train on."""
    count = sum(1 for _ in (folder / MASKS).glob("*_mask.png"))
    return [] if count > usual else [f"val={max(1, count // 4)}"]


def voc_lists(folder: Path) -> tuple[str, str] | None:
    """Return the lists of VOC's folders to train and to score on; None: they are not there."""
    if next((folder / "Annotations").glob("*.xml"), None) is None:
        return None  # masks of VOC's form have an empty folder there
    names = [
        next((name for name in choices if (folder / _LISTS / f"{name}.txt").is_file()), None)
        for choices in (("train", "trainval"), ("val", "valid", "test"))
    ]
    return (names[0], names[1]) if names[0] and names[1] else None


def voc_settings(folder: Path, classes: Sequence[str] = ()) -> list[str]:
    """Return the settings of `voc` that read a folder whose lists are found, and whose classes are usually these."""
    lists, names = voc_lists(folder), set(voc_classes(folder))
    if lists is None:
        return []
    keys = zip(("train_list", "val_list"), lists, ("train", "val"), strict=True)
    settings = [f"{key}={name}" for key, name, usual in keys if name != usual]
    return settings if names <= set(classes) else [*settings, f"classes={json.dumps(sorted(names))}"]


def voc_classes(folder: Path) -> Iterator[str]:
    """Yield the classes that VOC's annotations name, as often as they do; those that cannot be read are left out."""
    from ablata.data.detection.voc_xml import read_annotation

    for file in sorted((folder / "Annotations").glob("*.xml")):
        try:
            tree = read_annotation(file).tree
        except DataError:
            continue  # refused with its reason where the set is read
        names = ((one.findtext("name") or "").strip() for one in tree.iter("object"))
        yield from (name for name in names if name)
