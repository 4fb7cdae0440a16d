"""What a verdict rests on, in sentences: which test and what it assumes, earlier noise, seeds that move together."""

from __future__ import annotations

from ablata.base.errors import listing
from ablata.reports.figures import Figures
from ablata.reports.view import JudgementView, StudyView

WORST = {5: 6.5, 10: 5.5}
"""Highest share of false verdicts of the noises tried, in percent, by seeds; docs/results/unequal_noise.md has them."""


def standing_words(view: StudyView) -> tuple[str, ...]:
    """Return all that a page says of what the verdicts rest on, a sentence each."""
    if _claims_nothing(view):
        return ()
    items = (view.scored_on,) if view.scored_on else ()
    return (*account_words(view), *history_words(view), *pairing_words(view), *items, *test_words(view))


def warned_words(view: StudyView) -> tuple[str, ...]:
    """Return those of these sentences that a terminal shows: what a reader would not expect."""
    if _claims_nothing(view):
        return ()
    pairing = pairing_words(view) if view.pairing is not None and view.pairing.is_unpaired else ()
    return (*account_words(view), *history_words(view), *pairing)


def _claims_nothing(view: StudyView) -> bool:
    return view.pick is not None or view.aa is not None


def account_words(view: StudyView) -> tuple[str, ...]:
    """Say which arms are exploratory and why, and what other studies said of the same questions; a sentence each."""
    reasons: dict[str, list[str]] = {}
    for arm in view.treatments:
        if arm.exploratory:
            reasons.setdefault(arm.exploratory, []).append(arm.name)
    told = [f"Exploratory, no claim: {listing(names)}: {reason}." for reason, names in reasons.items()]
    figures = Figures.of(view)
    return (*told, *(_judgement(one, figures) for one in view.account))


def _judgement(one: JudgementView, figures: Figures) -> str:
    alias = f" (as {one.alias})" if one.alias != one.arm else ""
    margin = "without a margin" if one.margin is None else f"with margin {figures.amount(one.margin)}"
    when = "Judged before" if one.before else "Also judged since"
    seeds = f"{one.seeds} seed{'s' * (one.seeds != 1)}"
    looks = f"{one.looks} look{'s' * (one.looks != 1)}"
    return f"{when}: {one.arm} in {one.study}{alias}, {margin}, {seeds}, {looks}: {one.verdict}."


def history_words(view: StudyView) -> tuple[str, ...]:
    """Say how far the noise of earlier studies counted; nothing where none was used."""
    history = view.history
    if history is None:
        return ()
    figures = Figures.of(view)
    noise = f"The noise of earlier studies ({figures.amount(history.noise)}, {history.df:.0f} degrees of freedom)"
    if history.trust is None:
        return (f"{noise} is to count.",)
    if history.trust >= 1:
        return (f"{noise} counts in full: this study's runs agree with it.",)
    own = "" if view.plan.noise is None else f" ({figures.amount(view.plan.noise)} in all)"
    if history.trust <= 0:
        return (f"{noise} is not used: this study's runs are noisier{own}.",)
    return (f"{noise} counts by {100 * history.trust:.0f}%: this study's runs are noisier{own}.",)


def pairing_words(view: StudyView) -> tuple[str, ...]:
    """Say how far runs of the same seed moved together; nothing where it was not measured."""
    found = view.pairing
    if found is None:
        return ()
    measured = (
        f"correlation of the arms with the control over {found.seeds} seeds {found.correlation:+.2f}, probably "
        f"{found.low:+.2f} to {found.high:+.2f}"
    )
    if found.is_unpaired:
        return (f"Unpaired in effect: runs of the same seed have next to nothing in common ({measured}).",)
    if found.is_paired:
        return (f"Runs of the same seed move together ({measured}): comparing them saves seeds.",)
    return (f"Whether runs of the same seed move together cannot be told yet ({measured}).",)


def test_words(view: StudyView) -> tuple[str, ...]:
    """Say in a sentence which test was used and what it assumes."""
    if not view.treatments:
        return ()
    rate = f"{100 * view.rule.alpha:g}%"
    if view.factorial is not None:
        test, over = "t tests of each change's contrast within seeds, moderated towards their common noise", "changes"
    elif view.rule.mode in ("given", "declared"):
        test, over = "t tests of arm against control, moderated towards the noise of all runs, once", "arms"
    else:
        towards = "what its single images say of its noise" if view.rule.from_items else "the noise of all runs"
        test = f"t tests of arm minus control at equal seeds, moderated towards {towards}"
        over = f"arms and looks from {view.rule.first_look} seeds on"
    equal = "" if view.margin is None else " (equivalence: two one-sided tests)"
    assumed = "runs of different seeds are independent and their noise is roughly normal"
    worst = "" if view.factorial or view.rule.mode != "claim" else (
        f"; with noise far from that, the worst case tried had {WORST[5]:g}% at 5 seeds and {WORST[10]:g}% at 10"
    )  # fmt: skip
    bound = f"against a bound that keeps false verdicts at {rate} over all {over}"
    return (f"Test: {test}{equal}, {bound}, if {assumed}{worst}.",)
