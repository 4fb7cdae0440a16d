"""Finding, unpacking and remembering: folders, zips, digests."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.loading.cache import build_once, file_digest, folder_digest, load_array, stored_arrays
from ablata.data.loading.locate import find_root, unpacked


def _find(root: str | None, cache: Path, default: str | None = None) -> Path:
    return find_root(
        root, default=default, fits=lambda folder: (folder / "wanted.txt").is_file(), layout="wanted.txt", cache=cache
    )


def _zip(path: Path, names: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, name)
    return path


def test_a_missing_folder_is_said_to_be_missing_and_the_nearest_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError) as caught:
        _find(str(tmp_path / "picturs" / "more"), tmp_path)
    assert str(caught.value) == (
        f"A data set's folder must exist\n  found: {tmp_path}/picturs/more: no such folder or zip\n"
        f"  do:    did you mean {tmp_path}/pictures?; if it was moved: data.root=FOLDER"
    )
    monkeypatch.setenv("ABLATA_DATA", str(tmp_path))
    with pytest.raises(DataError, match=f"toys: no such folder or zip, nor {tmp_path}/toys"):
        _find("toys", tmp_path)


def test_a_folder_without_the_layout_is_described(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "other.txt").touch()
    with pytest.raises(DataError, match=r"holds other\.txt"):
        _find(str(tmp_path / "set"), tmp_path / "cache")


@pytest.mark.parametrize("inner", ["wanted.txt", "set/wanted.txt"])
@pytest.mark.parametrize("given", ["the zip", "its folder"])
def test_a_zip_serves_as_the_folder(tmp_path: Path, inner: str, given: str) -> None:
    archive = _zip(tmp_path / "data" / "set.zip", [inner])
    root = archive if given == "the zip" else archive.parent
    assert (_find(str(root), tmp_path / "cache") / "wanted.txt").read_text() == inner


def test_the_layout_may_lie_one_level_down(tmp_path: Path) -> None:
    (tmp_path / "set" / "inner").mkdir(parents=True)
    (tmp_path / "set" / "inner" / "wanted.txt").touch()
    assert _find(str(tmp_path / "set"), tmp_path / "cache") == tmp_path / "set" / "inner"


def test_a_name_is_looked_for_under_the_data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home" / "toys").mkdir(parents=True)
    (tmp_path / "home" / "toys" / "wanted.txt").touch()
    monkeypatch.setenv("ABLATA_DATA", str(tmp_path / "home"))
    assert _find("toys", tmp_path) == _find(None, tmp_path, default="toys") == tmp_path / "home" / "toys"
    with pytest.raises(DataError, match=r"data\.root is not set"):
        _find(None, tmp_path)


def test_a_zip_is_unpacked_once(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "set.zip", ["a/b.txt", "c.txt"])
    first = unpacked(archive, tmp_path / "cache")
    (first / "c.txt").write_text("touched")
    assert unpacked(archive, tmp_path / "cache") == first
    assert (first / "c.txt").read_text() == "touched"


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt"])
def test_a_zip_whose_paths_leave_it_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    archive = _zip(tmp_path / "set.zip", ["good.txt", name])
    with pytest.raises(DataError, match="stay inside"):
        unpacked(archive, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "unpacked").glob("*"))


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as container:
        member = zipfile.ZipInfo("link")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        container.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="no links"):
        unpacked(archive, tmp_path / "cache")


def test_a_damaged_zip_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "set.zip", ["good.txt"])
    archive.write_bytes(archive.read_bytes().replace(b"good.txtgood.txt", b"good.txtevil.txt", 1))
    with pytest.raises(DataError, match="must be whole"):
        unpacked(archive, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "unpacked").glob("*"))


def test_a_folder_that_was_built_half_is_never_used(tmp_path: Path) -> None:
    def killed(draft: Path) -> None:
        (draft / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(tmp_path / "built", killed)
    assert not (tmp_path / "built").exists()
    assert (build_once(tmp_path / "built", lambda draft: (draft / "whole").touch()) / "whole").exists()


def test_of_two_builders_at_once_the_second_uses_the_first(tmp_path: Path) -> None:
    target = tmp_path / "built"

    def overtaken(draft: Path) -> None:
        (draft / "late").touch()
        build_once(target, lambda other: (other / "early").touch())

    assert [file.name for file in build_once(target, overtaken).iterdir()] == ["early"]


def test_damaged_arrays_are_made_again(tmp_path: Path) -> None:
    made = []

    def fill(draft: Path) -> dict[str, object]:
        np.save(draft / "numbers.npy", np.arange(5))
        made.append(draft)
        return {"count": 5}

    for _ in range(2):
        folder, facts = stored_arrays(tmp_path / "arrays", tmp_path / "cache", fill)
    assert (len(made), facts) == (1, {"count": 5})
    (folder / "numbers.npy").write_bytes((folder / "numbers.npy").read_bytes()[:-3])
    folder, _ = stored_arrays(tmp_path / "arrays", tmp_path / "cache", fill)
    assert len(made) == 2
    assert load_array(folder / "numbers.npy").tolist() == [0, 1, 2, 3, 4]


def test_a_digest_follows_the_content_and_not_the_time(tmp_path: Path) -> None:
    file, cache = tmp_path / "set" / "a.txt", tmp_path / "cache"
    file.parent.mkdir()
    file.write_text("one")
    before = (file_digest(file, cache), folder_digest(file.parent, [file], cache))
    os.utime(file, (1, 1))
    assert (file_digest(file, cache), folder_digest(file.parent, [file], cache)) == before
    file.write_text("two")
    after = (file_digest(file, cache), folder_digest(file.parent, [file], cache))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_a_folder_digest_counts_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("same")
    (tmp_path / "b").write_text("same")
    cache = tmp_path / "cache"
    assert folder_digest(tmp_path, [tmp_path / "a"], cache) != folder_digest(tmp_path, [tmp_path / "b"], cache)


def test_a_zip_with_a_path_twice_or_one_that_no_disk_takes_is_refused_by_name(tmp_path: Path) -> None:
    for number, (second, told) in enumerate(
        (
            (("set/a.png", b"other"), r"each path once\n.*set/a\.png in"),
            (("set/a.png/b.png", b"below a file"), r"each path once\n.*set/a\.png/b\.png in"),
            ((f"set/{'n' * 300}.png", b"long"), r"that the disk takes\n.*nnn\.png in .*File name too long"),
            (("set/a.png", b"first"), ""),
        )
    ):
        archive = tmp_path / f"{number}.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as container:
            warnings.simplefilter("ignore", UserWarning)
            container.writestr("set/a.png", b"first")
            container.writestr(*second)
        if not told:
            assert (unpacked(archive, tmp_path / "cache") / "set/a.png").read_bytes() == b"first"
            continue
        with pytest.raises(DataError, match=told):
            unpacked(archive, tmp_path / "cache")
    assert len(list((tmp_path / "cache/unpacked").iterdir())) == 1
