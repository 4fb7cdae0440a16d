"""What the runs of a study were made with: code, data, machines."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.base.errors import listing
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.reports.collect_runs import ENDED, environment_view
from ablata.reports.view import EnvironmentView

_MOST = 4
"""Arms that are named where code or data differ."""


def environments(ledger: Ledger, runs: Sequence[RunRow]) -> tuple[EnvironmentView, ...]:
    """Return the environment classes of the runs, the one with most runs first."""
    classes = [run.environment for run in runs if run.state in ENDED]
    order = sorted(set(classes), key=lambda one: (-classes.count(one), one))
    return tuple(environment_view(one, ledger.environments.get(one) or {}, classes.count(one)) for one in order)


def fingerprints(placed: Sequence[tuple[str, RunRow]]) -> tuple[tuple[str, str], ...]:
    """Return code and data that the runs were made with; where there are several, whose they are."""
    told: list[tuple[str, str]] = []
    for kind, values in (("code", [run.code for _, run in placed]), ("data", [run.data for _, run in placed])):
        for value in dict.fromkeys(values):
            arms = [*dict.fromkeys(arm for (arm, _), own in zip(placed, values, strict=True) if own == value)]
            whose = f" of {listing(arms[:_MOST])}{', ...' * (len(arms) > _MOST)}" if len({*values}) > 1 else ""
            told.append((kind + whose, value))
    return tuple(told)


def data_notes(placed: Sequence[tuple[str, RunRow]], control: str) -> tuple[str, ...]:
    """Return a sentence on the arms whose data are not the control's: their scores may be of other items."""
    data: dict[str, set[str]] = {}
    for arm, run in placed:
        if run.state in ENDED:
            data.setdefault(arm, set()).add(run.data)
    others = [arm for arm, known in data.items() if control in data and not known <= data[control]]
    if not others:
        return ()
    return (
        f"The data of {listing(others)} differ from those of {control}: where these are test data, scores differ for "
        "that reason too.",
    )


def code_notes(placed: Sequence[tuple[str, RunRow]]) -> tuple[str, ...]:
    """Return sentences on runs that differ in code: in ablata's own, or within an arm in the files of the user's."""
    ended = [(arm, *run.code.partition("-")[::2]) for arm, run in placed if run.state in ENDED]
    versions = len({ours for _, ours, _ in ended})
    notes = [f"The runs were made with {versions} different versions of ablata's code."] if versions > 1 else []
    for arm in dict.fromkeys(arm for arm, _, _ in ended):
        files = len({theirs for name, _, theirs in ended if name == arm})
        notes += [f"The runs of {arm} were made with {files} different versions of its own files."] if files > 1 else []
    return tuple(notes)
