"""YOLO's folders are read as their tools write them, and what has no meaning is refused by file and line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.data.formats.tools import YOLO_CONFIG, draw, write_yolo

from ablata.base.errors import DataError
from ablata.data.formats.boxes import BoxSet
from ablata.data.formats.recognize import recognize

BOXES = [[48.0, 24.0, 80.0, 72.0], [24.0, 12.0, 40.0, 36.0]]
"""Those of the first image: 0 0.5 0.5 0.25 0.5, and 1 0.25 0.25 0.125 0.25, of 128 x 96 pixels."""


def _read(root: Path, **settings: object) -> BoxSet:
    return BoxSet.model_validate({"root": str(root), **settings})


def test_a_folder_is_recognized_with_its_classes_and_read(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set")
    found = recognize(str(root), tmp_path / "cache")[0]
    assert (found.task, found.kind, found.format, found.classes) == ("detect", "boxes", "yolo", ("cat", "no"))
    data = _read(root).build(tmp_path / "cache")
    assert data.classes == ("cat", "no")
    train, val = data.entries("train"), data.entries("val")
    assert [len(entry.objects) for entry in train] == [2, 1, 0]
    assert train[0].objects.boxes.tolist() == BOXES
    assert train[0].objects.labels.tolist() == [0, 1]
    assert [entry.id for entry in val] == ["0", "1"]
    assert not data.has_masks
    assert any("1 of 3 images of train without objects" in notice for notice in data.notices)


def test_the_layouts_of_its_tools_are_the_same_set(tmp_path: Path) -> None:
    """Ultralytics, Roboflow, Darknet (CVAT), labelImg, lists of files, paths of another machine."""
    usual = write_yolo(tmp_path / "usual")
    wanted = [entry.objects.boxes.tolist() for entry in _read(usual).build(tmp_path / "c").entries("train")]
    for name in ("roboflow", "darknet", "labelimg", "listed", "elsewhere", "dictionary", "no_config"):
        root = tmp_path / name
        if name == "roboflow":
            for split, folder in (("train", "train"), ("val", "valid")):
                for kind in ("images", "labels"):
                    shutil.copytree(usual / kind / split, root / folder / kind)
            (root / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, no]\n")
        elif name == "darknet":
            lines: dict[str, list[str]] = {"train": [], "valid": []}
            for split, key in (("train", "train"), ("val", "valid")):
                for file in sorted((usual / "images" / split).iterdir()):
                    target = root / f"obj_{key}_data/{file.name}"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
                    lines[key].append(f"data/obj_{key}_data/{file.name}")
                    label = usual / "labels" / split / f"{file.stem}.txt"
                    if label.exists():
                        shutil.copyfile(label, target.with_suffix(".txt"))
                (root / f"{key}.txt").write_text("\n".join(lines[key]))
            (root / "obj.data").write_text("classes = 2\nnames = data/obj.names\ntrain = data/train.txt\n"
                                           "valid = data/valid.txt\nbackup = backup/\n")  # fmt: skip
            (root / "obj.names").write_text("cat\nno\n")
        elif name == "labelimg":
            for split in ("train", "val"):
                shutil.copytree(usual / "images" / split, root / split)
                shutil.copytree(usual / "labels" / split, root / split, dirs_exist_ok=True)
            (root / "train/classes.txt").write_text("cat\nno\n")
        else:
            shutil.copytree(usual, root)
        if name == "listed":
            (root / "data.yaml").write_text("train: train.txt\nval: [val.txt]\nnames: {0: cat, 1: no}\n")
            for split in ("train", "val"):
                files = sorted((root / "images" / split).iterdir())
                (root / f"{split}.txt").write_text("".join(f"./images/{split}/{file.name}\n" for file in files))
        elif name == "elsewhere":
            (root / "data.yaml").write_text("path: /content/set\ntrain: C:\\set\\images\\train\nval: images/val\n"
                                            "names:\n  1: no\n  0: cat\n")  # fmt: skip
        elif name == "dictionary":
            (root / "data.yaml").rename(root / "coco8.yml")
        elif name == "no_config":
            (root / "data.yaml").unlink()
            (root / "classes.txt").write_text("cat\nno\n")
        assert recognize(str(root), tmp_path / "c")[0].format == "yolo", name
        data = _read(root).build(tmp_path / "c")
        assert data.classes == ("cat", "no"), name
        assert [entry.objects.boxes.tolist() for entry in data.entries("train")] == wanted, name
        assert len(data.entries("val")) == 2, name


def test_images_that_no_split_lists_are_told_and_labels_may_end_in_capitals(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set", "train: train.txt\nval: images/val\nnames: [cat, no]\n")
    (root / "train.txt").write_text("images/train/0.jpg\n")
    for file in (root / "labels").rglob("*.txt"):
        file.rename(file.with_suffix(".TXT"))
    data = _read(root).build(tmp_path / "c")
    assert [len(entry.objects) for entry in data.entries("train")] == [2]
    told = "images that no annotation and no list names are left out: images/train/1.jpg, images/train/2.jpg"
    assert told in data.notices


def test_without_a_split_one_is_drawn_and_groups_stay_together(tmp_path: Path) -> None:
    for number in range(12):
        draw(tmp_path / f"set/images/film{number // 4}_{number}.png", number)
        (tmp_path / "set/labels").mkdir(exist_ok=True)
        (tmp_path / f"set/labels/film{number // 4}_{number}.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (tmp_path / "set/classes.txt").write_text("cell\n")
    data = _read(tmp_path / "set", val=0.25).build(tmp_path / "cache")
    assert (len(data.entries("train")), len(data.entries("val"))) == (9, 3)
    assert any("no validation split: 3 of 12 images drawn" in notice for notice in data.notices)
    grouped = _read(tmp_path / "set", val=0.25, group=r"(film\d+)_").build(tmp_path / "cache")
    assert len({str(entry.id).split("_")[0] for entry in grouped.entries("val")}) == 1
    assert len(grouped.entries("val")) == 4
    chosen = _read(tmp_path / "set", val_match="film2_").build(tmp_path / "cache")
    assert {str(entry.id)[:5] for entry in chosen.entries("val")} == {"film2"}


def test_val_that_is_train_is_not_followed_and_one_is_drawn(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set")
    (root / "data.yaml").write_text("train: images/train\nval: images/train\nnames: [cat, no]\n")
    data = _read(root, val=0.34).build(tmp_path / "cache")
    assert (len(data.entries("train")), len(data.entries("val"))) == (2, 1)
    told = " ".join(data.notices)
    assert "data.yaml names the same images for train and val: its line val is not followed" in told
    assert "no validation split: 1 of 3 images drawn" in told


def test_polygons_are_masks_and_key_points_are_passed_over(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set", lines=("0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75\n",))
    data = _read(root).build(tmp_path / "cache")
    assert data.has_masks
    assert data.entries("train")[0].objects.boxes.tolist() == [[32.0, 24.0, 96.0, 72.0]]
    (tmp_path / "pose").mkdir()
    pose = write_yolo(tmp_path / "pose", YOLO_CONFIG + "kpt_shape: [2, 3]\n",
                      ("0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 1\n",))  # fmt: skip
    assert _read(pose).build(tmp_path / "cache").entries("train")[0].objects.boxes.tolist() == BOXES[:1]


FAULTS = {
    "2 0.5 0.5 0.2 0.2": r"one of the listed classes \(0, 1 by data\.yaml\)\n.*labels/train/0\.txt, line 1 class=2",
    "\n-1 0.5 0.5 0.2 0.2": r"line 2 class=-1",
    "cat 0.5 0.5 0.2 0.2": r"class of a line must be a whole number\n.*line 1 class='cat'",
    "0 64 48 32 48": r"must be fractions of the image, 0 to 1, not pixels\n.*line 1: 64",
    "0 0.5 nan 0.2 0.2": r"Coordinates must be finite numbers\n.*line 1: 'nan'",
    "0 0.5, 0.5, 0.2, 0.2": r"Coordinates must be finite numbers\n.*'0\.5,'",
    "0 0.5 0.5 0.2": r"four numbers, or a class and the points of a polygon\n.*line 1: 3 numbers",
    "0 0.5 0.5 0.2 0.2 0.9": r"if the last is a score",
    "0 0.1 0.1 0.2 0.2 0.3 0.3 0.9": r"line 1: 7 numbers",
}


def test_lines_without_a_meaning_are_refused_by_file_and_line(tmp_path: Path) -> None:
    for number, (line, told) in enumerate(FAULTS.items()):
        root = write_yolo(tmp_path / str(number), lines=(f"{line}\n", "1 0.5 0.5 0.25 0.25\n"))
        with pytest.raises(DataError, match=told):
            _read(root).build(tmp_path / "cache")


def test_what_has_one_meaning_is_repaired_and_told(tmp_path: Path) -> None:
    lines = "0.0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5\n1 0.9 0.9 0.4 0.4\n1 0.5 0.5 0 0.2\n1 0.1 0.1 0.2 0.2\n"
    root = write_yolo(tmp_path / "set", lines=(lines,))
    data = _read(root).build(tmp_path / "cache")
    assert len(data.entries("train")[0].objects) == 3
    told = " ".join(data.notices)
    for words in ("line 1 class=0.0 as 0", "annotated twice", "cut at the border", "without area left out"):
        assert words in told
    with pytest.raises(DataError, match="Whole numbers must be written without quotation marks or decimals"):
        _read(root, on_invalid="refuse").build(tmp_path / "cache")


def test_files_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    spoilt = {
        "names: {0: a, 2: b}\n": r"must be numbered 0, 1, 2",
        "nc: 3\nnames: [a, b]\n": r"data\.yaml: nc='3', 2 names",
        "names: [a, a]\n": r"must differ\n.*a more than once",
        "nc: two\n": r"nc='two'",
        f"nc: {'9' * 5000}\n": "number of classes",
        "names: [a, b": r"data\.yaml must be YAML",
        "train: images/nowhere\nval: images/val\nnames: [a, b]\n": r"Paths in data\.yaml must lead.*\n.*images/nowhere",
    }
    for number, (config, told) in enumerate(spoilt.items()):
        with pytest.raises(DataError, match=told):
            _read(write_yolo(tmp_path / str(number), config)).build(tmp_path / "cache")
    root = write_yolo(tmp_path / "lone")
    (root / "labels/train/9.txt").write_text("0 0.5 0.5 0.25 0.5\n")
    (root / "labels/train/1.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match=r"(label file must have its image|must be text in UTF-8)\n.*train/[19]\.txt"):
        _read(root).build(tmp_path / "cache")
    corners = write_yolo(tmp_path / "corners", lines=("0 0.5 0.5 0.9 0.95\n1 0.6 0.6 0.8 0.9\n",) * 3)
    with pytest.raises(DataError, match=r"only when read as \[left, top, right, bottom\]"):
        _read(corners).build(tmp_path / "cache")


def test_nothing_outside_the_folder_is_read(tmp_path: Path) -> None:
    draw(tmp_path / "outside/images/a.jpg", 5)
    root = write_yolo(tmp_path / "set", "train: ../outside/images\nval: images/val\nnames: [a, b]\n")
    with pytest.raises(DataError, match=r"\.\./outside/images"):
        _read(root).build(tmp_path / "cache")
