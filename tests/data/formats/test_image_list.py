"""Images with labels in a table, or in a folder a class, are recognized and read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.data.formats.tools import draw

from ablata.base.errors import DataError
from ablata.data.formats.image_list import ImageList
from ablata.data.formats.recognize import recognize

SIZE = (20, 20)


def _images(root: Path, count: int = 8) -> Path:
    for number in range(count):
        draw(root / f"images/{number}.jpg", number, SIZE)
    return root


def _listed(
    root: Path, text: str = "", name: str = "labels.csv", **settings: object
) -> tuple[tuple[str, ...], dict[str, int]]:
    if text:
        (root / name).write_text(text)
    found = ImageList.model_validate({"root": str(root), "size": 16, "resize": 16, **settings}).listed(
        root.parent / "cache"
    )
    return found.classes, {str(source): len(files) for source, files in found.files.items()}


def test_tables_of_several_forms_give_the_same_set(tmp_path: Path) -> None:
    root = _images(tmp_path / "set")
    rows = [(f"{number}.jpg", "ant" if number % 2 else "bee") for number in range(8)]
    for text in (
        "file,label\n" + "".join(f"{file},{label}\n" for file, label in rows),
        "Filename;Class\n" + "".join(f"images/{file};{label}\n" for file, label in rows),
        "id\tspecies\n" + "".join(f"{Path(file).stem}\t{label}\n" for file, label in rows),
        "".join(f"{file},{label}\n" for file, label in rows),
        "﻿label,image\n" + "".join(f"{label},C:\\data\\images\\{file}\n" for file, label in rows),
        "filename,ant,bee\n" + "".join(f"{file},{int(label == 'ant')},{int(label == 'bee')}\n" for file, label in rows),
    ):
        assert _listed(root, text) == (("ant", "bee"), {"train": 6, "val": 2}), text
    found = recognize(str(root), tmp_path / "cache")[0]
    assert (found.task, found.kind, found.format, found.classes) == ("classify", "image_list", "table", ("ant", "bee"))
    data = ImageList(root=str(root), size=16, resize=16, workers=0).build(tmp_path / "cache")
    assert [len(data.split(split)) for split in ("train", "val")] == [6, 2]
    assert any("no validation split" in notice for notice in data.notices)


def test_splits_stand_in_a_column_or_in_folders(tmp_path: Path) -> None:
    root = _images(tmp_path / "column")
    rows = "".join(f"{n}.jpg,{n % 2},{('train', 'valid', 'test')[min(n // 3, 2)]}\n" for n in range(8))
    assert _listed(root, f"image,label,split\n{rows}") == (("0", "1"), {"train": 3, "val": 3, "test": 2})
    with pytest.raises(DataError, match=r"data\.group_column must be a column"):
        _listed(root, group_column="patient")  # nothing is drawn here, but scored images are grouped by it
    for split in ("train", "valid"):
        for number in range(4):
            draw(tmp_path / f"roboflow/{split}/{split}{number}.jpg", number + 10 * (split == "valid"), SIZE)
        rows = "".join(f"{split}{n}.jpg,{n % 2},{1 - n % 2}\n" for n in range(4))
        (tmp_path / f"roboflow/{split}/_classes.csv").write_text(f"filename, a, b\n{rows}")
    assert _listed(tmp_path / "roboflow") == (("a", "b"), {"train": 4, "val": 4})


def test_a_folder_a_class_is_divided(tmp_path: Path) -> None:
    for number in range(10):
        draw(tmp_path / f"set/{'ant' if number % 2 else 'bee'}/{number}.jpg", number, SIZE)
    found = recognize(str(tmp_path / "set"), tmp_path / "cache")[0]
    assert (found.task, found.kind, found.format, found.classes) == (
        "classify", "image_list", "class_folders", ("ant", "bee"),
    )  # fmt: skip
    assert _listed(tmp_path / "set", val=0.4) == (("ant", "bee"), {"train": 6, "val": 4})


def test_images_beside_their_masks_are_no_classes(tmp_path: Path) -> None:
    made: dict[str, Callable[[Image.Image], Image.Image]] = {
        "copies": lambda image: image,
        "grey": lambda image: image.convert("L"),
        "two values": lambda image: image.convert("1"),
        "few colours": lambda image: image.convert("1").convert("RGB"),
        "16 bits": lambda image: Image.fromarray(np.asarray(image.convert("1")).astype(np.uint16)),
    }
    for name, change in made.items():
        root = tmp_path / name
        (root / "drawn").mkdir(parents=True)
        for number in range(3):
            file = draw(root / f"pictures/{number}.png", number, SIZE)
            with Image.open(file) as image:
                change(image).save(root / f"drawn/{number}.png")
        assert recognize(str(root), tmp_path / "cache") == [], name


def test_two_classes_may_hold_files_of_the_same_names(tmp_path: Path) -> None:
    for folder, first in (("ant", 0), ("bee", 8)):
        for number in range(6):
            draw(tmp_path / f"flat/{folder}/{number}.png", first + number, SIZE)
            draw(tmp_path / f"below/train/{folder}/{number}.png", first + number, SIZE)
            with Image.open(draw(tmp_path / f"two_values/{folder}/{number}.png", first + number, SIZE)) as image:
                image.convert("1").save(tmp_path / f"two_values/{folder}/{number}.png")
    for name in ("flat", "below", "two_values"):
        (found,) = recognize(str(tmp_path / name), tmp_path / "cache")
        assert (found.format, found.classes) == ("class_folders", ("ant", "bee")), name
        assert _listed(tmp_path / name, val=0.5) == (("ant", "bee"), {"train": 6, "val": 6}), name


REFUSED = {
    "file,label\n0.jpg,ant|bee\n1.jpg,bee\n": r"must have one label.*\n.*labels\.csv, line 2: ant\|bee",
    'file,labels\n0.jpg,"ant,bee"\n1.jpg,bee\n2.jpg,ant\n': r"must have one label.*\n.*line 2: ant,bee",
    "file,label\n0.jpg,ant\n0.jpg,bee\n": r"must have one label.*\n.*line 3: 0\.jpg is bee, and ant in labels\.csv",
    "filename,ant,bee\n0.jpg,1,1\n1.jpg,0,1\n": r"must have one label.*\n.*line 2: ant, bee",
    "filename,ant,bee\n0.jpg,0,0\n1.jpg,0,1\n": r"must have a file and a label\n.*line 2: 0\.jpg, 0, 0",
    "file,label\n0.jpg,\n1.jpg,bee\n": r"must have a file and a label\n.*line 2: 0\.jpg",
    "file,label\n0.jpg,NaN\n1.jpg,bee\n": r"must have a file and a label\n.*line 2: 0\.jpg, NaN",
    "file,label\n77.jpg,ant\n1.jpg,bee\n": r"Every image of a table must exist\n.*line 2: 77\.jpg is not there",
}


def test_what_has_no_meaning_is_refused_by_line(tmp_path: Path) -> None:
    root = _images(tmp_path / "set")
    for text, told in REFUSED.items():
        with pytest.raises(DataError, match=told):
            _listed(root, text)
    with pytest.raises(DataError, match=r"data\.label_column must be a column.*\n.*kind\n.*file, label"):
        _listed(root, "file,label\n0.jpg,a\n1.jpg,b\n", label_column="kind")


def test_lines_of_no_split_and_further_tables_are_told(tmp_path: Path) -> None:
    root = _images(tmp_path / "set")
    rows = "".join(f"{n}.jpg,{n % 2},{'train' if n < 6 else 'holdout'}\n" for n in range(8))
    (root / "labels.csv").write_text(f"image,label,split\n{rows}")
    (root / "other.csv").write_text("image,label\n0.jpg,1\n")
    listed = ImageList(root=str(root), size=16, resize=16).listed(tmp_path / "cache")
    assert "2 images are in no split and are left out: images/6.jpg, images/7.jpg" in listed.notices
    assert "labels.csv is read; data.table chooses another table of labels: other.csv" in listed.notices


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    root = _images(tmp_path / "set")
    (root / "labels.csv").write_bytes("image,label\n0.jpg,caf\xe9\n1.jpg,tea\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"A table must be CSV\n.*labels\.csv"):
        _listed(root)


def test_spoilt_tables_end_in_words(tmp_path: Path) -> None:
    root, random = _images(tmp_path / "set"), np.random.default_rng(0)
    text = "file,label\n" + "".join(f"{n}.jpg,{n % 2}\n" for n in range(8))
    for _ in range(40):
        start = int(random.integers(0, len(text)))
        part = ("", "\x00", '"', ",,,", "\n\n", "é", "1" * 200)[int(random.integers(0, 7))]
        (root / "labels.csv").write_text(text[:start] + part + text[start + 3 :])
        try:
            _listed(root)
        except DataError:
            continue


def test_a_column_says_which_scored_images_are_of_one_patient(tmp_path: Path) -> None:
    root = _images(tmp_path / "set", 12)
    rows = "".join(f"{number}.jpg,{number % 2},p{number // 3}\n" for number in range(12))
    (root / "labels.csv").write_text(f"image,label,patient\n{rows}")
    settings = ImageList(root=str(root), size=16, resize=16, workers=0, group_column="patient", val=0.5)
    data = settings.build(tmp_path / "cache")
    groups = {}
    for split in ("train", "val"):
        items = data.item_names(split, data.split(split).index)
        told = settings.item_groups(items, tmp_path / "cache")
        assert told is not None
        groups[split] = dict(zip(items, told, strict=True))
    assert groups["val"]
    known = {**groups["train"], **groups["val"]}
    assert all(group == f"group p{int(Path(item).stem) // 3}" for item, group in known.items())
    assert not set(groups["train"].values()) & set(groups["val"].values())
    by_name = ImageList(root=str(root), size=16, resize=16, group=r"(\d)\.jpg")
    assert by_name.item_groups(["images/11.jpg", "images/1.jpg"], tmp_path) == ("group 1", "group 1")
    assert ImageList(root=str(root), size=16, resize=16).item_groups(["images/11.jpg"], tmp_path) is None
