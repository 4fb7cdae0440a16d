"""A small set in the layout of each annotation tool, as its export writes it: two classes, four images.

On the first image there are a box of `cat` and, where the tool has polygons or masks, a square of `dog`.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.data.formats.tools import HEIGHT, WIDTH, draw

from ablata.data.detection.rle import encode

IMAGES = 4
BOX = (10.0, 20.0, 50.0, 60.0)
"""Left, top, right, bottom of the cat."""
SQUARE = (64.0, 30.0, 104.0, 80.0)
"""The same of the dog."""
POLYGON = [[64, 30], [104, 30], [104, 80], [64, 80]]


def images(folder: Path, suffix: str = "jpg") -> list[Path]:
    """Write four images."""
    return [draw(folder / f"{number}.{suffix}", number) for number in range(IMAGES)]


def patch() -> np.ndarray:
    """Return the dog's pixels in its own box, bool [50, 40]."""
    return np.ones((50, 40), dtype=bool)


def png(pixels: np.ndarray) -> bytes:
    """Return a mask as PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8) * 255).save(stream, "PNG")
    return stream.getvalue()


def labelme(root: Path) -> None:
    """Write NAME.json beside NAME.jpg."""
    for file in images(root):
        shapes: list[dict[str, Any]] = [
            {"label": "cat", "points": [[50, 60], [10, 20]], "group_id": None, "shape_type": "rectangle", "flags": {}},
            {"label": "dog", "points": POLYGON, "group_id": None, "shape_type": "polygon", "flags": {}},
        ]
        tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": file.name, "imageData": None,
                "imageHeight": HEIGHT, "imageWidth": WIDTH}  # fmt: skip
        file.with_suffix(".json").write_text(json.dumps(tree, indent=2))


def cvat(root: Path) -> None:
    """Write annotations.xml with images/."""
    runs = ",".join(["0", str(40 * 50)])
    drawn = "".join(
        f'<image id="{number}" name="{file.name}" width="{WIDTH}" height="{HEIGHT}">'
        '<box label="cat" source="manual" occluded="0" xtl="10.00" ytl="20.00" xbr="50.00" ybr="60.00" z_order="0">'
        '<attribute name="age">3</attribute></box>'
        f'<mask label="dog" source="manual" occluded="0" rle="{runs}" left="64" top="30" width="40" height="50" '
        'z_order="1"></mask><tag label="night" source="manual"></tag></image>'
        for number, file in enumerate(images(root / "images"))
    )
    labels = "".join(f"<label><name>{name}</name><type>{kind}</type></label>"
                     for name, kind in (("cat", "any"), ("dog", "mask"), ("night", "tag")))  # fmt: skip
    (root / "annotations.xml").write_text(
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><job>'
        f"<labels>{labels}</labels></job></meta>{drawn}</annotations>"
    )


def supervisely(root: Path) -> None:
    """Write meta.json and ds/img with ds/ann."""
    classes = [{"title": "cat", "shape": "rectangle", "color": "#FF0000", "id": 1},
               {"title": "dog", "shape": "any", "color": "#00FF00", "id": 2}]  # fmt: skip
    (root / "ds/ann").mkdir(parents=True)
    (root / "meta.json").write_text(json.dumps({"classes": classes, "tags": [], "projectType": "images"}))
    data = base64.b64encode(zlib.compress(png(patch()))).decode()
    for file in images(root / "ds/img"):
        objects: list[dict[str, Any]] = [
            {"classTitle": "cat", "geometryType": "rectangle",
             "points": {"exterior": [[10, 20], [49, 59]], "interior": []}},
            {"classTitle": "dog", "geometryType": "bitmap", "bitmap": {"data": data, "origin": [64, 30]}},
        ]  # fmt: skip
        tree = {"description": "", "tags": [], "size": {"height": HEIGHT, "width": WIDTH}, "objects": objects}
        (root / f"ds/ann/{file.name}.json").write_text(json.dumps(tree))


def label_studio(root: Path) -> None:
    """Write a JSON of tasks with images/ whose names have the prefix of an upload."""
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    cat = {"x": 10 / WIDTH * 100, "y": 20 / HEIGHT * 100, "width": 40 / WIDTH * 100, "height": 40 / HEIGHT * 100}
    results = [
        {**size, "id": "a", "type": "rectanglelabels", "value": {**cat, "rotation": 0, "rectanglelabels": ["cat"]}},
        {**size, "id": "b", "type": "polygonlabels",
         "value": {"points": [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in POLYGON], "polygonlabels": ["dog"]}},
    ]  # fmt: skip
    tasks = [
        {"id": number + 1, "annotations": [{"id": number, "was_cancelled": False, "result": results}],
         "data": {"image": f"/data/upload/1/0a1b2c3d-{file.name}"}, "predictions": []}
        for number, file in enumerate(images(root / "images"))
    ]  # fmt: skip
    (root / "project-1-at-2026-11-30.json").write_text(json.dumps(tasks))


def coco(root: Path) -> None:
    """Write result.json, one file for all, with images/."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[30:80, 64:104] = True
    runs = {"size": [HEIGHT, WIDTH], "counts": encode(mask[None])[0].counts.decode()}
    listed, objects = [], []
    for number, file in enumerate(images(root / "images")):
        listed.append({"id": number, "file_name": file.name, "height": HEIGHT, "width": WIDTH})
        objects += [
            {"id": 2 * number, "image_id": number, "category_id": 1, "bbox": [10, 20, 40, 40], "iscrowd": 0, "area": 1},
            {"id": 2 * number + 1, "image_id": number, "category_id": 2, "bbox": [64, 30, 40, 50], "iscrowd": 0,
             "segmentation": runs, "area": 2000},
        ]  # fmt: skip
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    (root / "result.json").write_text(json.dumps({"images": listed, "annotations": objects, "categories": categories}))


