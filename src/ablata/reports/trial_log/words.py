"""A log of trials in words: what was claimed beside what could be seen, in the terminal and as rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ablata.base.quantities import two_digits
from ablata.reports.console import text
from ablata.reports.figures import Figures, clip
from ablata.reports.words import Piece
from ablata.stats import KeptTrial, TrialLogResult

_LONGEST = 60
_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class LogRun:
    """A run of a log that has a score.

    Args:
        row: of the table.
        commit: of its code, or empty.
        words: what was tried.
        kept: whether its change was kept.
        score: its score.
    """

    row: int
    commit: str
    words: str
    kept: bool
    score: float

    @property
    def label(self) -> str:
        """What it is called: its words, else its commit, else its row."""
        return self.words or self.commit or f"row {self.row}"


@dataclass(frozen=True, kw_only=True)
class TrialLogView:
    """What a log tells.

    Args:
        name: of the file.
        score: the score's name.
        higher_is_better: whether higher scores are better.
        alpha: share of logs without any effect in which a change is called beyond chance.
        runs: those with a score, in order; `result` counts them.
        crashed: how many runs have none.
        result: what can be seen.
        given: whether the noise was told, rather than found from repeats.
        repeated: whether code was run more than once.
        notes: what was guessed.
        commands: what to type to judge it again.
    """

    name: str
    score: str
    higher_is_better: bool
    alpha: float
    runs: tuple[LogRun, ...]
    crashed: int
    result: TrialLogResult
    given: bool
    repeated: bool = False
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @cached_property
    def figures(self) -> Figures:
        """How numbers are written: two digits of the noise, else of the smallest step."""
        noise = self.result.noise
        steps = [abs(kept.claimed) for kept in self.result.kept if kept.claimed]
        size = noise.sd if noise else min(steps, default=1.0)
        return Figures(decimals=min(max(1 - math.floor(math.log10(size)), 0), 12))

    def standing(self, kept: KeptTrial) -> str:
        """Say of a kept change whether it could be seen, as the page of the notebooks does."""
        if kept.difference == 0 or (kept.difference > 0) != self.higher_is_better:
            return "no gain"
        if kept.seen is None:
            return "noise not known"
        return "beyond chance" if kept.seen else "hidden by noise"

    def detail(self, kept: KeptTrial) -> str:
        """Say what a standing rests on."""
        again = f" when run again ({self.figures.number(kept.difference, sign=True)})" if kept.again else ""
        if self.standing(kept) == "no gain":
            return f"not better than the best before it{again}"
        if kept.threshold is None:
            return f"seen only if the noise of one run is below {two_digits(kept.tolerable)}{again}"
        chance = f"a step of chance is {self.figures.number(kept.threshold)} at most{again}"
        if kept.seen or not kept.runs:
            return chance
        # One run a side there was: it would do for a single change and a noise that is known well.
        found = f"{kept.runs} runs a side find such an effect" if kept.runs > 1 else "run both sides again to tell"
        return f"{chance}; {found}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each kept change."""
        return [
            {
                "row": self.runs[kept.index].row,
                "commit": self.runs[kept.index].commit,
                "change": self.runs[kept.index].label,
                "score": self.runs[kept.index].score,
                "claimed": kept.claimed,
                "difference": kept.difference,
                "threshold": kept.threshold,
                "standing": self.standing(kept),
                "runs_to_see_it": kept.runs,
            }
            for kept in self.result.kept
        ]


def log_title(view: TrialLogView) -> str:
    """Return the question that the report answers."""
    if not (count := len(view.result.kept)):
        return "Which kept changes could have been noise?"
    if count == 1:
        return "Could the kept change have been noise?"
    return f"Which of the {count} kept changes could have been noise?"


def log_answer(view: TrialLogView) -> tuple[Piece, ...]:
    """Return the answer in pieces."""
    result = view.result
    if not result.kept:
        return (Piece(f"None of {result.trials} changes was kept, so nothing is claimed."),)
    if result.noise is None:
        most = max(kept.tolerable for kept in result.kept)
        equal = "Its repeats are equal to the digit, so they ran with one seed. " if view.repeated else ""
        return (
            Piece("That cannot be told: the noise of one run is not known. ", strong=True),
            Piece(
                f"{equal}Run the first state two or three times more with other seeds and add the lines to the log, or "
                f"give the standard deviation of one run's {view.score} with --noise."
                + (f" From {two_digits(most)} on, no change stands out." if most else "")
            ),
        )
    seen = [kept for kept in result.kept if view.standing(kept) == "beyond chance"]
    hidden = len(result.kept) - len(seen)
    if not seen:
        which = f"All {hidden}: none is" if hidden > 1 else "Yes: it is not"
        return (Piece(which, strong=True), Piece(f" beyond what chance does in a log of {result.trials} changes."))
    named = [clip(view.runs[kept.index].label, _LONGEST) for kept in seen[:_MOST_NAMED]]
    more = f" and {len(seen) - _MOST_NAMED} more" if len(seen) > _MOST_NAMED else ""
    none = "No. " if len(result.kept) == 1 else "None. "
    pieces = [Piece(f"{hidden} of {len(result.kept)}. " if hidden else none), Piece("Beyond chance: ")]
    return (*pieces, Piece("; ".join(named), strong=True), Piece(f"{more}."))


