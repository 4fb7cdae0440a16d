from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ablata.records import Ledger, NewArm, NewRun, NoteEntry, NoteFile

TRIAL = NoteEntry(
    source="notes.md",
    line=12,
    last=13,
    kind="trial",
    section="Loss",
    label="ohem 0.6",
    settings={"loss.threshold": 0.6},
    scores={"mean_iou": 0.71, "series": [0.5, float("inf")]},
    claim={"verdict": "better"},
    remark="the baseline is not named",
    original="ohem 0.6 -> 71.0 (better)",
)
FILE = NoteFile(source="notes.md", digest="0" * 64, encoding="utf-8", counts={"trial": 2, "plan": 1})


def test_events_come_oldest_first_and_filtered(
    ledger: Ledger, new_run: Callable[..., NewRun], arms: list[NewArm]
) -> None:
    ledger.studies.create("s", "?", {}, arms)
    run = ledger.studies.enqueue("s", "control", new_run())
    ledger.events.add("info", "started", "a worker joined")
    ledger.events.add("error", "non_finite", "loss is nan at step 3", run_id=run.id)
    ledger.events.add("info", "resumed", "from step 2", run_id=run.id)
    assert [event.kind for event in ledger.events.find()] == ["started", "non_finite", "resumed"]
    assert [event.kind for event in ledger.events.find(limit=2)] == ["non_finite", "resumed"]
    assert [event.kind for event in ledger.events.find(run_id=run.id)] == ["non_finite", "resumed"]
    assert [event.kind for event in ledger.events.find(study="s", level="error")] == ["non_finite"]
    assert ledger.events.find(study="other") == []


def test_environments_and_calibrations_keep_what_was_put_first(ledger: Ledger) -> None:
    assert ledger.environments.get("e") is None
    assert ledger.calibrations.get("k") is None
    for value in (1, 2):
        ledger.environments.record("e", {"cores": value})
        ledger.calibrations.put("k", {"c": value})
    assert ledger.environments.get("e") == {"cores": 1}
    assert ledger.calibrations.get("k") == {"c": 1}


def test_reading_notes_again_replaces_the_entries_of_their_file_alone(ledger: Ledger) -> None:
    other = TRIAL._replace(source="other.md", claim=None)
    plan = TRIAL._replace(line=3, kind="plan", scores={}, claim=None)
    ledger.notes.replace(replace(FILE, source="other.md"), "other", [other])
    ledger.notes.replace(FILE, "first\ntext", [TRIAL, plan])
    assert ledger.notes.find() == [plan, TRIAL, other]
    assert ledger.notes.find(kind="plan") == [plan]
    ledger.notes.replace(FILE, "second\ntext", [TRIAL])
    assert ledger.notes.find(source="notes.md") == [TRIAL]
    assert ledger.notes.text("notes.md") == "second\ntext"
    assert ledger.notes.text("nothing.md") is None
    ledger.notes.replace(FILE, "", [])
    assert ledger.notes.find() == [other]
    assert [file.source for file in ledger.notes.files()] == ["notes.md", "other.md"]
    assert replace(ledger.notes.files()[0], time=0.0) == FILE
    with pytest.raises(ValueError, match=r"other\.md"):
        ledger.notes.replace(FILE, "", [TRIAL, other])
    assert ledger.notes.find() == [other]


def test_notes_of_any_length_and_any_signs_are_kept(ledger: Ledger) -> None:
    many = [TRIAL._replace(line=line, remark="学习率 \x00 é") for line in range(1, 2502)]
    ledger.notes.replace(FILE, "\x00", many)
    assert [entry.line for entry in ledger.notes.find()] == list(range(1, 2502))
    assert ledger.notes.find()[0].remark == "学习率 \ufffd é"
