"""Studies and runs in the terminal: rich renderables, with a plain form for files and pipes.

`plain=True` leaves out colour and uses only letters and signs of ASCII in what this room adds, so that a log can be
read anywhere. Names from users are shown as text, never read as markup or terminal codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ablata.base.quantities import duration, quantity
from ablata.reports.aa import aa_words
from ablata.reports.console import Fitted, form, text
from ablata.reports.factorial.record import factorial_words
from ablata.reports.figures import Figures, clean, clip
from ablata.reports.guards import guard_words
from ablata.reports.pick import EXPECTED
from ablata.reports.rounds import HEADS, round_rows
from ablata.reports.run_views import RunView
from ablata.reports.standing.words import warned_words
from ablata.reports.view import ArmView, CompareView, StudyView, as_json
from ablata.reports.words import SIGNS, answer, cost_words, plan_words, reading_words, rule_words, verdict_words

STYLES = {
    "better": "bold cyan",
    "worse": "bold red",
    "equivalent": "bold blue",
    "undecided": "yellow",
    "unstable": "bold magenta",
}
PLAIN_SIGNS = {"better": "+", "worse": "-", "equivalent": "=", "undecided": "?", "unstable": "!"}


def study_report(view: StudyView, *, plain: bool = False) -> RenderableType:
    """Return the whole report: question, answer, what the study can find, verdict table, forest lines, rule."""
    parts: list[RenderableType] = [
        Text(clean(view.question or view.name), style="" if plain else "bold"),
        answer_text(view, plain=plain),
        *(text(words, plain, "dim") for words in (plan_words(view),) if words),
        Text(),
        study_status(view, plain=plain),
    ]
    if any(arm.effect for arm in view.treatments) and view.pick is None:
        parts += [Text(), forest_lines(view, plain=plain)]
    if view.rounds:
        parts += [Text(), rounds_table(view, plain=plain)]
    factorial = factorial_words(view.factorial) if view.factorial else ()
    for block in (
        guard_words(view),
        aa_words(view, _figures(view, plain)),
        view.fork,
        factorial,
        (f"Rule: {rule_words(view)}.",),
        _warnings(view),
    ):
        if block:
            parts += [Text(), *(text(words, plain, "dim") for words in block)]
    return Group(*parts)


def study_status(view: StudyView, *, plain: bool = False) -> RenderableType:
    """Return the verdict table and, while the study runs, how far it is; what a live display shows and refreshes."""
    table, progress = verdict_table(view, plain=plain), progress_words(view)
    return Group(table, text(progress, plain, "dim")) if progress else table


def rounds_table(view: StudyView, *, plain: bool = False) -> Table:
    """Return the table of rounds, each beside the one before it."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    for place, head in enumerate(HEADS):
        table.add_column(text(head.lower(), plain), justify="right" if place in (2, 3, 4) else "left")
    for row, one in zip(round_rows(view), view.rounds, strict=True):
        cells = [text(word, plain) for word in row]
        if one.worse and not plain:
            cells[3].stylize("red")
        table.add_row(*cells)
    return table


def answer_text(view: StudyView, *, plain: bool = False) -> Text:
    """Return the one-sentence answer with the arms' names in bold."""
    said = Text()
    for piece in answer(view, _figures(view, plain)):
        said.append(form(piece.text, plain), style="bold" if piece.strong and not plain else "")
    return said


def verdict_table(view: StudyView, *, plain: bool = False) -> Fitted:
    """Return the table of arms; a narrow console gets fewer columns.

    Args:
        view: the study as it stands.
        plain: without colour and frame.
    """
    corrected = ("corrected",) if any(arm.corrected is not None for arm in view.arms) else ()
    if view.pick is not None:
        dropped_last = ("memory", "seconds", "mean", "seeds")
        kept = ("arm", "seeds", "mean", "effect", "verdict", "seconds", "memory")
        return Fitted([
            _arms([name for name in kept if name not in dropped_last[:count]], view, plain)
            for count in range(len(dropped_last) + 1)
        ])  # fmt: skip
    wide = ("arm", "seeds", "mean", "effect", *corrected, "interval", "verdict", "seconds", "memory")
    dropped = ("memory", "seconds", "mean", "seeds", *corrected, "interval")
    choices = [[name for name in wide if name not in dropped[:count]] for count in range(len(dropped) + 1)]
    return Fitted([_arms(columns, view, plain) for columns in choices])