def log_worth(view: TrialLogView) -> Iterator[str]:
    """Yield sentences about what the best score is worth, the noise, and what was discarded."""
    result, figures = view.result, view.figures
    best = view.runs[result.best]
    if result.kept:
        yield (
            f"Best: {figures.number(best.score)} ({clip(best.label, _LONGEST)}), "
            f"{figures.number(result.claimed, sign=True)} from the first state."
        )
    if result.noise is not None and result.kept:
        chance, most, left = (
            figures.amount(size or 0.0) for size in (result.chance, result.chance_most, result.at_least)
        )
        yield (
            f"If no change did anything, the best of {result.trials + 1} would still look {chance} better than the "
            f"first state on average, and by up to {most} in 95 of 100 logs. "
            + (f"At least {left} is left for the changes." if result.at_least else _luck(view))
        )
        if (again := result.again) is not None:
            count = f"{again.runs} time{'s' if again.runs > 1 else ''}"
            low, high = figures.number(again.low, sign=True), figures.number(again.high, sign=True)
            yield f"Run again {count}, it gains {figures.number(again.gain, sign=True)} [{low}, {high}]."
    yield from _noise_words(view)
    if result.discarded and result.close:
        yield (
            f"Of {result.discarded} discarded changes, {result.close} differ{'s' * (result.close == 1)} from the best "
            "before by no more than two equal runs do: one run has not shown that such a change does nothing."
        )
    if view.crashed:
        yield f"{view.crashed} run{'s' if view.crashed > 1 else ''} crashed or left no score."


def _luck(view: TrialLogView) -> str:
    seen = next((kept for kept in view.result.kept if view.standing(kept) == "beyond chance"), None)
    if seen is None:
        return "So all of it could be luck."
    return f"So the total could be luck, but not the step to {clip(view.runs[seen.index].label, _LONGEST)}."


def _noise_words(view: TrialLogView) -> Iterator[str]:
    noise = view.result.noise
    if noise is None:
        return
    figures = view.figures
    if view.given:
        yield f"Noise of one run: {figures.number(noise.sd)}, as it was given."
    else:
        low, high = (figures.number(end) for end in noise.interval())
        runs = f"{noise.df:.0f} repeat{'s' if noise.df > 1 else ''}"
        yield f"Noise of one run: {figures.number(noise.sd)} [{low}, {high}], from {runs} of equal code in the log."


def log_rule(view: TrialLogView) -> str:
    """State the rule in a sentence."""
    better = "higher" if view.higher_is_better else "lower"
    return (
        f"{better} {view.score} is better; each kept change is compared with the best kept before it, from one run of "
        f"each unless they were run again; in at most {100 * view.alpha:g}% of logs where no change does anything, "
        "some change is beyond chance"
    )


def log_report(view: TrialLogView, *, plain: bool = False) -> RenderableType:
    """Return the report for the terminal."""
    said = Text()
    for piece in log_answer(view):
        said.append(piece.text, style="bold" if piece.strong and not plain else "")
    parts: list[RenderableType] = [text(log_title(view), plain, "bold"), said]
    parts += [text(words, plain) for words in log_worth(view)]
    if view.result.kept:
        parts += [Text(), _table(view, plain)]
    parts += [Text(), text(f"Rule: {log_rule(view)}.", plain, "dim")]
    parts += [text(f"{note[:1].upper()}{note[1:]}.", plain, "dim") for note in view.notes]
    return Group(*parts)


def _table(view: TrialLogView, plain: bool) -> Table:
    table = Table(box=None if plain else box.SIMPLE_HEAD, pad_edge=False, header_style="" if plain else "dim")
    for head in ("row", "change", view.score, "claimed", "seen?", ""):
        table.add_column(text(head, plain), justify="right" if head in ("row", view.score, "claimed") else "left")
    styles = {"beyond chance": "bold cyan", "hidden by noise": "yellow"}
    for kept in view.result.kept:
        run, standing = view.runs[kept.index], view.standing(kept)
        table.add_row(
            str(run.row),
            text(clip(run.label, _LONGEST), plain),
            text(view.figures.number(run.score), plain),
            text(view.figures.number(kept.claimed, sign=True), plain),
            text(standing, plain, styles.get(standing, "")),
            text(view.detail(kept), plain, "dim"),
        )
    return table
