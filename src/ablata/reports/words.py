"""Sentences of a report: what a verdict is called, what the study answers, how it was decided, what an arm changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ablata.base.errors import listing
from ablata.base.quantities import counted, duration, quantity
from ablata.reports.aa import aa_answer
from ablata.reports.figures import Figures, ratio
from ablata.reports.guards import guarded_end
from ablata.reports.pick import pick_answer, pick_rule, pick_terms, share
from ablata.reports.view import DECIDED, VERDICTS, ArmView, ChangeView, StudyView

SIGNS = {"better": "▲", "worse": "▼", "equivalent": "=", "undecided": "?", "unstable": "!"}
"""A sign for each verdict, so that colour never carries it alone."""


def verdict_words(arm: ArmView, mode: str, *, guarded: bool = True) -> str:
    """Name an arm's verdict: `better`; in screen mode `leaning better`; `control`; `not judged yet` before a look."""
    if arm.best is not None:
        return f"{share(arm.best)} best"
    if arm.is_control:
        return "control"
    if arm.verdict is None:
        return "not judged yet"
    if arm.open and arm.verdict not in DECIDED:
        return f"{arm.verdict} so far"
    told = arm.verdict
    if mode == "screen" and arm.verdict in ("better", "worse", "equivalent"):
        told = f"leaning {arm.verdict}"
    told = f"{told}, exploratory" if arm.exploratory and arm.verdict in DECIDED else told
    return told + (guarded_end(arm) if guarded else "")


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence; `strong` marks the names that a reader looks for."""

    text: str
    strong: bool = False


def answer(view: StudyView, figures: Figures | None = None, most: int = 4) -> tuple[Piece, ...]:
    """Answer the study's question in one sentence.

    Args:
        view: the study.
        figures: how numbers are written.
        most: how many decided arms are spelled out; the rest are counted.

    Returns: the sentence in pieces; arm names are strong.
    """
    figures = figures or Figures.of(view)
    arms = view.treatments
    if view.aa is not None:
        return (Piece(aa_answer(view, view.aa)),)
    if view.pick is not None:
        before, name, after = pick_answer(view, view.pick, figures)
        return tuple(piece for piece in (Piece(before), Piece(name, strong=True), Piece(after)) if piece.text)
    if not arms:
        return (Piece("There is nothing to compare: the study has no arm beside the control."),)
    if view.incomparable:
        return (Piece("Nothing can be decided: the times of these runs cannot be compared with each other."),)
    looked = [arm for arm in arms if arm.verdict is not None]
    if not looked and view.state == "finished":
        return (Piece("Nothing was decided: the study was ended before its first look."),)
    if not looked:
        return (
            Piece(f"Nothing is decided yet: the first verdict comes at {view.rule.first_look} seeds of every arm."),
        )
    decided = sorted(
        (arm for arm in looked if arm.verdict in DECIDED), key=lambda arm: VERDICTS.index(str(arm.verdict))
    )
    changes = f"{len(arms)} change" + ("s" if len(arms) != 1 else "")
    verb = "is" if len(decided) == 1 else "are"
    count = (
        f"{len(decided)} of {changes}"
        if len(decided) < len(arms)
        else "The change"
        if len(arms) == 1
        else "Both changes"
        if len(arms) == 2
        else f"All {changes}"
    )
    if not decided:
        count, verb = ("The change", "is not") if len(arms) == 1 else (f"None of {changes}", "is")
    pieces = [Piece(f"{count} {verb} {'settled' if view.rule.mode == 'screen' else 'decided'}")]
    for position, arm in enumerate(decided[:most]):
        pieces += [
            Piece(": " if position == 0 else "; "),
            Piece(arm.name, strong=True),
            Piece(_finding(arm, view, figures)),
        ]
    if len(decided) > most:
        pieces.append(Piece(f"; and {len(decided) - most} more below"))
    pieces += _undecided([arm for arm in arms if arm not in decided])
    return (*pieces, Piece("."))


def _undecided(arms: list[ArmView]) -> list[Piece]:
    """The end of the answer: which arms are undecided for good, and which may still be decided."""
    pieces: list[Piece] = []
    for group, end in (
        ([arm for arm in arms if not arm.open], "undecided"),
        ([arm for arm in arms if arm.open], "still open"),
    ):
        if not group:
            continue
        pieces.append(Piece(". " if len(group) <= 3 else f". {len(group)} arms"))
        for position, arm in enumerate(group if len(group) <= 3 else ()):
            joint = "" if position == 0 else " and " if position == len(group) - 1 else ", "
            pieces += [Piece(joint), Piece(arm.name, strong=True)]
        pieces.append(Piece(f" {'is' if len(group) == 1 else 'are'} {end}"))
    pieces += [
        Piece(f". {arm.name} {arm.lost_word}: no run of it ended with a score")
        for arm in arms
        if arm.diverged and not arm.done
    ]
    return pieces


def _finding(arm: ArmView, view: StudyView, figures: Figures) -> str:
    """What was found about one decided arm, to follow its name."""
    if arm.verdict == "unstable" and not arm.done:
        return f" {arm.lost_word} in each of its {arm.diverged} runs"
    if arm.verdict == "unstable":
        return f" is unstable ({arm.diverged} of {arm.diverged + arm.done} runs {arm.lost_word})"
    leans = "leans" if view.rule.mode == "screen" else "is"
    if arm.verdict == "equivalent" and view.margin is not None:
        told = " (exploratory: no claim)" if arm.exploratory else ""
        return f" {leans} equivalent within ±{figures.amount(view.margin)}{told}"
    size = f" by {figures.amount(arm.effect.value)}" if arm.effect else ""
    span = figures.span(arm.effect, sign=True)
    if span and not view.metric.higher_is_better:
        span = f"({'lower' if arm.verdict == 'better' else 'higher'} {view.metric.name}: {span})"
    told = " (exploratory: no claim)" if arm.exploratory else ""
    return f" {leans} {arm.verdict}{size}" + (f" {span}" if span else "") + told + guarded_end(arm)


def glossary(view: StudyView) -> tuple[tuple[str, str], ...]:
    """Explain each verdict with this study's margin, alpha and number of seeds."""
    if view.aa is not None:
        return ()
    figures = Figures.of(view)
    if view.pick is not None:
        return pick_terms(figures)
    up = "higher" if view.metric.higher_is_better else "lower"
    down = "lower" if view.metric.higher_is_better else "higher"
    share = f"{100 * view.rule.alpha:g}%"
    risk = (
        f"Where nothing differs, at most {share} of such tables get any verdict."
        if view.rule.mode == "given"
        else f"At most {share} of such studies claim anything false."
    )
    lost = view.arms[0].lost_word if view.arms else "diverged"
    seeds = "These runs" if view.rule.mode == "given" else counted(view.rule.seeds, "seed")
    unstable = ("unstable", f"at least two runs {lost} at seeds where the control's did not.")
    than = (
        "with the change than without it, averaged over the other changes" if view.factorial else "than the control's"
    )
    return (
        (
            "better",
            f"{view.metric.name} is {up} {than}. {risk}",
        ),
        ("worse", f"{view.metric.name} is {down} {than}, at the same risk."),
        *_equivalent(view, figures),
        (
            "undecided",
            f"{seeds} did not show a difference, nor that there is none. It does not mean equal.",
        ),
        *(() if view.factorial else (unstable,)),
    )