def _arms(columns: list[str], view: StudyView, plain: bool) -> Table:
    """The verdict table with the columns given."""
    figures = _figures(view, plain)
    unit = f" ({figures.difference_unit})" if figures.difference_unit else ""
    heads = {"mean": view.metric.name, "effect": f"{EXPECTED if view.pick else 'effect'}{unit}", "seconds": "time"}
    heads |= {} if view.pick is None else {"verdict": "best", "seeds": "runs"}
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    for name in columns:
        head = text(heads.get(name, name), plain)
        table.add_column(
            head,
            justify="left" if name in ("arm", "verdict", "interval") else "right",
            no_wrap=name != "arm",
            overflow="fold",
        )
    for arm in view.arms:
        cells: dict[str, str | Text] = {
            "arm": Text(form(arm.name, plain), style="" if plain else "bold"),
            "seeds": (f"{arm.done}" if view.pick else f"{arm.done}/{arm.planned}")
            + (f", {arm.lost}" if arm.lost else ""),
            "mean": figures.score(arm.mean.value) if arm.mean else "–",
            "effect": figures.number(arm.effect.value, sign=True) if arm.effect else "–",
            "corrected": figures.number(arm.corrected, sign=True) if arm.corrected is not None else "–",
            "interval": figures.span(arm.effect, sign=True),
            "verdict": _verdict(arm, view.rule.mode, plain),
            "seconds": cost_words("seconds", arm, view.control),
            "memory": cost_words("memory", arm, view.control),
        }
        row = (cells[name] for name in columns)
        table.add_row(*(cell if isinstance(cell, Text) else text(cell, plain) for cell in row))
    return table


def progress_words(view: StudyView) -> str | None:
    """Say how far a study is, and how long it may still take; None if it is finished or has no runs."""
    progress = view.progress
    if view.finished or not progress.planned:
        return None
    left = f", about {duration(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    running = f", {progress.running} running" if progress.running else ""
    return f"{progress.done} of {progress.planned} runs done{running}{left}"


def forest_lines(view: StudyView, width: int = 48, *, plain: bool = False) -> Text:
    """Draw one line an arm: the interval as a stroke, the effect as its verdict's sign, a margin as brackets.

    Args:
        view: the study.
        width: columns of the plot, without the names.
        plain: without colour, in ASCII.
    """
    arms = [arm for arm in view.treatments if arm.effect and math.isfinite(arm.effect.value)]
    values = [value for arm in arms if arm.effect for value in (arm.effect.value, arm.effect.low, arm.effect.high)]
    ends = [abs(value) for value in values if value is not None and math.isfinite(value)]
    reach = max([0.0, *ends, 1.25 * (view.margin or 0.0)]) or 1.0
    room = min(max((len(arm.name) for arm in arms), default=0), 28)
    lines = Text(no_wrap=True)
    for arm in arms:
        assert arm.effect is not None
        lines.append(form(clip(clean(arm.name), room), plain).ljust(room + 2))
        _draw(lines, arm, reach, view.margin, width, plain)
        lines.append("\n")
    figures = _figures(view, plain)
    left, middle, right = figures.number(-reach, sign=True), "0", figures.number(reach, sign=True)
    half = width // 2
    lines.append(
        " " * (room + 2) + left.ljust(half) + middle + right.rjust(width - half - 1), style="" if plain else "dim"
    )
    return lines


def _draw(lines: Text, arm: ArmView, reach: float, margin: float | None, width: int, plain: bool) -> None:
    """Append one arm's line of `width` columns, zero in the middle."""
    assert arm.effect is not None
    half = width // 2

    def column(value: float) -> int:
        return min(max(half + round(value / reach * (width - half - 1)), 0), width - 1)

    stroke, zero, bars = ("-", "|", "[]") if plain else ("─", "│", "╎╎")
    line = [" "] * width
    style = ["dim"] * width
    if margin is not None:
        line[column(-margin)], line[column(margin)] = bars[0], bars[1]
    line[half] = zero
    if arm.effect.low is not None and arm.effect.high is not None:
        for place in range(column(arm.effect.low), column(arm.effect.high) + 1):
            line[place], style[place] = stroke, STYLES.get(arm.verdict or "", "")
    at = column(arm.effect.value)
    signs = PLAIN_SIGNS if plain else SIGNS
    line[at], style[at] = signs.get(arm.verdict or "", "o"), STYLES.get(arm.verdict or "", "")
    for colour, group in groupby(zip(style, line, strict=True), key=itemgetter(0)):
        lines.append("".join(letter for _, letter in group), style="" if plain else colour)


_LEVELS = "▁▂▃▄▅▆▇█"
_PLAIN_LEVELS = "_.-=+*#"
_WIDTH = 40


