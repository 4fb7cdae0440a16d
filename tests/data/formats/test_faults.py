"""What has no meaning in a tool's export is refused by file, entry and field; what has one is repaired, and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.data.formats.samples import SAMPLES, sample

from ablata.base.errors import DataError
from ablata.data.formats.boxes import BoxSet

_FIRST = {
    "labelme": "0.json", "cvat": "annotations.xml", "supervisely": "ds/ann/0.jpg.json", "coco": "result.json",
    "label_studio": "project-1-at-2026-11-30.json", "voc": "0.xml", "yolo": "data.yaml",
}  # fmt: skip
"""The file that is spoilt."""

REFUSED: dict[str, list[tuple[str, str, str]]] = {
    "labelme": [
        ('"label": "cat"', '"label": null', r"label must be given\n.*0\.json, shape 1 label=null"),
        ('"rectangle"', '"star"', r"Shapes must be polygons.*\n.*0\.json, shape 1 shape_type='star' of 2 points"),
        ('"shapes": [', '"shapes": [7, ', r"Shapes must be JSON objects\n.*shape 1: 7"),
        ('"imageHeight": 96', '"imageHeight": 95', r"size that their annotation says\n.*annotated 95x128, is 96x128"),
        ('"imageHeight": 96', '"imageHeight": "tall"', r"must be a whole number.*\n.*0\.json imageHeight='tall'"),
        ("50,\n          60", '50,\n          "x"', r"points must be numbers\n.*0\.json, shape 1 points="),
        ("64,\n          30", "3000,\n          30", r"must lie on its image\n.*shape 2: \[3000\.0, 30.* in 128x96"),
        ("50,\n          60", "50", r"points must be 2 numbers\n.*0\.json, shape 1"),
        ('"imageHeight": 96', '"imageHeight": 96, "imageHeight": 9', r"0\.json: an object holds the key"),
        ('"flags": {},\n  "shapes": [', '"flags": {},\n  "shapes": {', r"must be labelme's JSON\n.*0\.json"),
    ],
    "cvat": [
        ('xtl="10.00"', 'xtl="left"', r"xtl must be a number\n.*annotations\.xml: 0\.jpg, box 1 xtl='left'"),
        ('xtl="10.00"', "", r"xtl must be given\n.*0\.jpg, box 1 no xtl"),
        ('rle="0,2000"', 'rle="0,1999"', r"run lengths in rle.*\n.*0\.jpg, mask 2: sum 1999 for 40 x 50"),
        ('rle="0,2000"', 'rle="9223372036854775807,9223372036854775807,2002"', r"run lengths in rle must be positive"),
        ('rle="0,2000"', 'rle="0;2000"', r"rle must be whole numbers"),
        ('name="0.jpg"', 'name="nine.jpg"', r"Every annotated image must exist\n.*annotations\.xml: nine\.jpg"),
        ('<box label="cat"', '<box label="cow"', r"one of the listed classes \(cat, dog\)\n.*box 1: 'cow'"),
        ('xtl="10.00"', 'xtl="1_0"', r"xtl must be a number\n.*box 1 xtl='1_0'"),
        ('left="64"', 'left="0.5"', r"left must be a whole number\n.*mask 2 left='0.5'"),
        ("<box ", "<blob ", r"Annotations must be XML"),
        ("<annotations>", "<!DOCTYPE a><annotations>", r"must not declare a document type"),
    ],
    "supervisely": [
        ('"classTitle": "cat"', '"classTitle": "cow"', r"\(cat, dog\)\n.*ann/0\.jpg\.json, object 1: 'cow'"),
        ('"geometryType": "rectangle"', '"geometryType": "cone"', r"polygons or bitmaps\n.*geometryType='cone'"),
        ("[[10, 20], [49, 59]]", "[[10, 20]]", r"A rectangle must have two points\n.*object 1"),
        ("[[10, 20], [49, 59]]", "[[10, 20], [49, null]]", r"points must be numbers\n.*object 1"),
        ('"origin": [64, 30]', '"origin": "here"', r"origin must be 2 numbers\n.*object 2"),
        ('"origin": [64, 30]', '"origin": [64, 0.5]', r"origin must be 2 whole numbers\n.*object 2"),
        ('"data": "', '"data": "!', r"data must be a PNG packed by zlib, in base64\n.*object 2"),
        ('"height": 96', '"height": 0', r"height must be a whole number from 1 on\n.*0\.jpg\.json height=0"),
        ('"height": 96', '"height": 96, "height": 96', r"ds/ann/0\.jpg\.json: an object holds the key 'height' twice"),
        ('"objects": [', '"objects": 3, "other": [', r"Supervisely's JSON\n.*0\.jpg\.json: no list of objects"),
    ],
    "label_studio": [
        ('"rotation": 0', '"rotation": "much"', r"rotation must be a number\n.*task 1, result 1 rotation='much'"),
        ('"image_rotation": 0', '"image_rotation": 90', r"in Label Studio.*\n.*result 1 image_rotation=90"),
        ('["cat"]', '["cat", "dog"]', r"must have one label\n.*task 1, result 1 rectanglelabels="),
        ('"original_width": 128, ', "", r"original_width and original_height must be given\n.*task 1, result 1"),
        ("0a1b2c3d-0.jpg", "0a1b2c3d-9.jpg", r"annotated image must exist\n.*task 1 image='/data/upload/1/0a1b2c"),
        ('"rotation": 0', '"rotation": 0, "rotation": 1', r"an object holds the key 'rotation' twice"),
        ('"annotations": [', '"annotations": [1, ', r"annotations must be a list of JSON objects\n.*task 1"),
    ],
    "coco": [
        ('"bbox": [10, 20, 40, 40]', '"bbox": [10, 20, 40]', r"4 numbers\n.*result\.json: 0\.jpg annotation 0"),
        ('"category_id": 1', '"category_id": 1, "category_id": 2', r"result\.json: an object with id 0 holds"),
        ('"name": "cat"', '"name": NaN', r"name must be text\n.*category at position 0 name=nan"),
        ('"category_id": 1', '"category_id": 5', r"one of the listed categories"),
        ('"file_name": "0.jpg"', '"file_name": "../0.jpg"', r"below the image folder.*\n.*image 0: '\.\./0\.jpg'"),
        ('"file_name": "1.jpg"', '"file_name": "0.jpg"', r"Every image must have a file of its own\n.*0\.jpg"),
    ],
    "voc": [
        ("<xmin>11</xmin>", "<xmin>1,1</xmin>", r"xmin must be a number\n.*0\.xml object 1"),
        ("<name>cat</name>", "<name></name>", r"0\.xml object 1: no name"),
        ("<width>128</width>", "<width>127</width>", r"annotated 96x127, is 96x128"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_fields_without_a_meaning_are_refused_where_they_stand(name: str, tmp_path: Path) -> None:
    root = sample(name, tmp_path / "set")
    file = root / _FIRST[name]
    text = file.read_text()
    for old, new, told in REFUSED[name]:
        assert old in text, old
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(DataError, match=told):
            BoxSet.model_validate({"root": str(root), "format": name}).build(tmp_path / "cache")


REPAIRED: dict[str, list[tuple[str, str, str]]] = {
    "labelme": [
        (
            '"label": "cat"',
            '"label": " cat"',
            "names of classes with spaces around them read without: 0.json, shape 1: ' cat'",
        ),
        ('"label": "cat"', '"label": "Cat"', "differ in capitals alone are trained as different ones: Cat, cat"),
        ('"rectangle"', '"line"', "points and lines left out: 0.json, shape 1 (cat)"),
        ("50,\n          60", "50,\n          600", "boxes cut at the border of their image: 0.json, shape 1"),
        ('"imagePath": "0.jpg"', '"imagePath": "C:\\\\\\\\photos\\\\\\\\0.jpg"', ""),
    ],
    "cvat": [('<box label="cat"', '<points label="cat" points="1,2" /><box label="cat"', "lines and cuboids left out")],
    "supervisely": [('"origin": [64, 30]', '"origin": [100, 30]', "masks cut at the border of their image")],
    "label_studio": [
        (
            '"annotations": [{"id": 0',
            '"annotations": [{"result": [], "updated_at": "2020"}, {"updated_at": "2021", "id": 0',
            "annotated more than once the latest taken",
        ),
        ('"was_cancelled": false', '"was_cancelled": true', "a task without annotation is left out"),
    ],
    "coco": [
        ('"iscrowd": 0', '"iscrowd": "0"', "whole numbers written as text or with decimals taken as whole numbers")
    ],
}


@pytest.mark.parametrize("name", REPAIRED)
def test_what_has_one_meaning_is_repaired_and_told(name: str, tmp_path: Path) -> None:
    root = sample(name, tmp_path / "set")
    file = root / _FIRST[name]
    text = file.read_text()
    for old, new, told in REPAIRED[name]:
        assert old in text, old
        file.write_text(text.replace(old, new, 1))
        data = BoxSet.model_validate({"root": str(root), "format": name}).build(tmp_path / "cache")
        assert told in "\n".join(data.notices), (told, data.notices)


def _spoilt(text: str, random: np.random.Generator) -> str:
    """Return a text with a part left out, doubled, or replaced by something else."""
    start = int(random.integers(0, len(text)))
    end = min(start + int(random.integers(1, 20)), len(text))
    other = ["", text[start:end] * 2, "null", "-1", "1e999", "[]", '"', "\x00", "{", "999999999999999999999"]
    return text[:start] + other[int(random.integers(0, len(other)))] + text[end:]


def _fuzz(name: str, folder: Path, times: int) -> None:
    root = sample(name, folder / "set")
    file = root / _FIRST[name]
    text, random = file.read_text(), np.random.default_rng(len(name))
    for _ in range(times):
        file.write_text(_spoilt(text, random))
        try:
            BoxSet.model_validate({"root": str(root), "format": name}).build(folder / "cache")
        except DataError:
            continue


@pytest.mark.parametrize("name", _FIRST)
def test_spoilt_files_end_in_words(name: str, tmp_path: Path) -> None:
    _fuzz(name, tmp_path, 12)


@pytest.mark.slow
@pytest.mark.parametrize("name", _FIRST)
def test_many_spoilt_files_end_in_words(name: str, tmp_path: Path) -> None:
    _fuzz(name, tmp_path, 400)


def test_masks_that_do_not_fit_are_refused_by_file(tmp_path: Path) -> None:
    root = sample("mask_files", tmp_path / "one")
    (root / "stage1_train/case0/masks/a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"case0/masks/a\.png"):
        BoxSet(root=str(root)).build(tmp_path / "cache")
    root = sample("instance_numbers", tmp_path / "two")
    (root / "masks/0.png").unlink()
    with pytest.raises(DataError, match=r"Every image must have its mask\n.*images/0\.png"):
        BoxSet(root=str(root)).build(tmp_path / "cache")
    assert set(SAMPLES) - set(_FIRST) == {"mask_files", "instance_numbers"}
