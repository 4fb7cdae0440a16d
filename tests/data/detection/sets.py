"""Small sets of boxes in COCO's and Pascal VOC's formats, clean until a test spoils them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablata.data.detection.coco import Coco
from ablata.data.detection.voc import Voc

Tree = dict[str, Any]
HEIGHT, WIDTH = 48, 64


def coco_tree(seed: int, images: int = 3, masks: bool = True) -> Tree:
    """Return images with two objects each, of the classes a and b."""
    rng = np.random.default_rng(seed)
    objects: list[Tree] = []
    for image in range(1, images + 1):
        for category in (1, 2):
            width, height = (int(side) for side in rng.integers(12, 20, 2))
            x, y = int(rng.integers(0, WIDTH - width)), int(rng.integers(0, HEIGHT - height))
            polygon = [x, y, x + width, y, x + width, y + height, x, y + height]
            objects.append(
                {"id": len(objects) + 1, "image_id": image, "category_id": category, "bbox": [x, y, width, height],
                 "area": width * height, "iscrowd": 0, **({"segmentation": [polygon]} if masks else {})}
            )  # fmt: skip
    return {
        "images": [{"id": n, "file_name": f"{n}.png", "height": HEIGHT, "width": WIDTH} for n in range(1, images + 1)],
        "annotations": objects,
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
    }


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_coco(
    root: Path, change: Callable[[Tree, Tree], object] = lambda train, val: None, masks: bool = True
) -> Coco:
    """Write train.json, val.json, train/ and val/, as `change` spoils them, and return what reads them."""
    train, val = coco_tree(1, masks=masks), coco_tree(2, masks=masks)
    for place, (split, tree) in enumerate((("train", train), ("val", val))):
        for image in tree["images"]:
            draw(root / split / image["file_name"], 100 * place + image["id"])
    change(train, val)
    for split, tree in (("train", train), ("val", val)):
        (root / f"{split}.json").write_text(json.dumps(tree))
    return coco_at(root)


def coco_at(root: Path, **settings: Any) -> Coco:
    return Coco(
        root=str(root), train_json="train.json", val_json="val.json", train_images="train", val_images="val",
        **({"classes": 2} | settings),
    )  # fmt: skip


VOC_OBJECT = (
    "<object><name>a</name><difficult>{difficult}</difficult><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>"
    "<ymax>{}</ymax></bndbox></object>"
)


def voc_object(*borders: object, difficult: object = 0) -> str:
    return VOC_OBJECT.format(*borders, difficult=difficult)


def voc_text(objects: str, width: object = WIDTH, height: object = HEIGHT) -> str:
    size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>{size}{objects}</annotation>"


def write_voc(root: Path, train: str | bytes | None = None, suffix: str = "png") -> Voc:
    """Write three images to train on and one to score on; `train` is the first annotation."""
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    usual = voc_text(voc_object(5, 6, 30, 40))
    for number, name in enumerate(("one", "two", "three", "four")):
        draw(root / "JPEGImages" / f"{name}.{suffix}", number)
        text = usual if train is None or name != "one" else train
        content = text if isinstance(text, bytes) else text.encode()
        (root / "Annotations" / f"{name}.xml").write_bytes(content)
    (root / "ImageSets/Main/train.txt").write_text("one\ntwo\nthree\n")
    (root / "ImageSets/Main/val.txt").write_text("four\n")
    return Voc(root=str(root), classes=("a",))
