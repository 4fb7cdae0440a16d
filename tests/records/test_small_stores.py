from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ablata.records import Ledger, NewArm, NewRun, TrialRow

TRIAL = TrialRow(
    source="notes.md",
    line=12,
    section="Loss",
    label="ohem 0.6",
    settings={"loss.threshold": 0.6},
    scores={"mean_iou": 0.71},
    claim={"verdict": "better"},
    remark="the baseline is not named",
    original="ohem 0.6 -> 71.0 (better)",
)


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


def test_reading_notes_again_replaces_the_trials_of_their_file_alone(ledger: Ledger) -> None:
    other = replace(TRIAL, source="other.md", claim=None)
    ledger.trials.replace("other.md", [other])
    ledger.trials.replace("notes.md", [TRIAL, replace(TRIAL, line=3)])
    assert ledger.trials.find() == [replace(TRIAL, line=3), TRIAL, other]
    ledger.trials.replace("notes.md", [TRIAL])
    assert ledger.trials.find(source="notes.md") == [TRIAL]
    ledger.trials.replace("notes.md", [])
    assert ledger.trials.find() == [other]
    with pytest.raises(ValueError, match=r"other\.md"):
        ledger.trials.replace("notes.md", [other])
