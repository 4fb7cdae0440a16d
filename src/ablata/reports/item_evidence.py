"""What single images say of a study, as sections of its page: how far it holds for others, finer scores, flips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ablata.base.errors import listing
from ablata.records.ledger import Ledger
from ablata.records.questions.study_items import StudyItems, study_items
from ablata.records.rows import RunRow, StudyRow
from ablata.reports.plots.bars import LabeledBar, bars
from ablata.reports.sections import GridSection, Panel, Section, TableCell, TableSection
from ablata.stats import Calibration, Outcome, Replay, procedure_of, rule_of
from ablata.stats.items.population import Flips, PopulationInterval, flips, population_interval, score_error

MOST_FINER = 3
"""Finer scores that are judged beside the first."""
MOST_FLIPS = 8
"""Images that are named of each kind and arm."""
LOSSES = ("loss", "error", "nll", "brier")


@dataclass(frozen=True, eq=False)
class _Judged:
    """The items of a study's judged rows: for each arm the seeds it has in common with the control."""

    study: StudyRow
    items: StudyItems
    arms: tuple[str, ...]
    pairs: dict[str, list[tuple[RunRow, RunRow]]]

    def differences(self, arm: str) -> NDArray[np.float64]:
        """The judged score's items, arm minus control, (seeds, items)."""
        judged = self.items.judged
        return np.array([judged[one.id] - judged[two.id] for one, two in self.pairs[arm]])


def item_sections(ledger: Ledger, name: str) -> tuple[Section, ...]:
    """Return the sections of a study whose runs kept what they got on single items; none where they did not.

    Raises:
        RecordError: there is no such study.
    """
    judged = _read(ledger, name)
    if judged is None:
        return ()
    return (_summary(ledger, judged), *_flips(judged))


def _read(ledger: Ledger, name: str) -> _Judged | None:
    study, looks = ledger.studies.get(name), ledger.studies.looks(name)
    result = looks[-1].result if looks else {}
    if not result.get("replay"):
        return None
    outcomes = Replay.from_json(result["replay"]).outcomes
    arms = ledger.studies.arms(name)
    control = next(arm.name for arm in arms if arm.is_control)
    runs = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(name)}
    first, apart = int(study.spec.get("first_seed", 0)), set(result.get("apart", ()))
    pairs: dict[str, list[tuple[RunRow, RunRow]]] = {}
    for outcome in outcomes:
        arm = result["arms"][outcome.arm - 1]
        seeds = [seed for seed in range(first, first + outcome.seeds + len(apart)) if seed not in apart]
        both = [(runs.get((arm, seed)), runs.get((control, seed))) for seed in seeds[: outcome.seeds]]
        pairs[arm] = [(one, two) for one, two in both if one and two and _done(one) and _done(two)]
    used = {run.id: run for both in pairs.values() for pair in both for run in pair}
    items = study_items(ledger, study.spec["metric"], used.values(), study.spec.get("clusters"))
    return _Judged(study, items, tuple(pairs), pairs) if isinstance(items, StudyItems) else None


def _done(run: RunRow) -> bool:
    return run.state == "completed"


def _summary(ledger: Ledger, judged: _Judged) -> TableSection:
    """Return the table of the arms: the effect on other items, flips, and the finer scores' verdicts."""
    finer = _finer(judged)
    verdicts = {name: _second(ledger, judged, name) for name in finer}
    rows = []
    for arm in judged.arms:
        table = judged.differences(arm)
        found = population_interval(table, judged.items.groups) if len(table) else None
        flipped = flips(table, len(judged.items.items)) if len(table) else None
        cells = [
            TableCell(text=arm, order=arm, class_="arm"),
            _population_cell(found),
            TableCell(text=f"{len(flipped.gained)} / {len(flipped.lost)}" if flipped else "–", class_="number"),
        ]
        cells += [_second_cell(verdicts[name].get(arm)) for name in finer]
        rows.append(tuple(cells))
    columns = ("Arm", "Effect on other images", "Won / lost", *finer)
    return TableSection(
        title="What single images say", ident="items", columns=columns, rows=tuple(rows),
        caption=_caption(judged, finer), class_="verdicts",
    )  # fmt: skip


def _population_cell(found: PopulationInterval | None) -> TableCell:
    if found is None:
        return TableCell(text="–", note="two seeds and two images are needed")
    return TableCell(
        text=_signed(found.effect),
        note=f"{_signed(found.low)} to {_signed(found.high)}; {found.items_fraction:.0%} of its uncertainty is from "
        "which images were scored",
        order=found.effect,
        class_="number",
    )


def _second_cell(outcome: Outcome | None) -> TableCell:
    if outcome is None or outcome.last.effect is None:
        return TableCell(text="–")
    span = outcome.last.interval
    note = f"{outcome.last.effect:+.3g}" + (f" ({span[0]:+.3g} to {span[1]:+.3g})" if span else "")
    word = outcome.verdict.value
    return TableCell(text=word, note=note.replace("-", "−"), order=word, class_=f"verdict {word}", verdict=word)


