"""What a study that picks says: what to take, what that may cost, and that it claims nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ablata.base.errors import listing
from ablata.reports.figures import Figures
from ablata.reports.guards import allowed_words
from ablata.reports.view import PickView, StudyView
from ablata.stats.pick import KEPT

EXPECTED = "expected effect"
"""The head of a pick's effects, which are no differences of means."""


def pick_view(choice: Mapping[str, Any] | None, budget: int, guards: Sequence[Mapping[str, Any]] = ()) -> PickView:
    """Return what a look of such a study holds.

    Args:
        choice: what the newest look keeps; None: none yet.
        budget: runs in all.
        guards: of the study, as its specification has them.
    """
    if choice is None:
        return PickView(budget=budget)
    names = [str(name) for name in choice["names"]]
    return PickView(
        budget=budget,
        best=names[int(choice["best"])],
        regret=float(choice["regret"]),
        probabilities=dict(zip(names, map(float, choice["probabilities"]), strict=True)),
        effects=dict(zip(names, map(float, choice["effects"]), strict=True)),
        keeps={
            f"{guard['name']} {allowed_words(guard)}": dict(zip(names, shares, strict=True))
            for guard, shares in zip(guards, choice.get("keeps", ()), strict=False)
        },
    )


def share(probability: float) -> str:
    """Write a probability as a share, never as certain."""
    return "under 1%" if probability < 0.01 else "over 99%" if probability > 0.99 else f"{probability:.0%}"


def pick_answer(view: StudyView, pick: PickView, figures: Figures) -> tuple[str, str, str]:
    """Say what to take, in three pieces of which the middle one is its name."""
    if pick.best is None and view.finished:
        return "Nothing was picked: fewer than two settings have the runs that a choice needs.", "", ""
    if pick.best is None or pick.regret is None:
        return f"Nothing can be picked yet: {view.progress.done} of {pick.budget} runs are done.", "", ""
    control = view.control is not None and pick.best == view.control.name
    so_far = "" if view.finished else " so far"
    unit = f" {figures.difference_unit}" if figures.difference_unit else ""
    among = " of those that keep the guardrails" if pick.keeps else ""
    return (
        "Keep the " if control else "Take ",
        pick.best,
        f"{so_far}: {share(pick.probabilities[pick.best])} probable to be the best{among}; expected regret "
        f"{pick.regret:.2g}{unit}.{_kept(pick, pick.best, control=control)} A choice after {view.progress.done} runs, "
        "no claim that it is better.",
    )


def _kept(pick: PickView, name: str, *, control: bool) -> str:
    """Say how probable it is that a setting keeps each guardrail, and which were left out for theirs."""
    if not pick.keeps:
        return ""
    own = [f"{guard} {_share(shares[name])}" for guard, shares in pick.keeps.items()]
    out = [one for one in pick.probabilities if any(_below(shares[one]) for shares in pick.keeps.values())]
    left = f" Left out, as not probable enough to keep them: {listing(out)}." if out else ""
    return left if control else f" Probability of keeping each: {listing(own)}.{left}"


def _share(probability: float | None) -> str:
    return "not known" if probability is None else share(probability)


def _below(probability: float | None) -> bool:
    return probability is not None and probability < KEPT


def pick_rule(view: StudyView, pick: PickView) -> str:
    """Say how the runs were placed."""
    better = f"{'higher' if view.metric.higher_is_better else 'lower'} {view.metric.name} is better"
    return (
        f"{better}; a budget of {pick.budget} runs: two of each setting, the others where they were expected to change "
        "the choice most; nothing is claimed and no error rate is promised"
    )


def pick_terms(figures: Figures) -> tuple[tuple[str, str], ...]:
    """Explain the figures of a pick."""
    unit = figures.difference_unit or "units"
    return (
        (
            "best",
            "how probable it is that the setting is the best of these, given all runs and that effects of this size "
            "are as common here as they look.",
        ),
        (
            EXPECTED,
            "expected difference to the control, drawn toward 0 as far as few runs leave it open: no difference of the "
            "means shown.",
        ),
        (
            "expected regret",
            f"by how many {unit} the truly best setting is expected to exceed the one taken. In simulations the "
            "truth was up to a seventh more, about half of that after as many runs of each setting.",
        ),
        ("no claim", "to say that one is better, ask a study of its own with fresh seeds (--first-seed)."),
    )
