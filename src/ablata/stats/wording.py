"""The sentences of a look: why an arm stopped, why it goes on, and what has to be said beside its verdict."""

from __future__ import annotations

from ablata.stats.results import Divergence
from ablata.stats.rule import Mode, Rule, Verdict


def seeds(count: int) -> str:
    """Return `1 seed`, `2 seeds`."""
    return f"{count} seed{'' if count == 1 else 's'}"


def pairs(count: int) -> str:
    """Return `1 finished pair`, `2 finished pairs`."""
    return f"{count} finished pair{'' if count == 1 else 's'}"


def reason(
    verdict: Verdict,
    rule: Rule,
    *,
    rows: int,
    finished: int,
    divergence: Divergence,
    p: float,
    bound: float | None,
    going_on: bool,
    futile: str | None,
) -> str:
    """Return why an arm stopped or goes on.

    Args:
        verdict: after the look.
        rule: the study's rule.
        rows: whole seed rows seen.
        finished: seeds at which the arm and the control finished.
        divergence: diverged runs.
        p: the p value the verdict rests on.
        bound: c_n, or None when no verdict can fall at this look.
        going_on: the arm runs at the next seed.
        futile: why N seeds can hardly settle it, if so.
    """
    if verdict is Verdict.UNSTABLE:
        return f"unstable after {seeds(rows)}: the arm diverged at {divergence.arm} where the control finished"
    if verdict is not Verdict.UNDECIDED:
        where = seeds(rows) if finished == rows else f"{seeds(rows)}, {pairs(finished)}"
        return f"{verdict_words(verdict, rule)} at {where}: p {p:.2g} < bound {bound:.2g}"
    if futile is not None:
        return f"cannot be settled within {seeds(rule.seeds)}: {futile}"
    if not rule.looks:
        return f"no verdict: the first look needs {seeds(rule.first_look)} and the study has {rule.seeds}"
    state = f"open after {rows} of {seeds(rule.seeds)}" if going_on else f"undecided at {seeds(rows)}"
    if bound is None:
        return f"{state}: {pairs(finished)}, the first look needs {rule.first_look}"
    return f"{state}: p {p:.2g} of a difference is not below {bound:.2g}, nor is that of equivalence"


def verdict_words(verdict: Verdict, rule: Rule) -> str:
    """Return the verdict as it is shown: in screen mode it only leans that way."""
    words = f"equivalent within {rule.margin:g}" if verdict is Verdict.EQUIVALENT else verdict.value
    return f"leaning {words}" if rule.mode is Mode.SCREEN else words


def futility(farthest: float, nearest: float, to_differ: float, to_equal: float) -> str:
    """Return why neither verdict is in reach.

    Args:
        farthest, nearest: what |effect| may become by the last seed, in the metric's units.
        to_differ: the |effect| a difference needs then.
        to_equal: the |effect| that equivalence allows then; negative if none is small enough.
    """
    equal = f"be at most {to_equal:.2g} for equivalence" if to_equal >= 0 else "leave no room for equivalence"
    likely = f"is likely to end in {nearest:.2g} to {farthest:.2g}"
    return f"the effect would have to pass {to_differ:.2g} or {equal}, and {likely}"


def notes(divergence: Divergence, rule: Rule, *, paired: bool, decided: bool) -> tuple[str, ...]:
    """Return what a reader has to know beside the verdict; empty in the plain case."""
    found = []
    if divergence.any:
        counts = [
            f"{count} of {whose}"
            for count, whose in (
                (divergence.arm, "the arm alone"),
                (divergence.control, "the control alone"),
                (divergence.both, "both"),
            )
            if count
        ]
        found.append(f"given no divergence: means use the seeds where both finished; seeds lost: {', '.join(counts)}")
    if not paired:
        found.append("unpaired: runs come from different environment classes, compared by Welch's t without pairing")
    if decided and rule.mode is Mode.SCREEN:
        found.append(f"leaning: the study may be wrong somewhere in {rule.alpha:.0%} of cases")
    return tuple(found)