def _equivalent(view: StudyView, figures: Figures) -> tuple[tuple[str, str], ...]:
    if view.margin is None:
        return ()
    words = f"any difference was shown to be smaller than {figures.amount(view.margin)}"
    return (("equivalent", f"{words}. That is more than not finding one.{_ONE_SIDED}"),)


_ONE_SIDED = " The verdict rests on two one-sided tests, whose interval is narrower than the one shown."


def overstated_words(view: StudyView) -> tuple[str, ...]:
    """Say how much an effect that was found is probably overstated, where few such studies would have found it."""
    figures, told = Figures.of(view), []
    for arm in view.treatments:
        if arm.effect is None or arm.corrected is None or arm.power is None or arm.power >= _LOW_POWER:
            continue
        measured, true = figures.number(arm.effect.value, sign=True), figures.number(arm.corrected, sign=True)
        told.append(
            f"{arm.name}: {measured} was measured, and the truth is probably smaller, about {true}: only "
            f"{100 * arm.power:.0f}% of studies like this find a true {true}, and those that do measure more than it."
        )
    return tuple(told)


_LOW_POWER = 0.8


def reading_words(view: StudyView) -> tuple[str, ...]:
    """Say what in this table of verdicts would else look like a contradiction; empty where nothing does."""
    if view.pick is not None:
        return ()
    found, control, margin = [*overstated_words(view)], view.control, view.margin
    beyond = [
        arm.name
        for arm in view.treatments
        if arm.verdict == "equivalent" and margin is not None and arm.effect is not None
        if arm.effect.low is not None and arm.effect.high is not None
        if max(-arm.effect.low, arm.effect.high) > margin
    ]
    if beyond:
        found.append(f"{listing(beyond)}: equivalent, though the interval reaches beyond the margin.{_ONE_SIDED}")
    stopped = [
        arm.name
        for arm in view.treatments
        if view.factorial is None and control is not None and arm.effect and arm.done < control.done
        if any(seed.difference is not None for seed in arm.seeds)
    ]
    if stopped:
        found.append(
            f"{listing(stopped)}: compared with the control at the arm's own seeds, fewer than the control has, so the "
            "effect is not the difference of the two means shown."
        )
    return tuple(found)


