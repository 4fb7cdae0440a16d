"""What single images say of a study, as sections of its page: how far it holds for others, finer scores, flips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ablata.base.errors import listing
from ablata.records.ledger import Ledger
from ablata.reports.items.flips import flip_sections
from ablata.reports.items.judged import JudgedItems, judged_items
from ablata.reports.sections import Section, TableCell, TableSection, TermsSection
from ablata.stats import Calibration, Outcome, procedure_of, rule_of
from ablata.stats.items.population import PopulationInterval, flips, population_interval

MOST_FINER = 3
"""Finer scores that are judged beside the first."""
LOSSES = ("loss", "error", "nll", "brier")
TITLE = "What single images say"
FINER_WORDS = {
    "loss": "minus the logarithm of the probability of the true class, lower is better",
    "margin": "the probability of the true class less that of the likeliest other one",
    "image_iou": "the mean IoU of each image alone",
    "pixel_accuracy": "pixels that are right",
    "image_AP": "the average precision of each image alone",
}
"""What the finer scores of our own tasks are."""


def item_sections(ledger: Ledger, name: str, undrawn: str = "") -> tuple[Section, ...]:
    """Return the sections of a study whose runs kept what they got on single items; none where they did not.

    Args:
        ledger: where it is.
        name: of the study.
        undrawn: why images of items may be missing.

    Raises:
        RecordError: there is no such study.
    """
    judged = judged_items(ledger, name)
    if not isinstance(judged, JudgedItems):
        if judged is None or not judged.differ:
            return ()
        return (
            TermsSection(title=TITLE, ident="items", sentences=(f"They are not used: {judged.reason}.",), terms=()),
        )
    return (_summary(ledger, judged), *flip_sections(ledger, judged, undrawn))


def _summary(ledger: Ledger, judged: JudgedItems) -> TableSection:
    """Return the table of the arms: the effect on other items, flips, and the finer scores' verdicts."""
    finer, fractions = _finer(judged), list[float]()
    verdicts = {name: _second(ledger, judged, name) for name in finer}
    rows = []
    for arm in judged.arms:
        table = judged.differences(arm)
        found = population_interval(table, judged.items.groups) if len(table) else None
        flipped = flips(table if judged.higher_is_better else -table, len(judged.items.items)) if len(table) else None
        fractions += [found.items_fraction] if found else []
        cells = [
            TableCell(text=arm, order=arm, class_="arm"),
            _population_cell(found, judged),
            TableCell(text=f"{len(flipped.gained)} / {len(flipped.lost)}" if flipped else "–", class_="number"),
        ]
        cells += [_second_cell(verdicts[name].get(arm)) for name in finer]
        rows.append(tuple(cells))
    effect = f"{judged.items.name} on other images" if judged.items.stands_for else "Effect on other images"
    columns = ("Arm", effect, "Won / lost", *finer)
    return TableSection(
        title=TITLE, ident="items", columns=columns, rows=tuple(rows), caption=_caption(judged, finer, fractions),
        class_="verdicts",
    )  # fmt: skip


def _population_cell(found: PopulationInterval | None, judged: JudgedItems) -> TableCell:
    if found is None:
        what = "images" if judged.items.groups is None else "groups of images"
        return TableCell(text="–", note=f"two seeds and two {what} are needed")
    return TableCell(
        text=_signed(found.effect),
        note=f"{_signed(found.low)} to {_signed(found.high)}",
        order=found.effect,
        class_="number",
    )


def _second_cell(outcome: Outcome | None) -> TableCell:
    if outcome is None or outcome.last.effect is None:
        return TableCell(text="–")
    span = outcome.last.interval
    note = f"{outcome.last.effect:+.3g}" + (f" ({span[0]:+.3g} to {span[1]:+.3g})" if span else "")
    word = outcome.verdict.value
    return TableCell(text=word, note=note.replace("-", "−"), order=word, class_=f"finer {word}", verdict=word)


def _caption(judged: JudgedItems, finer: Sequence[str], fractions: Sequence[float]) -> str:
    items, metric = judged.items, judged.study.spec["metric"]
    count = len(items.items)
    groups = None if items.groups is None else int(items.groups.max()) + 1
    unit = "points" if metric.get("unit") == "%" else str(metric.get("unit", ""))
    worth = f": one of them is worth {100 / count:.2g} points" if unit == "points" and judged.are_hits else ""
    grouped = "" if groups is None else f" in {groups} group{'s' * (groups > 1)}"
    parts = [f"{count} images{grouped} were scored{worth}."]
    if items.stands_for:
        parts = [
            f"No image has a part of its own in {items.stands_for}, which ranks the objects of all images together. "
            f"{items.name} stands in its place here, over the {count} that have an object."
        ]
    if groups == 1:
        parts.append("All are of one group, such as one video: they say nothing of images of another.")
    elif groups == count and (rule := judged.study.spec.get("clusters")):
        parts.append(f"No two of them belong together by --clusters {rule!r}; a name among them is {items.items[0]!r}.")
    what = "new images" if groups is None else "new groups of images, each taken as one"
    won = (
        "that the arm gets right more or less often than" if judged.are_hits else "on which it is better or worse than"
    )
    parts.append(
        f"{items.name if items.stands_for else 'Effect'} on other images: arm minus control with a 95% interval over "
        f"new seeds and {what}, each arm for "
        "itself; the verdicts above speak of these very images. Won / lost: images "
        f"{won} the control, over all seeds."
    )
    if fractions:
        low, high = (f"{100 * end:.0f}" for end in (min(fractions), max(fractions)))
        share = f"{low}%" if low == high else f"{low} to {high}%"
        parts.append(
            f"{share} of the variance behind these intervals is from which images were scored, and more of them would "
            "remove it."
        )
    if finer:
        told = [_finer_words(name, own=not metric.get("split")) for name in finer]
        parts.append(
            f"{listing(told)}: the same rule on a finer score of the same predictions, a second verdict with its own "
            f"{rule_of(judged.study.spec).alpha:.0%}. It settles sooner but is another question: a change may move it "
            f"and not {metric['name']}."
        )
    if judged.study.spec.get("noise") == "items":
        parts.append("The noise behind the verdicts above was read from these images, as was asked before any run.")
    return " ".join(parts)


def _finer_words(name: str, *, own: bool) -> str:
    """Return a finer score's name with what it is; of a program's `own` one that is in its name alone."""
    if not own and name in FINER_WORDS:
        return f"{name} ({FINER_WORDS[name]})"
    return f"{name} (lower is better)" if _is_loss(name) else name


def _finer(judged: JudgedItems) -> list[str]:
    """Return the names of scores beside the judged one that take more than two values."""
    fine = [
        name
        for name, runs in judged.items.values.items()
        if (name != judged.items.name or judged.items.stands_for)
        and any(len(np.unique(values)) > 2 for values in runs.values())
    ]
    return sorted(fine)[:MOST_FINER]


def _second(ledger: Ledger, judged: JudgedItems, name: str) -> dict[str, Outcome]:
    """Judge a finer score by the study's rule, over the same runs; by arm."""
    spec, values = judged.study.spec, judged.items.values[name]
    rule = replace(rule_of(spec), margin=None, history=None, futility=False, higher_is_better=not _is_loss(name))
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


def _is_loss(name: str) -> bool:
    return any(name == word or name.endswith(f"_{word}") for word in LOSSES)


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
