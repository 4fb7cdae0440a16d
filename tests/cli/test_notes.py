from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ablata = Callable[..., Any]

NOTES = """# 损失
baseline: 70.5
ohem, lr=1e-2: 71.25 - 提高不少
focal:
lamb: discard
都差不多
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A file of notes."""
    path = tmp_path / "notes.txt"
    path.write_text(NOTES, encoding="utf-8")
    return path


def test_notes_are_read_counted_and_shown(ablata: Ablata, notes: Path, tmp_path: Path) -> None:
    answer = ablata("notes", "read", str(notes), "--html", str(tmp_path / "page.html"))
    assert answer.status == 0
    assert "6 lines (2 trial, 1 remark, 1 heading, 2 plan), 2 trials, 1 plan without a result" in answer.out
    assert "提高不少" in (tmp_path / "page.html").read_text(encoding="utf-8")
    table = ablata("notes", "table", str(notes)).out
    assert "ohem" in table
    assert "71.25" in table
    assert "baseline" not in ablata("notes", "table", str(notes), "--claim", "better").out


def test_what_was_read_is_searched_and_planned(ablata: Ablata, notes: Path) -> None:
    ablata("notes", "read", str(notes))
    found = ablata("notes", "search", "OHEM", "better")
    assert "notes.txt:3" in found.out
    assert "1 of 5 entries" in found.err
    assert ablata("notes", "search", "损失", "--kind", "plan").out.count("notes.txt") == 2
    assert "focal" in ablata("notes", "plan").out
    assert "lamb" not in ablata("notes", "plan").out
    assert "lamb" in ablata("notes", "plan", "--all").out


def test_scripts_read_json(ablata: Ablata, notes: Path) -> None:
    (read,) = json.loads(ablata("notes", "read", str(notes), "--json").out)
    assert read["counts"]["not understood"] == 0
    assert read["trials"][1]["overrides"] == ["optim.lr=0.01"]
    assert read["trials"][1]["lines"] == [3, 3]
    assert json.loads(ablata("notes", "plan", str(notes), "--json").out)[0]["label"] == "focal"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("notes read nowhere.txt", "nowhere.txt"),
        ("notes read binary.bin", "is binary"),
        ("notes read empty.txt", "is empty"),
        ("notes table notes.txt --claim good", "--claim must be one of"),
        ("notes search x --kind odd", "--kind must be one of"),
        ("notes", "Usage"),
    ],
)
def test_wrong_usage_of_notes_is_told_in_words(
    ablata: Ablata, notes: Path, tmp_path: Path, line: str, words: str
) -> None:
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)))
    (tmp_path / "empty.txt").write_text("")
    answer = ablata(*line.split())
    assert answer.status == 2
    assert words in answer.out + answer.err
    assert "Traceback" not in answer.out + answer.err
