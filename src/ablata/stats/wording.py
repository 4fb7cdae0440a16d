"""The sentences of a look: why an arm stopped, why it goes on, and what has to be said beside its verdict."""

from __future__ import annotations

from ablata.base.quantities import counted, two_digits
from ablata.stats.results import Divergence
from ablata.stats.rule import Mode, Rule, Verdict

NO_SPREAD_SETTLES = (
    "To settle it: let the seed reach the training, or take a score of finer steps or more test items. If chance has "
    "no part in the score (a size, a count), this difference is simply what it is"
)
"""What is said of runs without any spread."""


def seeds(count: int) -> str:
    """Return `1 seed`, `2 seeds`."""
    return f"{counted(count, 'seed')}"


def both_finished(count: int) -> str:
    """Return `1 seed where both finished`: the arm and the control."""
    return f"{seeds(count)} where both finished"


def reason(
    verdict: Verdict,
    rule: Rule,
    *,
    rows: int,
    finished: int,
    effect: float,
    divergence: Divergence,
    interval: tuple[float, float] | None,
    going_on: bool,
    futile: str | None,
) -> str:
    """Return why an arm stopped or goes on, for somebody who knows no statistics.

    Args:
        verdict: after the look.
        rule: the study's rule.
        rows: whole seed rows seen.
        finished: seeds at which the arm and the control finished.
        effect: arm minus control, NaN without one.
        divergence: diverged runs.
        interval: of the effect, or None when no verdict can fall at this look.
        going_on: the arm runs at the next seed.
        futile: why N seeds can hardly settle it, if so.
    """
    if verdict is Verdict.UNSTABLE:
        return f"unstable after {seeds(rows)}: {divergence.arm} runs of the arm diverged where the control's finished"
    where = seeds(rows) if finished == rows else f"{seeds(rows)}, {finished} of them finished by both"
    if verdict is Verdict.EQUIVALENT:
        return f"{verdict_words(verdict, rule)} after {where}: any difference is smaller"
    if verdict is not Verdict.UNDECIDED:
        return f"{verdict_words(verdict, rule)} after {where}: the difference is {between(interval)}"
    if futile is not None:
        return f"{seeds(rule.seeds)} cannot settle this: {futile}"
    if not rule.looks:
        needed = f"the first one needs {seeds(rule.first_look)} and the study has {rule.seeds}"
        return f"no verdict: {needed}; ask again with more"
    state = f"open after {rows} of {seeds(rule.seeds)}" if going_on else f"undecided after {where}"
    if interval is None and finished >= rule.first_look:
        return f"{state}: {no_spread(effect)}" + ("" if going_on else f". {NO_SPREAD_SETTLES}")
    if interval is None:
        so_far = f"{both_finished(finished)}, and " if finished < rows else ""
        return f"{state}: {so_far}the first verdict needs {rule.first_look}"
    beyond = "" if rule.margin is None else f", and it may be more than the margin of {rule.margin:g}"
    return f"{state}: the difference is {between(interval)}; it may be 0{beyond}"


def no_spread(effect: float) -> str:
    """Say that an arm cannot be judged, since its differences to the control do not vary."""
    return (
        f"the difference is {'0' if effect == 0 else two_digits(effect, '+')} at every seed, and without any spread "
        "nothing tells what chance alone does"
    )


def between(interval: tuple[float, float] | None) -> str:
    """Return `between -0.53 and +0.89`; a report writes it anew with the digits of its tables."""
    low, high = interval or (float("nan"), float("nan"))
    return f"between {two_digits(low, '+')} and {two_digits(high, '+')}"


def verdict_words(verdict: Verdict, rule: Rule) -> str:
    """Return the verdict as it is shown: in screen mode it only leans that way."""
    words = f"equivalent within {rule.margin:g}" if verdict is Verdict.EQUIVALENT else verdict.value
    return f"leaning {words}" if rule.mode is Mode.SCREEN else words


def futility(farthest: float, nearest: float, to_differ: float, to_equal: float, rule: Rule) -> str:
    """Return why neither verdict is in reach.

    Args:
        farthest, nearest: what |effect| may become by the last seed, in the metric's units.
        to_differ: the |effect| a difference needs then.
        to_equal: the |effect| that equivalence allows then; negative if none is small enough, or without a margin.
        rule: the study's rule.
    """
    equal = f", or equivalence below {two_digits(to_equal)}" if to_equal >= 0 else ""
    return (
        f"the effect is probably of a size between {two_digits(nearest)} and {two_digits(farthest)}, and "
        f"{seeds(rule.seeds)} only show effects above {two_digits(to_differ)}{equal}"
    )


def divergence_futility(within: int, rule: Rule) -> str:
    """Return why diverged runs leave too few seeds; `within` is the most at which both can finish."""
    return (
        f"runs diverged, so that at most {both_finished(within)} can be reached, and a verdict needs {rule.first_look}"
    )


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
        found.append(f"some runs diverged ({', '.join(counts)}): the means are over the seeds where both finished")
    if not paired:
        found.append("arm and control are not compared seed by seed: machines or versions differ, or they take no seed")
    if decided and rule.mode is Mode.SCREEN:
        found.append(f"a screening: up to {rule.alpha:.0%} of such studies have a wrong verdict somewhere")
    return tuple(found)
