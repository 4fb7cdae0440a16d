"""The page of a log of trials: its walk beside what chance does, each kept change, what was discarded."""

from __future__ import annotations

import math

from markupsafe import Markup

from ablata.reports.html import Header, page
from ablata.reports.plots.drawing import Scale, element, image, line, mark, path, reach, text, tick_labels, ticks
from ablata.reports.sections import (
    FigureSection,
    RepeatSection,
    Section,
    TableCell,
    TableSection,
    TermsSection,
)
from ablata.reports.trial_log.words import TrialLogView, log_answer, log_rule, log_title, log_worth
from ablata.stats import mean_of_best

_SIGNS = {"beyond chance": "better", "hidden by noise": "undecided", "no gain": "worse", "noise not known": "undecided"}
_MOST_DOTS = 2000


def trial_log_page(view: TrialLogView) -> str:
    """Return the report of a log as one HTML document."""
    header = Header(
        kind="Log of trials",
        name=view.name,
        title=log_title(view),
        answer=log_answer(view),
        facts=(
            ("score", f"{view.score}, {'higher' if view.higher_is_better else 'lower'} is better"),
            ("rule", log_rule(view)),
        ),
    )
    sections: list[Section] = [
        FigureSection(
            title="The walk, and what chance does",
            ident="walk",
            wide=_walk(view, 1024.0, "walk-wide"),
            narrow=_walk(view, 340.0, "walk-narrow"),
            caption="Each dot is a run; the line is the best that was kept. ▲ is a kept change beyond chance, ○ one "
            "that could have been noise. " + _band_words(view),
        ),
        TermsSection(title="What the best is worth", ident="worth", sentences=tuple(log_worth(view)), terms=()),
        _kept_table(view),
        _discarded_table(view),
        TermsSection(
            title="How to read this",
            ident="words",
            sentences=tuple(f"{note[:1].upper()}{note[1:]}." for note in view.notes),
            terms=(
                ("claimed", "the run's score minus the best one kept before it: what the loop saw when it decided"),
                ("beyond chance", "the step is larger than chance does anywhere in such a log"),
                ("hidden by noise", "chance does as much; the change may help, harm or do nothing"),
            ),
        ),
    ]
    if view.commands:
        sections.append(RepeatSection(title="Repeat it", ident="repeat", commands=view.commands, hashes=()))
    return page(header, sections)


def _kept_table(view: TrialLogView) -> TableSection:
    figures, rows = view.figures, []
    for kept in view.result.kept:
        run, standing = view.runs[kept.index], view.standing(kept)
        rows.append(
            (
                TableCell(text=run.label, note=f"row {run.row}{f', {run.commit}' if run.commit else ''}"),
                TableCell(text=figures.number(run.score), order=run.score, class_="number"),
                TableCell(text=figures.number(kept.claimed, sign=True), order=kept.claimed, class_="number"),
                TableCell(text=standing, note=view.detail(kept), class_=f"verdict {_SIGNS[standing]}"),
            )
        )
    return TableSection(
        title="Kept changes",
        ident="kept",
        columns=("Change", view.score, "Claimed", "Could it be seen?"),
        rows=tuple(rows),
        caption="" if rows else "No change was kept.",
    )


def _discarded_table(view: TrialLogView) -> TableSection:
    lost = [run for run in view.runs if not run.kept]
    rows = tuple(
        (
            TableCell(text=run.label, note=f"row {run.row}{f', {run.commit}' if run.commit else ''}"),
            TableCell(text=view.figures.number(run.score), order=run.score, class_="number"),
        )
        for run in lost
    )
    return TableSection(
        title="Discarded changes",
        ident="discarded",
        columns=("Change", view.score),
        rows=rows,
        caption=f"{len(rows)} discarded changes" if rows else "No change with a score was discarded.",
        folded=bool(rows),
    )


def _band_words(view: TrialLogView) -> str:
    if view.result.noise is None:
        return "The noise of one run is not known, so what chance does is not drawn."
    return "The band shows where the best of so many runs would stand on average if no change did anything."


def _walk(view: TrialLogView, width: float, ident: str) -> Markup:
    """Draw all runs, the best that was kept, and the band that the best of equal runs would fill."""
    height, left, right, top, bottom = 300.0, 62.0, 16.0, 12.0, 34.0
    sign, scores = (1.0 if view.higher_is_better else -1.0), [run.score for run in view.runs]
    kept = {found.index: found for found in view.result.kept}
    low, high = reach(_shown(scores, [0, *kept]))
    across = Scale(0, max(len(scores) - 1, 1), left, width - right)
    upward = Scale(low, high, height - bottom, top)
    parts = [line(left, upward(value), width - right, upward(value), "grid") for value in ticks(low, high)]
    marks = ticks(low, high)
    parts += [
        text(left - 6, upward(value) + 4, label, "tick small", "end")
        for value, label in zip(marks, tick_labels(marks), strict=True)
    ]
    if view.result.noise is not None:
        grid = sorted({round(place) for place in _spread(len(scores))})
        ends = [
            (across(place), upward(scores[0] + sign * view.result.noise.sd * mean_of_best(place + 1))) for place in grid
        ]
        base = upward(scores[0])
        parts.append(element("path", d=path([(left, base), *ends, (ends[-1][0], base)]) + "Z", class_="margin"))
    step = max(1, len(scores) // _MOST_DOTS)
    parts += [mark(None, across(place), upward(scores[place]), 2.5) for place in range(0, len(scores), step)
              if place not in kept]  # fmt: skip
    corners, best = [(across(0), upward(scores[0]))], scores[0]
    for place in kept:
        if sign * scores[place] > sign * best:
            corners += [(across(place), upward(best)), (across(place), upward(scores[place]))]
            best = scores[place]
    corners.append((width - right, upward(best)))
    parts.append(element("path", d=path(corners), class_="interval none", fill="none"))
    parts += [
        mark(_SIGNS[view.standing(found)], across(place), upward(scores[place]), 5) for place, found in kept.items()
    ]
    parts.append(line(left, height - bottom, width - right, height - bottom, "axis"))
    parts.append(text((left + width - right) / 2, height - 8, f"runs 1 to {len(scores)}", "small muted", "middle"))
    seen = sum(view.standing(found) == "beyond chance" for found in kept.values())
    return image(
        width, height, f"{view.score} of {len(scores)} runs, and the best that was kept",
        f"{len(kept)} kept changes, {seen} of them beyond chance", *parts, ident=ident, class_="walk",
    )  # fmt: skip


def _spread(count: int, points: int = 80) -> list[float]:
    return [index * (count - 1) / points for index in range(points + 1)]


def _shown(scores: list[float], always: list[int]) -> list[float]:
    """Return the scores that set the axis: those of kept changes, and others that do not lie far from them."""
    sure = [scores[index] for index in always]
    slack = max(max(sure) - min(sure), _middle([abs(score - sure[0]) for score in scores]))
    return [score for score in scores if min(sure) - slack <= score <= max(sure) + slack and math.isfinite(score)]


def _middle(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
