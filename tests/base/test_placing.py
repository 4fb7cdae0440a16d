"""Files and folders that settings name: absolute where a run is recorded, by name alone in the hash."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest

from ablata.base.settings import INCIDENTAL, ON_DISK, Settings, diff, expand, files_named, placed, settings_hash


class Weights(Settings):
    file: Annotated[str | None, ON_DISK] = None
    note: str = "w.txt"


class Toy(Settings):
    model: Weights = Weights()
    more: tuple[Weights, ...] = ()
    root: Annotated[str | None, INCIDENTAL, ON_DISK] = None
    extra: Path | None = None
    several: tuple[Path, ...] = ()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file `w.txt` and a folder `data`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.txt").write_text("1")
    (tmp_path / "data").mkdir()
    return tmp_path


def test_what_is_there_gets_its_absolute_path_and_all_else_stays(folder: Path) -> None:
    toy = Toy(
        model=Weights(file="w.txt"),
        more=(Weights(), Weights(file="./w.txt"), Weights(file="gone.txt")),
        root="data",
        extra=Path("w.txt"),
        several=(Path("w.txt"), Path("gone")),
    )
    there = placed(toy)
    assert there.model == Weights(file=str(folder / "w.txt"))
    assert [one.file for one in there.more] == [None, str(folder / "w.txt"), "gone.txt"]
    assert there.root == str(folder / "data")
    assert (there.extra, there.several) == (folder / "w.txt", (folder / "w.txt", Path("gone")))
    assert placed(there) == there
    assert placed(Toy()) is not None
    assert settings_hash(there) == settings_hash(toy)


def test_the_hash_has_the_name_of_a_file_and_nothing_of_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("w.txt", "data/../w.txt", str(folder / "w.txt"), "/elsewhere/w.txt")
    assert len({settings_hash(Toy(model=Weights(file=name))) for name in names}) == 1
    assert settings_hash(Toy(model=Weights(file="v.txt"))) != settings_hash(Toy(model=Weights(file="w.txt")))
    assert settings_hash(Toy(extra=Path("a/v.txt"))) == settings_hash(Toy(extra=Path("v.txt"))) != settings_hash(Toy())
    monkeypatch.chdir(folder / "data")
    here = Toy(model=Weights(file="."))
    assert settings_hash(placed(here)) == settings_hash(here)


def test_files_that_count_are_named_with_their_absolute_paths(folder: Path) -> None:
    toy = Toy(model=Weights(file="w.txt"), root="data", extra=Path("v.txt"))
    assert list(files_named(toy)) == [(folder / "w.txt", True), (folder / "v.txt", False)]


def test_a_path_is_shown_and_compared_like_a_text(folder: Path) -> None:
    assert expand(Toy(extra=Path("w.txt")))["extra"] == "w.txt"
    assert [str(change) for change in diff(Toy(), Toy(extra=Path("w.txt")))] == ['extra: null -> "w.txt"']
