"""Recognition of detection data sets by their folder layout, and the settings that read them.

A folder of another kind is told without torch: the sets themselves, which need it, are imported where one fits.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ablata.base.errors import DataError
from ablata.data.loading.locate import find_root

_TRAIN, _VAL, _TEST = ("train", "training"), ("val", "valid", "validation"), ("test", "testing")
_JSON = (
    "{split}.json", "instances_{split}.json", "{split}2017.json", "instances_{split}2017.json",
    "{split}_annotations.json", "annotations_{split}.json", "_annotations.coco.json", "annotations.json",
)  # fmt: skip
_JSON_FOLDERS = (".", "annotations", "{split}")
_IMAGE_FOLDERS = ("{split}", "{split}2017", "images/{split}", "images/{split}2017", "{split}/images", "images", ".")
_LISTS = "ImageSets/Main"
LAYOUTS = "COCO's JSON beside its images, Annotations and ImageSets of Pascal VOC, or PedMasks of Penn-Fudan"


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
        folder = find_root(root, default=None, fits=_fits, layout="", cache=cache)
    except DataError:
        return None
    place = f"data.root={root}"
    from ablata.data.detection.coco import ChestXray

    if _has_files(folder, ChestXray().train_json, ChestXray().val_json) and (folder / "lung_gray").is_dir():
        return "chest_xray", [place]
    if (found := _coco(folder)) is not None:
        return "coco", [place, *found]
    if (folder / "PedMasks").is_dir():
        return "penn_fudan", [place, *_penn_fudan(folder)]
    return _voc(folder, place)


def _refuse_yolo(folder: Path) -> None:
    """Say that a folder of images beside text files of boxes is YOLO's, before it is taken for one without labels."""
    labels = folder / "labels"
    if (folder / "images").is_dir() and labels.is_dir() and next(labels.rglob("*.txt"), None) is not None:
        raise DataError(
            f"Boxes must be in one of these layouts: {LAYOUTS}",
            found=f"{folder} has YOLO's, images beside labels/*.txt",
            do="export the set as COCO's JSON, with boxes in pixels",
        )


def _fits(folder: Path) -> bool:
    masks = (folder / "PedMasks").is_dir() and any((folder / name).is_dir() for name in ("PNGImages", "PNGImages_jpg"))
    return masks or _coco_files(folder) is not None or _voc_lists(folder) is not None


def _has_files(folder: Path, *names: str) -> bool:
    return all((folder / name).is_file() for name in names)


def _json_files(folder: Path, splits: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for split in splits:
        for place in _JSON_FOLDERS:
            for name in _JSON:
                # A file that does not name its split lies in a folder that does.
                if "{split}" in place + name:
                    path = (Path(place) / name).as_posix().format(split=split)
                    if (folder / path).is_file():
                        yield path, split


def _coco_files(folder: Path) -> tuple[tuple[str, str], tuple[str, str]] | None:
    train, val = (next(_json_files(folder, names), None) for names in (_TRAIN, _VAL))
    return (train, val) if train and val else None


def _coco(folder: Path) -> list[str] | None:
    files = _coco_files(folder)
    if files is None:
        return None
    from ablata.data.detection.coco_json import read_tree

    tree = read_tree(folder / files[0][0])
    found = [f"data.classes={len(tree['categories'])}"]
    for word, (path, split) in zip(("train", "val"), files, strict=True):
        found += [f"data.{word}_json={path}", f"data.{word}_images={_image_folder(folder, path, split)}"]
    if (test := next(_json_files(folder, _TEST), None)) is not None:
        found += [f"data.test_json={test[0]}", f"data.test_images={_image_folder(folder, *test)}"]
    return found


def _image_folder(folder: Path, path: str, split: str) -> str:
    """Return the folder that holds the first of the images that a file lists."""
    from ablata.data.detection.coco import Coco
    from ablata.data.detection.coco_json import read_tree

    images = read_tree(folder / path)["images"]
    name = images[0].get("file_name") if images and isinstance(images[0], dict) else None
    places = [one.format(split=split) for one in _IMAGE_FOLDERS]
    there = [place for place in places if (folder / place).is_dir()]
    if isinstance(name, str) and "\0" not in name:
        named = name.replace("\\", "/")
        there = [place for place in there if (folder / place / named).exists()] or there
    return there[0] if there else Coco().train_images


def _penn_fudan(folder: Path) -> list[str]:
    """Return a smaller validation set where the usual one would leave nothing to train on."""
    from ablata.data.detection.penn_fudan import PennFudan

    count = sum(1 for _ in (folder / "PedMasks").glob("*_mask.png"))
    return [] if count > PennFudan().val else [f"data.val={max(1, count // 4)}"]


def _voc_lists(folder: Path) -> tuple[str, str] | None:
    if not (folder / "Annotations").is_dir():
        return None
    names = [
        next((name for name in choices if (folder / _LISTS / f"{name}.txt").is_file()), None)
        for choices in (("train", "trainval"), ("val", "valid", "test"))
    ]
    return (names[0], names[1]) if names[0] and names[1] else None


def _voc(folder: Path, place: str) -> tuple[str, list[str]] | None:
    lists = _voc_lists(folder)
    if lists is None:
        return None
    from ablata.data.detection.voc import BloodCells, Voc

    names = _voc_classes(folder)
    settings = [place]
    for key, name, usual in zip(("train_list", "val_list"), lists, ("train", "val"), strict=True):
        settings += [] if name == usual else [f"data.{key}={name}"]
    for kind in (BloodCells, Voc):
        if names <= set(kind().classes):
            return kind().kind, settings
    return "voc", [*settings, f"data.classes={json.dumps(sorted(names))}"]


def _voc_classes(folder: Path) -> set[str]:
    from ablata.data.detection.voc_xml import read_annotation

    names = set()
    for file in sorted((folder / "Annotations").glob("*.xml")):
        try:
            tree = read_annotation(file).tree
        except DataError:
            continue  # refused with its reason where the set is read
        names |= {(one.findtext("name") or "").strip() for one in tree.iter("object")} - {""}
    return names
