"""From a reading to the ledger: trials, plans and remarks as entries, the whole text beside them."""

from __future__ import annotations

from heapq import merge
from operator import attrgetter
from typing import Any

from ablata.notebooks.reader.model import NotedTrial, NoteLine, NotesReading, SettingValue, scores_by_name
from ablata.notebooks.reader.overrides import arguments, overrides
from ablata.records.ledger import Ledger
from ablata.records.rows import NoteEntry, NoteFile

BETWEEN = " > "
"""What stands between the headings of a section."""


def keep(ledger: Ledger, reading: NotesReading) -> None:
    """Write a reading to the ledger, in place of what was read from the same file before."""
    trials = (_of_trial(reading, trial) for trial in reading.trials)
    lines = (_of_line(reading, line) for line in reading.lines if line.kind in ("plan", "remark"))
    file = NoteFile(
        source=reading.source,
        digest=reading.digest,
        encoding=reading.encoding,
        counts={str(kind): count for kind, count in reading.counts.items()},
    )
    ledger.notes.replace(file, reading.text, merge(trials, lines, key=attrgetter("line")))


def trial_facts(reading: NotesReading, trial: NotedTrial) -> dict[str, Any]:
    """Return a trial as JSON has it, with the overrides of a recipe that its settings amount to."""
    return {
        "lines": [trial.first, trial.last],
        "section": list(trial.section),
        "label": trial.label,
        "settings": _settings(trial),
        "overrides": arguments(overrides(trial.settings)),
        "scores": scores_by_name(trial.scores),
        "claim": trial.claim,
        "remark": trial.remark,
        "folded_lines": trial.steps,
        "original": _original(reading, trial),
    }


def _settings(told: NotedTrial | NoteLine) -> dict[str, SettingValue]:
    return {setting.name: setting.value for setting in told.settings}


def _original(reading: NotesReading, trial: NotedTrial) -> str:
    """Return a trial's lines as written; of folded ones the last."""
    return reading.original(trial) if trial.steps == 1 else reading.lines[trial.last - 1].text


def _of_trial(reading: NotesReading, trial: NotedTrial) -> NoteEntry:
    return NoteEntry(
        source=reading.source,
        line=trial.first,
        last=trial.last,
        kind="trial",
        section=BETWEEN.join(trial.section) or None,
        label=trial.label or None,
        settings=_settings(trial),
        scores=scores_by_name(trial.scores),
        claim={"verdict": trial.claim} if trial.claim else None,
        remark=trial.remark or None,
        original=_original(reading, trial),
    )


def _of_line(reading: NotesReading, line: NoteLine) -> NoteEntry:
    claim = {"state": line.state} if line.state else {"verdict": line.claim} if line.claim else None
    return NoteEntry(
        source=reading.source,
        line=line.number,
        last=line.number,
        kind="plan" if line.kind == "plan" else "remark",
        section=BETWEEN.join(line.section) or None,
        label=line.label or None,
        settings=_settings(line),
        scores={},
        claim=claim,
        remark=line.remark or None,
        original=line.text,
    )
