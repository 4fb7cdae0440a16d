"""What a program says of single items."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablata.base.errors import DataError
from ablata.trainers.items_file import find_items_file, read_items_file


def test_a_table_of_items_is_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    contents = {
        "items.csv": "item,group,acc\nb,v1,0\na,v1,100\nc,v2,100\n",
        "items.json": '[{"item": "b", "group": "v1", "acc": 0}, {"item": "a", "group": "v1", "acc": 100}, '
        '{"item": "c", "group": "v2", "acc": 100}]',
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
        found = read_items_file(tmp_path / name)
        assert (found.items, found.groups, found.keys) == (("a", "b", "c"), ("v1", "v1", "v2"), {"acc": "acc"})
        assert found.values["acc"].tolist() == [100, 0, 100]
    (tmp_path / "items.json").write_text('{"item": ["b", "a"], "acc": [1, 0]}')
    assert read_items_file(tmp_path / "items.json").values["acc"].tolist() == [0, 1]
    assert find_items_file(tmp_path) == tmp_path / "items.csv"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no row"),
        ("name,acc\na,1\n", "name, acc"),
        ("item\na\n", "column of scores"),
        ("item,acc\na,1\na,0\n", "'a' is named again"),
        ("item,acc\na,good\n", "line 2, column acc: 'good'"),
        ("item,acc\na,nan\n", "line 2, column acc"),
        ("item,acc\na\n", "line 2 has another number of columns"),
    ],
)
def test_a_table_that_is_none_is_refused_by_line_and_column(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "items.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        read_items_file(tmp_path / "items.csv")
