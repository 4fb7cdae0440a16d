"""The scores that a run was given after its training, as a table of its page."""

from __future__ import annotations

from collections.abc import Sequence

from ablata.records.run_folder.evaluations import EVALUATOR, StoredEvaluation
from ablata.reports.sections import Section, TableCell, TableSection

_CAPTION = (
    "Given by ablata evaluate after the training. Scores are compared only on the same data and by the same version "
    "of the evaluation; a dash where an evaluation has no versions."
)


def evaluation_sections(stored: Sequence[StoredEvaluation], data: str) -> tuple[Section, ...]:
    """Return one table of all scores, or nothing where there is none; `data` is the fingerprint of the run's own."""
    rows = [
        _row(scored, name, value, data)
        for scored in stored
        for name, value in scored.scores.items()
        if name != EVALUATOR
    ]
    if not rows:
        return ()
    columns = ("Score", "Value", "Checkpoint", "Weights", "Step", "Version", "Data", "Made")
    return (
        TableSection(
            title="Scored again", ident="evaluations", columns=columns, rows=tuple(rows), caption=_CAPTION, folded=True
        ),
    )


def _row(scored: StoredEvaluation, name: str, value: float, data: str) -> tuple[TableCell, ...]:
    version = scored.scores.get(EVALUATOR)
    full = f"{scored.split}/{scored.protocol}/{name}"
    return (
        TableCell(text=full, order=full),
        TableCell(text=f"{value:.6g}".replace("-", "−"), order=value, class_="number"),
        TableCell(text=scored.checkpoint, order=scored.checkpoint),
        TableCell(text=scored.weights, order=scored.weights),
        TableCell(text=str(scored.step), order=scored.step, class_="number"),
        TableCell(text="–" if version is None else f"{version:g}", order=version, class_="number"),
        TableCell(text="the run's own" if scored.data == data else scored.data or "not recorded", order=scored.data),
        TableCell(text=scored.made, order=scored.made),
    )