def voc(root: Path) -> None:
    """Write NAME.xml beside NAME.webp, without ImageSets."""
    for file in images(root, "webp"):
        objects = "".join(
            f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{box[0] + 1:g}</xmin>"
            f"<ymin>{box[1] + 1:g}</ymin><xmax>{box[2]:g}</xmax><ymax>{box[3]:g}</ymax></bndbox></object>"
            for name, box in (("cat", BOX), ("dog", SQUARE))
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><folder></folder><filename>{file.name}</filename>{size}{objects}</annotation>"
        file.with_suffix(".xml").write_text(text)


def mask_files(root: Path) -> None:
    """Write ID/images/ID.png with ID/masks/*.png."""
    for number in range(IMAGES):
        case = root / f"stage1_train/case{number}"
        draw(case / f"images/case{number}.png", number)
        for name, (left, top, right, bottom) in (("a", BOX), ("b", SQUARE)):
            mask = np.zeros((HEIGHT, WIDTH), bool)
            mask[int(top) : int(bottom), int(left) : int(right)] = True
            (case / "masks").mkdir(exist_ok=True)
            (case / f"masks/{name}.png").write_bytes(png(mask))


def instance_numbers(root: Path) -> None:
    """Write images/NAME.png with masks/NAME.png of 16 bits."""
    for file in images(root / "images", "png"):
        numbers = np.zeros((HEIGHT, WIDTH), np.uint16)
        for number, (left, top, right, bottom) in ((300, BOX), (7, SQUARE)):
            numbers[int(top) : int(bottom), int(left) : int(right)] = number
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(numbers).save(root / "masks" / file.name)


def yolo(root: Path) -> None:
    """Write images/ with labels/ and data.yaml."""
    left, top, right, bottom = (value / side for value, side in zip(BOX, (WIDTH, HEIGHT) * 2, strict=True))
    cat = f"0 {(left + right) / 2} {(top + bottom) / 2} {right - left} {bottom - top}\n"
    dog = "1 " + " ".join(f"{x / WIDTH} {y / HEIGHT}" for x, y in POLYGON) + "\n"
    (root / "labels").mkdir(parents=True)
    for file in images(root / "images"):
        (root / f"labels/{file.stem}.txt").write_text(cat + dog)
    (root / "data.yaml").write_text("path: .\ntrain: images\nval:\nnames:\n  0: cat\n  1: dog\n")


SAMPLES: dict[str, Callable[[Path], None]] = {
    "yolo": yolo, "supervisely": supervisely, "labelme": labelme, "cvat": cvat, "label_studio": label_studio,
    "coco": coco, "voc": voc, "mask_files": mask_files, "instance_numbers": instance_numbers,
}  # fmt: skip
"""What writes a sample of each format, by its name."""


def sample(name: str, root: Path) -> Path:
    """Write a sample and return its folder."""
    root.mkdir(parents=True, exist_ok=True)
    SAMPLES[name](root)
    return root
