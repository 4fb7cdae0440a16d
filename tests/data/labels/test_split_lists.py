"""Lists of splits: what they name is found, what they name wrongly is told, and nothing is in two of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.data.labels.split_lists import read_split_lists, splits_by_lists


def _files(root: Path, **lists: bytes) -> list[Path]:
    for name, content in lists.items():
        (root / f"{name}.txt").write_bytes(content)
    files = [root / "images" / f"{name}.png" for name in "abc"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return files


def _found(root: Path, files: list[Path]) -> tuple[dict[str, str], list[str]]:
    told: list[str] = []
    found = splits_by_lists(root, files, told.append)
    return {file.stem: split for file, split in found.items()}, told


def test_what_stands_around_names_does_not_matter(tmp_path: Path) -> None:
    ways = (
        b"a\nb\n",
        b"\xef\xbb\xbfa \r\nimages/b.png\t\r\n\r\n",
        "a\nb\na\n".encode("utf-16"),
        b"C:\\set\\a.png\n./images/b.png",
    )
    for way in ways:
        assert _found(tmp_path, _files(tmp_path, train=way, val=b"c")) == ({"a": "train", "b": "train", "c": "val"}, [])


def test_names_that_fit_nothing_are_told_and_a_name_in_two_lists_is_refused(tmp_path: Path) -> None:
    files = _files(tmp_path, train=b"A\nb\n../../x", val=b"c")
    assert _found(tmp_path, files) == (
        {"b": "train", "c": "val"}, ["train.txt names 2 that are not there, or fit several: A, ../../x"]
    )  # fmt: skip
    _files(tmp_path, train=b"a\nc\n")
    with pytest.raises(DataError, match=r"must not be trained on\n.*val\.txt: c is in the list of train, too"):
        _found(tmp_path, files)


def test_trainval_stands_for_train_and_lists_of_one_split_are_joined(tmp_path: Path) -> None:
    files = _files(tmp_path, trainval=b"a\nb", test=b"c")
    assert _found(tmp_path, files) == ({"a": "train", "b": "train", "c": "test"}, [])
    _files(tmp_path, val=b"b")
    assert _found(tmp_path, files)[0] == {"a": "train", "b": "val", "c": "test"}
    _files(tmp_path, train=b"a", train2017=b"b", val=b"", test=b"c")
    assert read_split_lists(tmp_path)["train"][1] == ["a", "b"]