def _caption(judged: _Judged, finer: Sequence[str]) -> str:
    items, metric = judged.items, judged.study.spec["metric"]
    values = np.array(list(items.judged.values()))
    count = len(items.items)
    clusters = "" if items.groups is None else f" in {int(items.groups.max()) + 1} clusters"
    unit = "points" if metric.get("unit") == "%" else str(metric.get("unit", ""))
    error = score_error(values, items.groups)
    parts = [
        f"{count} images{clusters} were scored: one of them is worth {100 / count:.2g} points."
        if unit == "points"
        else f"{count} images{clusters} were scored.",
        f"On other images of this kind one run's {metric['name']} would differ by about ±{error:.2g} {unit}".rstrip()
        + " (standard error).",
        "Effect on other images: arm minus control with a 95% interval over new seeds and new images, each arm for "
        "itself; the verdicts above speak of these very images. Won / lost: images that the arm gets right more often "
        "or less often than the control, over all seeds.",
    ]
    if finer:
        parts.append(
            f"{listing(finer)}: the same rule on a finer score of the same predictions, a second verdict with its own "
            f"{rule_of(judged.study.spec).alpha:.0%}. It settles sooner but is another question: a change may move it "
            f"and not {metric['name']}."
        )
    if judged.study.spec.get("noise") == "items":
        parts.append("The noise behind the verdicts above was read from these images, as was asked before any run.")
    return " ".join(parts)


def _finer(judged: _Judged) -> list[str]:
    """Return the names of scores beside the judged one that take more than two values."""
    fine = [
        name
        for name, runs in judged.items.values.items()
        if name != judged.items.name and any(len(np.unique(values)) > 2 for values in runs.values())
    ]
    return sorted(fine)[:MOST_FINER]


def _second(ledger: Ledger, judged: _Judged, name: str) -> dict[str, Outcome]:
    """Judge a finer score by the study's rule, over the same runs; by arm."""
    spec, values = judged.study.spec, judged.items.values[name]
    lower = any(name == word or name.endswith(f"_{word}") for word in LOSSES)
    rule = replace(rule_of(spec), margin=None, history=None, futility=False, higher_is_better=not lower)
    rows = max((len(pairs) for pairs in judged.pairs.values()), default=0)
    longest = max(judged.pairs.values(), key=len, default=[])
    if not rows or rows > rule.seeds:
        return {}
    scores = np.full((rows, 1 + len(judged.arms)), np.nan)
    scores[:, 0] = [values[control.id].mean() for _, control in longest]
    row_of = {control.id: row for row, (_, control) in enumerate(longest)}
    for column, arm in enumerate(judged.arms, 1):
        for run, control in judged.pairs[arm]:
            if control.id in row_of:
                scores[row_of[control.id], column] = values[run.id].mean()
    known = ~np.isnan(scores)
    if not known.any(axis=0).all() or (known[1:] & ~known[:-1]).any():
        # An arm lost a run on the way: its finer score is not judged.
        return {}
    procedure = procedure_of(spec)
    kept = ledger.calibrations.get(procedure.calibration_key(len(judged.arms), rule))
    calibration = Calibration.from_json(kept) if kept else procedure.calibrate(len(judged.arms), rule)
    replay = procedure.replay(scores, rule, calibration)
    return {judged.arms[outcome.arm - 1]: outcome for outcome in replay.outcomes}


def _flips(judged: _Judged) -> tuple[Section, ...]:
    """Return the images on which each arm and the control disagree most, named and drawn."""
    panels = []
    for place, arm in enumerate(judged.arms):
        table = judged.differences(arm)
        if not len(table):
            continue
        found = flips(table, MOST_FLIPS)
        if rows := _bars(judged, found):
            panels.append(Panel(title=arm, drawing=bars(f"Images that {arm} flips", rows, ident=f"flips-{place}")))
    if not panels:
        return ()
    caption = (
        "The images on which an arm and the control disagree most: how much more often, over seeds, the arm got them "
        "right (won) or wrong (lost)."
    )
    groups = (("", tuple(panels)),)
    return (GridSection(title="Images that flip", ident="flips", groups=groups, caption=caption, class_="fine"),)


def _bars(judged: _Judged, found: Flips) -> list[LabeledBar]:
    names = judged.items.items
    won = [(place, gain, "won") for place, gain in zip(found.gained, found.gains, strict=True)]
    lost = [(place, gain, "lost") for place, gain in zip(found.lost, found.losses, strict=True)]
    return [
        LabeledBar(names[place], abs(gain), f"{word}, {gain:+.0f}".replace("-", "−"))
        for place, gain, word in (*won, *lost)
    ]


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
