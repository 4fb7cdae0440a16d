from __future__ import annotations

import sys

import pytest

from ablata.api.rows import MOST_SHOWN, ResultRows
from ablata.base.errors import SettingsError


def test_rows_are_a_sequence_of_dictionaries_with_the_same_columns() -> None:
    rows = ResultRows([{"a": 1}, {"a": 2, "b": "x"}])
    assert rows.columns == ("a", "b")
    assert rows.to_rows() == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    assert rows[1:] == ResultRows([{"a": 2, "b": "x"}])
    assert (len(rows), rows[0]["a"], rows.column("b")) == (2, 1, [None, "x"])


def test_html_escapes_what_users_wrote() -> None:
    shown = ResultRows([{"<i>": "<script>alert(1)</script>", "b": 'a" onload="x'}])._repr_html_()
    assert "<script" not in shown
    assert "<i>" not in shown
    assert "&lt;script&gt;" in shown
    assert 'onload="' not in shown


def test_text_is_a_table_and_long_ones_are_cut() -> None:
    rows = ResultRows({"step": step, "value": step / 3} for step in range(MOST_SHOWN + 5))
    lines = repr(rows).splitlines()
    assert lines[0].split() == ["step", "value"]
    assert lines[2].split() == ["1", "0.333333"]
    assert (len(lines), lines[-1]) == (MOST_SHOWN + 2, "and 5 more rows")
    assert rows._repr_html_().count("<tr>") == MOST_SHOWN + 1
    assert "no rows" in repr(ResultRows([]))


def test_a_frame_without_pandas_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SettingsError, match="needs pandas"):
        ResultRows([{"a": 1}]).to_frame()


def test_a_frame_has_the_rows_and_columns() -> None:
    pytest.importorskip("pandas")
    frame = ResultRows([{"a": 1, "b": "x"}]).to_frame()
    assert list(frame.columns) == ["a", "b"]
    assert frame.to_dict("records") == [{"a": 1, "b": "x"}]
