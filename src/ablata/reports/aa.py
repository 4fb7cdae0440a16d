"""What a study of the control against itself says of its noise, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablata.reports.figures import Figures
from ablata.reports.view import StudyView

if TYPE_CHECKING:
    from ablata.stats import AaResult


def aa_answer(view: StudyView, result: AaResult) -> str:
    """Say in one sentence whether the noise is what the rule takes it for."""
    if not result.enough and not view.finished:
        return f"Nothing can be told yet: {result.runs} of {view.rule.seeds} runs have a score."
    if not result.enough:
        return f"Nothing can be told: only {result.runs} runs have a score."
    if result.constant:
        return f"The score does not vary: all {result.runs} runs have the same, so no study of this control can decide."
    if result.sound:
        return f"The noise is what the rule takes it for, as far as {result.runs} runs can show."
    return "The noise is not what the rule takes it for."


def aa_words(view: StudyView, figures: Figures | None = None) -> tuple[str, ...]:
    """Return what the runs of the control show, a sentence or two each; empty for any other study."""
    result, figures = view.aa, figures or Figures.of(view)
    if result is None or not result.enough:
        return ()
    if result.constant or result.sd is None or result.sd_low is None or result.sd_high is None:
        return (
            "Either the seed does nothing (see that it reaches whatever draws at random), or the score is at its "
            "limit, or it is read from the wrong place.",
        )
    apart = 1.96 * math.sqrt(2) * result.sd
    found = [
        f"One run has a standard deviation of {figures.amount(result.sd)} ({figures.number(result.sd_low)} to "
        f"{figures.number(result.sd_high)}, 95%): two single runs differ by more than {figures.amount(apart)} in 1 of "
        "20 pairs though nothing differs."
    ]
    return (*found, *_faults(result), *_dealt(result))


def _faults(result: AaResult) -> list[str]:
    found = []
    if result.copies:
        expected = result.expected_pairs or 0.0
        found.append(
            f"{result.equal_pairs} pairs of runs have the same score to the last digit, where its steps explain "
            f"{'none' if expected < 0.5 else f'about {expected:.0f}'}: some runs are copies (a seed that not all of "
            "the program reads, a result that is kept and used again)."
        )
    if result.moves and result.trend is not None:
        found.append(
            f"The score {'rises' if result.trend > 0 else 'falls'} with the order of the runs (rank correlation "
            f"{result.trend:+.2f}): they are not independent. Look for what a run leaves to the next: a checkpoint, a "
            "cache, a file that grows."
        )
    elif result.depends and result.serial is not None:
        like = "like" if result.serial > 0 else "unlike"
        found.append(
            f"Runs are {like} the one before (correlation {result.serial:+.2f}): they are not independent. Look for "
            "what a run leaves to the next, or for what changes with time."
        )
    if result.odd:
        found.append(
            "The noise is far from normal: a run stands alone, or there are two kinds of runs. The rule's error rate "
            "was tried on such noise and holds, but it finds less; see what the odd runs have in common."
        )
    return found


def _dealt(result: AaResult) -> list[str]:
    if result.dealt is None:
        return []
    ends = "more than twice as many as" if result.too_many else "where"
    return [
        f"Dealt at random to a control and an arm of {result.dealt_seeds} seeds each, in which nothing differs, "
        f"{100 * result.dealt:.1f}% of studies get a verdict, {ends} the rule allows {100 * result.alpha:g}%."
    ]