def rule_words(view: StudyView) -> str:
    """State the decision rule in one sentence."""
    rule, figures = view.rule, Figures.of(view)
    if view.pick is not None:
        return pick_rule(view, view.pick)
    if view.aa is not None:
        return f"the control alone, {rule.seeds} runs; the rule by which studies of it would be judged is tried on them"
    matters, seeds = _matters(view, figures), counted(rule.seeds, "seed")
    better = f"higher {view.metric.name} is better"
    if not view.metric.higher_is_better:
        better = f"lower {view.metric.name} is better, so that an effect (arm minus control) below 0 is a gain"
    if rule.mode == "declared":
        return (
            f"{better}; {matters}; {seeds} an arm, judged once, by a rule that was declared before the "
            f"scores were made; at most {100 * rule.alpha:g}% of such studies claim anything false"
        )
    if rule.mode == "given":
        return (
            f"{better}; {matters}; the scores were there before this question was asked, so they are judged once, and "
            "no rule says how they were chosen; where nothing differs, at most "
            f"{100 * rule.alpha:g}% of such tables get any verdict"
        )
    if view.factorial is not None:
        return (
            f"{better}; {matters}; up to {seeds}, each of which runs all {len(view.factorial.cells)} cells; "
            "a change is judged averaged over the others, as the difference of the cells with it and those without; "
            f"verdicts after each seed from {rule.first_look} on, until every change has one; at most "
            f"{100 * rule.alpha:g}% of such studies claim anything false"
        )
    futility = (
        "an arm that the remaining seeds cannot settle stops early" if rule.futility else "no arm stops early undecided"
    )
    items = "; each arm's noise is read from its single images too" if rule.from_items else ""
    leaning = " (a screening, so verdicts only lean)" if rule.mode == "screen" else ""
    runs = (
        f"{seeds} an arm, each compared with the control's run of the same seed; verdicts after each seed"
        if view.is_seeded
        else f"{counted(rule.seeds, 'run')} an arm, all compared with all of the control's, since no seed is taken; "
        "verdicts after each"
    )
    return (
        f"{better}; {matters}; up to {runs} from {rule.first_look} on; "
        f"{futility}{items}; at most {100 * rule.alpha:g}% of such studies claim anything false{leaning}"
        f"{_waves(view)}{_seen(view)}"
    )


def _matters(view: StudyView, figures: Figures) -> str:
    percent = view.margin_percent
    share = "" if percent is None else f"{percent:g}% of the control's mean over its first {view.rule.first_look} seeds"
    if view.margin is None:
        return (
            f"differences within {share} do not matter"
            if share
            else ("no margin was given, so nothing is called equivalent")
        )
    return f"differences within ±{figures.amount(view.margin)}{f' ({share})' if share else ''} do not matter"


def _waves(view: StudyView) -> str:
    """Say how the rate is split over the waves of a study that is extended; nothing for one of one piece."""
    rule = view.rule
    if not rule.waves:
        return ""
    waves = listing(
        f"{count} seeds at {100 * level:.2g}%" for count, level in zip(rule.waves, rule.levels, strict=True)
    )
    if rule.extendable:
        return f", over all extensions: it can be extended and is judged after {waves}"
    return f" in its first plan; extended after its verdicts were seen ({waves}): later verdicts are exploratory"


def _seen(view: StudyView) -> str:
    """Say which runs there were before the rule was fixed; nothing where there were none."""
    seen = view.rule.seen
    if not seen:
        return ""
    runs = sum(count for _, count in seen)
    told = ", ".join(f"{count} of {name}" for name, count in seen)
    return f"; {runs} run{'s' * (runs > 1)} had ended before this was fixed ({told})"


def plan_words(view: StudyView) -> str:
    """State what the study can find, and say plainly if its margin cannot be confirmed; empty if not known."""
    plan, figures = view.plan, Figures.of(view)
    parts = []
    if plan.detectable is not None:
        parts.append(f"finds a difference of {figures.amount(plan.detectable)} in 4 of 5 cases")
    if plan.smallest_margin is not None:
        parts.append(f"can show equivalence within {figures.amount(plan.smallest_margin)} or more")
    if not parts:
        return ""
    if view.rule.mode in ("given", "declared"):
        return (
            f"With these runs a true difference of {figures.amount(plan.detectable or 0.0)} is found in 4 of 5 cases."
        )
    text = f"With {view.rule.seeds} seeds the study " + " and ".join(parts) + "."
    undecided = any(arm.verdict not in DECIDED for arm in view.treatments) or not view.treatments
    smallest, margin = plan.smallest_margin, view.margin
    if undecided and smallest is not None and margin is not None and smallest > margin:
        text += f" Its margin of {figures.amount(margin)} is smaller, so equivalence is unlikely to be shown."
    return text


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


def cost_words(kind: str, arm: ArmView, control: ArmView | None) -> str:
    """Write a cost (a name of `COSTS`): the control's own in its unit, an arm's as a ratio to the control's."""
    if control is not None and not arm.is_control:
        return ratio(getattr(arm.cost.ratios(control.cost), kind))
    value = getattr(arm.cost, kind)
    if kind == "seconds":
        return duration(value)
    return quantity(value, "B") if kind == "memory" else quantity(value)
