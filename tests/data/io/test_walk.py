"""Names of files in a data set: text on one line, or refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.data.io.walk import files_under, is_name


def test_names_of_any_writing_are_names_and_halves_of_signs_and_line_ends_are_none() -> None:
    for name in ("a b.png", "é.png", "e\u0301", "😀", "名前", "\u00a0x", "[red]", "a\u200bb"):
        assert is_name(name), name
    for name in ("\ud800", "b\udce9te.png", "a\nb", "a\x00b", "\x1b[31m", "a\tb"):
        assert not is_name(name), name


@pytest.mark.parametrize("name", [b"b\xe9te.png", b"a\nb.png", b"\x1b[31m.png"])
def test_a_file_or_folder_of_another_name_is_refused_by_it(tmp_path: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    with pytest.raises(DataError, match=r"must be text in UTF-8 on one line\n  found: .*\\(xe9|udce9|n|x1b)"):
        files_under(tmp_path)


def test_what_a_system_leaves_in_folders_is_no_file_of_a_set(tmp_path: Path) -> None:
    for name in ("Icon\r", ".DS_Store", "a.png"):
        (tmp_path / name).write_bytes(b"")
    assert [file.name for file in files_under(tmp_path)] == ["a.png"]
