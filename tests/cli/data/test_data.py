"""`ablata data`: previews of every task's kinds of data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.mark.parametrize(
    ("kind", "overrides", "said"),
    [
        ("persons", ("data.train=11", "data.val=2", "data.domain=summer"), "11 classes, 64x32 (height x width)"),
        ("scenes", ("data.train=130", "data.val=4"), "6 classes, 64x64 (height x width)"),
    ],
)
def test_a_kind_of_data_is_previewed(
    ablata: Callable, tmp_path: Path, kind: str, overrides: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "sheet.png"
    answer = ablata("data", "preview", kind, *overrides, "--output", str(file), "--count", "4")
    assert answer.status == 0
    assert said in answer.err + answer.out
    with Image.open(file) as image:
        assert image.width > 4 * 64


def test_an_unknown_kind_is_refused_with_the_nearest(ablata: Callable) -> None:
    answer = ablata("data", "preview", "person")
    assert answer.status == 2
    assert "did you mean persons?" in answer.err
    assert "folder or zip that exists" in answer.err


def test_a_folder_is_converted_to_shards_that_train(ablata: Callable, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for number, name in enumerate(("ant", "bee")):
            (tmp_path / "folder" / split / name).mkdir(parents=True)
            for image in range(4):
                colour = (image * 40, number * 200, 10)
                Image.new("RGB", (30, 20), colour).save(tmp_path / "folder" / split / name / f"{image}.png")
    shards = tmp_path / "shards"
    answer = ablata("data", "convert", str(tmp_path / "folder"), str(shards))
    assert answer.status == 0
    assert "8 in 1 train tar, 8 in 1 val tar" in answer.err + answer.out
    sizes = ("data.size=16", "data.resize=18", "data.prepared=20", "data.workers=0")
    sheet = ("--output", str(tmp_path / "sheet.png"), "--count", "4")
    assert ablata("data", "preview", "shards", f"data.root={shards}", *sizes, "train.batch=4", *sheet).status == 0
    again = ablata("data", "convert", str(tmp_path / "folder"), str(shards))
    assert again.status != 0
    assert "is there" in again.err
    assert "Traceback" not in again.err


def test_a_folder_of_another_layout_is_not_converted(ablata: Callable, tmp_path: Path) -> None:
    answer = ablata("data", "convert", str(tmp_path), str(tmp_path / "shards"))
    assert answer.status != 0
    assert "train/CLASS and val/CLASS" in answer.err
    assert not (tmp_path / "shards").exists()


def photos(folder: Path) -> Path:
    """Write images by class smaller than a crop, as many of each class."""
    for split in ("train", "val"):
        for place, name in enumerate(("ant", "bee")):
            (folder / split / name).mkdir(parents=True)
            for number in range(4):
                color = (40 * number, 90 * place, 200 if split == "val" else 10)
                Image.new("RGB", (20, 20), color).save(folder / split / name / f"{number}.png")
    return folder


def test_notes_of_a_kind_are_one_line_with_the_count_and_the_first_three(ablata: Callable, tmp_path: Path) -> None:
    answer = ablata("data", "check", str(photos(tmp_path / "photos")))
    notes = [line for line in answer.out.splitlines() if line.startswith("note: ")]
    assert answer.status == 0
    assert len(notes) == 2
    assert notes[0].startswith("note: smaller than the crop: 16 in all: ")
    assert notes[0].count(".png") == 3
    assert notes[0].endswith(" and 13 more")
    assert "a recipe's own: ablata data check RECIPE" in notes[1]
    assert "train: 8 images of 2 classes, 4 of each" in answer.out


def test_a_folder_that_is_not_there_and_a_file_are_told_as_such(ablata: Callable, tmp_path: Path) -> None:
    missing = ablata("data", "check", "nofolder")
    assert (missing.status, "did you mean" in missing.err) == (2, False)
    assert "no folder, zip, kind or recipe is called nofolder" in missing.err
    (tmp_path / "train.json").write_text("{}")
    file = ablata("data", "check", str(tmp_path / "train.json"))
    assert (file.status, f"give the folder: {tmp_path}" in " ".join(file.err.split())) == (2, True)


def test_the_kind_of_a_folder_is_proposed_by_its_layout(ablata: Callable, tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos")
    told = ablata("train", "digits", f"data.root={folder}")
    assert (told.status, "has the layout of image_folder: add data=image_folder" in told.err) == (2, True)
    other = ablata("train", "digits", f"data.root={tmp_path / 'none'}")
    assert "root is a key of " in other.err
    assert "image_folder" in other.err


def test_a_folder_of_identities_is_checked_and_not_taken_for_classes(ablata: Callable, tmp_path: Path) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    for name in (f"{who:04}_c{camera}_1.jpg" for who in range(1, 7) for camera in (1, 2)):
        Image.new("RGB", (8, 16)).save(folder / name)
    answer = ablata("data", "check", str(folder))
    assert answer.status == 0
    assert "val: 4 images of 2 identities by 2 cameras" in answer.out
    (folder / "0001_c1_1.jpg").write_bytes(b"no image")
    answer = ablata("data", "check", str(folder))
    assert answer.status == 1
    assert "0001_c1_1.jpg: no image of a known type" in answer.out
