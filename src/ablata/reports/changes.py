"""What an arm changes, in a line that a table's cell holds."""

from __future__ import annotations

from dataclasses import replace

from ablata.reports.view import ArmView, ChangeView, StudyView


def change_words(view: StudyView, arm: ArmView) -> str:
    """Return what an arm changes; one with much to tell that goes on from an arm before it is told by that one's name.

    Args:
        view: the study.
        arm: one of its arms.

    Returns:
        All changes where they are short, else those beyond the arm that leaves the fewest (`ffm, and model.x: 1 → 2`),
        long values cut off; empty for the control.
    """
    if arm.summary == arm.change:
        return arm.summary
    keys = {change.key for change in arm.changes}
    earlier = view.treatments[: view.treatments.index(arm)]
    added = {
        base.name: _added(base, arm)
        for base in earlier
        if base.changes and keys.issuperset(change.key for change in base.changes)
    }
    name = min(reversed(added), key=lambda name: len(added[name]), default=None)
    if name is None or len(added[name]) == len(arm.changes):
        return arm.summary
    return f"{name}, and {replace(arm, changes=added[name]).summary}"


def _added(base: ArmView, arm: ArmView) -> tuple[ChangeView, ...]:
    """Return what an arm changes that the base does not, or to another value."""
    known = {change.key: change.new for change in base.changes}
    return tuple(
        replace(change, old=known.get(change.key, change.old))
        for change in arm.changes
        if known.get(change.key) != change.new
    )
