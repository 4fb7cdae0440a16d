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
    assert "8 in 1 train tars, 8 in 1 val tars" in answer.err + answer.out
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