def curve_line(steps: Sequence[int], values: Sequence[float], plain: bool = False) -> str:
    """Draw a curve in a line: its first value, its course from low to high, its last value and step.

    Args:
        steps, values: the points, by rising step.
        plain: with letters and signs of ASCII alone; `!` stands for a value that is not finite.
    """
    count = min(len(values), _WIDTH)
    places = [round(place * (len(values) - 1) / max(count - 1, 1)) for place in range(count)]
    shown = [values[place] for place in places]
    finite = [value for value in shown if math.isfinite(value)]
    low, span = min(finite, default=0.0), max(finite, default=0.0) - min(finite, default=0.0)
    levels = _PLAIN_LEVELS if plain else _LEVELS
    course = "".join(
        "!" if not math.isfinite(value) else levels[round((value - low) / span * (len(levels) - 1)) if span else 0]
        for value in shown
    )
    return f"{values[0]:.4g} {course} {values[-1]:.4g} (steps {steps[0]} to {steps[-1]})"


def age(created: str) -> str:
    """Write how long ago an ISO 8601 time was, in its largest unit; `0 min` within the first minute."""
    seconds = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds() if created else math.nan
    if not math.isfinite(seconds):
        return "–"
    units = (("d", 86400), ("h", 3600), ("min", 60))
    name, length = next(((name, length) for name, length in units if seconds >= length), units[-1])
    return f"{max(0, int(seconds // length))} {name}"


_MOST_SETTINGS = 60
"""Letters of the settings in a row of the table of runs."""


def runs_table(runs: Sequence[RunView], *, plain: bool = False) -> Table:
    """Return a table of runs."""
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    columns = ("run", "recipe", "seed", "state", "study", "age", "time", "size", "settings", "scores")
    for name in columns:
        table.add_column(name, justify="right" if name in ("seed", "age", "time", "size") else "left", overflow="fold")
    styles = {
        "completed": "green",
        "running": "cyan",
        "interrupted": "yellow",
        "failed": "red",
        "diverged": "magenta",
        "waiting": "dim",
        "cancelled": "dim",
    }
    for run in runs:
        scores = ", ".join(f"{name} {value:.6g}" for name, value in run.scores) or run.error
        settings = clip(" ".join(run.settings), _MOST_SETTINGS)
        row = (run.id, run.recipe or run.arm, str(run.seed), run.state, " ".join(run.studies), age(run.created),
               duration(run.seconds), quantity(run.bytes, "B"), settings, scores)  # fmt: skip
        cells = [text(cell, plain) for cell in row]
        cells[3].stylize("" if plain else styles.get(run.state, ""))
        table.add_row(*cells)
    return table


def runs_json(runs: Sequence[RunView]) -> list[dict[str, Any]]:
    """Return runs as a list of dicts for `--json`; scores are a dict by name."""
    return [{**as_json(run), "scores": {name: as_json(value) for name, value in run.scores}} for run in runs]


def compare_report(view: CompareView, *, plain: bool = False) -> RenderableType:
    """Return two runs side by side: settings that differ, then scores."""
    frame = None if plain else box.SIMPLE_HEAD
    settings = Table(box=frame, pad_edge=False, header_style="" if plain else "dim")
    scores = Table(box=frame, pad_edge=False, header_style="" if plain else "dim")
    for table, first in ((settings, "setting"), (scores, "score")):
        table.add_column(first, overflow="fold")
        for run in (view.first, view.second):
            table.add_column(text(run.id, plain), justify="left" if table is settings else "right", overflow="fold")
    scores.add_column("difference", justify="right")
    for change in view.changes:
        settings.add_row(*(text(cell, plain) for cell in (change.key, change.old, change.new)))
    for pair in view.scores:
        scores.add_row(*(text(cell, plain) for cell in pair.cells))
    same = text("The two recipes are the same.", plain)
    notes = [text(note, plain, "yellow") for note in view.notes]
    return Group(*notes, settings if view.changes else same, Text(), scores)


def _verdict(arm: ArmView, mode: str, plain: bool) -> Text:
    words = verdict_words(arm, mode)
    if arm.verdict is None:
        return Text(words, style="" if plain else "dim")
    sign = (PLAIN_SIGNS if plain else SIGNS)[arm.verdict]
    return Text(f"{sign} {words}", style="" if plain else STYLES[arm.verdict])


def _warnings(view: StudyView) -> tuple[str, ...]:
    notes = (*(f"{arm.name}: {note}." for arm in view.arms for note in arm.notes), *view.caveats, *view.code_notes)
    notes = (*view.impossible, *notes)
    classes = len(view.environments)
    notes = (*warned_words(view), *reading_words(view), *notes)
    return notes if classes < 2 else (*notes, f"The runs were made on {classes} kinds of machines or versions.")


def _figures(view: StudyView, plain: bool) -> Figures:
    return Figures.of(view, minus="-" if plain else "−")
