"""Seeds are addressed streams; files are whole or absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablata.base.errors import SettingsError, UserError
from ablata.base.files import (
    atomic_path,
    digest,
    draft_folder,
    inside,
    refuse_other_kind,
    remove_lost_drafts,
    write_text,
)
from ablata.base.seeds import STREAMS, derive


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.sampled_from(STREAMS), st.integers(0, 10**6))
def test_a_stream_is_the_same_for_the_same_address_and_differs_elsewhere(
    seed: int, other: int, stream: str, step: int
) -> None:
    here = derive(seed, stream, step)
    assert 0 <= here < 2**63
    assert here == derive(seed, stream, step)
    assert here != derive(seed, stream, step + 1)
    assert (here == derive(other, stream, step)) == (seed == other)
    assert len({derive(seed, name, step) for name in STREAMS}) == len(STREAMS)


def test_positions_are_not_run_together() -> None:
    assert derive(1, "order", 1, 11) != derive(1, "order", 11, 1) != derive(11, "order", 1)


def test_a_wrong_stream_name_is_refused() -> None:
    with pytest.raises(ValueError, match="augmnt"):
        derive(0, "augmnt")


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    write_text(target, "old")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    before = digest(target)
    write_text(target, "new")
    assert target.read_text() == "new"
    assert digest(target) != before


@pytest.mark.parametrize("path", ["../other", "/etc/passwd", "a/../../b", "link/secret"])
def test_paths_from_files_stay_inside_their_root(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(UserError, match="inside its root"):
        inside(root, path)
    assert inside(root, "a/b") == root / "a" / "b"


def test_who_may_read_a_file_follows_the_umask_whatever_wrote_it(tmp_path: Path) -> None:
    for mask, mode in ((0o077, 0o600), (0o022, 0o644), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            write_text(tmp_path / "plain", "x")
            with atomic_path(tmp_path / "library") as temporary:
                temporary.unlink()
                temporary.touch(mode=0o600)
            with draft_folder(tmp_path / f"folder{mask}") as draft:
                draft.rename(tmp_path / f"folder{mask}")
        finally:
            os.umask(before)
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("plain", "library")} == {mode}
        assert (tmp_path / f"folder{mask}").stat().st_mode & 0o777 == 0o777 & ~mask
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder18", "folder2", "folder63", "library", "plain"]


def test_a_folder_that_a_killed_process_left_unfinished_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    target = tmp_path / "cache"
    (lost := tmp_path / ".cache.0123abcd").mkdir()
    (lost / "part").write_text("x")
    others = [tmp_path / ".cache.mine", tmp_path / ".other.0123abcd"]
    for other in others:
        other.mkdir()
    with draft_folder(target) as draft:
        remove_lost_drafts(target)
        assert lost.exists()
        for path in (lost, draft, *others):
            os.utime(path, (0, 0))
        remove_lost_drafts(target)
        assert sorted(tmp_path.iterdir()) == sorted([draft, *others])


def test_a_file_of_another_kind_is_never_replaced(tmp_path: Path) -> None:
    for name in ("three.png", "keep.csv", "old.html", "OLD.HTM"):
        (tmp_path / name).write_text("mine")
    for name in ("three.png", "keep.csv"):
        with pytest.raises(SettingsError, match=r"must end in \.html or \.htm"):
            refuse_other_kind(tmp_path / name, (".html", ".htm"))
    with pytest.raises(SettingsError, match="must be a file"):
        refuse_other_kind(tmp_path, (".html",))
    for name in ("old.html", "OLD.HTM", "new.png"):
        refuse_other_kind(tmp_path / name, (".html", ".htm"))
