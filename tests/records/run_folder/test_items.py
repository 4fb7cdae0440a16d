"""Scores of single items: kept beside a run, read again, and refused where they are damaged."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import RecordError
from ablata.records.run_folder import items as module
from ablata.records.run_folder.items import ItemScores, has_items, read_items, write_items

VALUES = {"top1": np.array([100.0, 0.0, 100.0]), "loss": np.array([0.1, 2.5, 0.25])}
SCORES = ItemScores("val", "plain", ("a/1.png", "a/2.png", "b/1.png"), VALUES, ("a", "a", "b"))


def test_what_was_written_is_read_again_as_small_as_it_is(tmp_path: Path) -> None:
    assert read_items(tmp_path, "val", "plain") is None
    path = write_items(tmp_path, SCORES)
    found = read_items(tmp_path, "val", "plain")
    assert found is not None
    assert has_items(tmp_path, "val", "plain")
    assert not has_items(tmp_path, "val", "file.py:mine")
    assert (found.items, found.groups, found.split, found.protocol) == (SCORES.items, SCORES.groups, "val", "plain")
    for name, values in VALUES.items():
        assert found.values[name].tolist() == pytest.approx(values.tolist())
    assert found.keys == {"val/plain/top1": "top1", "val/plain/loss": "loss"}
    many = np.arange(10_000.0)
    path = write_items(tmp_path, ItemScores("val", "ss", tuple(map(str, range(10_000))), {"top1": many % 2}))
    assert path.stat().st_size < 40_000


def test_items_that_do_not_fit_each_other_are_refused() -> None:
    for parts in (
        {"items": ("a", "a", "b")},
        {"groups": ("a",)},
        {"values": {"top1": np.ones(2)}},
        {"values": {"top1": np.array([1.0, np.nan, 1.0])}},
    ):
        fitting = {"items": SCORES.items, "values": VALUES, "groups": SCORES.groups}
        with pytest.raises(ValueError, match=r"must be|need"):
            ItemScores("val", "plain", **{**fitting, **parts})  # type: ignore[arg-type]


def test_a_damaged_newer_or_huge_file_is_refused_and_nothing_in_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_items(tmp_path, SCORES)
    whole = path.read_bytes()
    np.savez(path, about=np.array("{}"), items=np.array([{"a": 1}], dtype=object))
    pickled = path.read_bytes()
    for content in (b"", b"no zip", whole[:-30], pickle.dumps(1), pickled):
        path.write_bytes(content)
        with pytest.raises(RecordError, match="must be readable"):
            read_items(tmp_path, "val", "plain")
    path.write_bytes(whole)
    monkeypatch.setattr(module, "LIMIT_BYTES", 10)
    with pytest.raises(RecordError, match="more than the 10 allowed"):
        read_items(tmp_path, "val", "plain")
