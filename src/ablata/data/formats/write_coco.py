"""Writing COCO's JSON: SPLIT.json beside the folder SPLIT of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ablata.base.files import write_text
from ablata.data.detection.rle import areas
from ablata.data.formats.writing import KeptImage, KeptObject, KeptSet, Written, copy_image, in_pixels


def write_coco(kept: KeptSet, folder: Path, done: Written) -> None:
    """Write a set; see `WriteSet`. Polygons stay polygons, other masks become run lengths."""
    categories = [{"id": number, "name": name} for number, name in zip(kept.category_ids, kept.classes, strict=True)]
    for split, images in kept.splits.items():
        ids = [image.entry.id for image in images]
        numbered = all(isinstance(number, int) for number in ids) and len(set(ids)) == len(ids)
        listed: list[dict[str, Any]] = []
        objects: list[dict[str, Any]] = []
        for place, image in enumerate(images, start=1):
            copy_image(image, folder / split)
            height, width = image.entry.size
            number = image.entry.id if numbered else place
            listed.append({"id": number, "file_name": image.name, "height": height, "width": width})
            for one in image.objects():
                head = {"id": len(objects) + 1, "image_id": number, "category_id": kept.category_ids[one.label]}
                objects.append(head | _written(one, image))
        done.objects[split] = len(objects)
        tree = {"images": listed, "annotations": objects, "categories": categories}
        write_text(folder / f"{split}.json", json.dumps(tree, ensure_ascii=False))


def _written(one: KeptObject, image: KeptImage) -> dict[str, Any]:
    height, width = image.entry.size
    sides = (width, height, width, height)
    box = [in_pixels(value, side) for value, side in zip(one.box, sides, strict=True)]
    area: float = int(areas([one.mask])[0]) if one.mask is not None else box[2] * box[3]
    found: dict[str, Any] = {"bbox": box, "area": area, "iscrowd": int(one.crowd)}
    if one.polygons:
        found["segmentation"] = [
            [in_pixels(value, sides[place % 2]) for place, value in enumerate(polygon)] for polygon in one.polygons
        ]
    elif one.mask is not None:
        found["segmentation"] = {"size": list(one.mask.size), "counts": one.mask.counts.decode("ascii")}
    return found
