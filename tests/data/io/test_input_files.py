"""Which files of a command line are meant, and what their outputs are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from ablata.base.errors import DataError
from ablata.data.io.input_files import find_input_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with images, one in a folder of its own, and a video."""
    place = tmp_path / "in"
    (place / "more").mkdir(parents=True)
    for name in ("a.png", "bad.jpg", "more/b.png"):
        Image.new("RGB", (8, 8)).save(place / name)
    (place / "film.mp4").write_bytes(b"")
    return place


def test_inputs_are_found_in_folders_and_named_apart(folder: Path, tmp_path: Path) -> None:
    (folder / "a.jpg").write_bytes((folder / "a.png").read_bytes())
    (folder / "notes.txt").write_text("no image")
    assert [one.name for one in find_input_files([folder], videos=True)] == ["a.jpg", "a.png", "bad", "film", "more/b"]
    assert "film" not in [one.name for one in find_input_files([folder])]
    (tmp_path / "empty").mkdir()
    for places, words in (
        ([tmp_path / "empty"], "must hold images"),
        ([folder / "nothing.png"], "no file .*nothing.png"),
        ([folder / "more", folder / "more"], r"b\.png more than once"),
    ):
        with pytest.raises(DataError, match=words):
            find_input_files(places, videos=True)
