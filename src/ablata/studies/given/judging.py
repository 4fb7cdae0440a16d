"""Judge runs that exist: which arm differs from the control, given what the runs of one arm differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ablata.base.errors import DataError, choices, listing, suggestion
from ablata.stats import FixedResult, judge_groups, judge_pairs
from ablata.stats.assumptions.units import mixed_units
from ablata.studies.given.declaring import hold
from ablata.trainers.declared import DeclaredRule
from ablata.trainers.given import GivenRuns, check_scores

_CONTROLS = ("control", "baseline", "base", "default", "reference")
_MOST_ARMS = 200


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Runs that exist, judged once.

    Args:
        given: the runs and what was guessed when they were read.
        control: the arm that the others are compared with.
        arms: the other arms, in the order of `result.arms`.
        margin: the largest difference that does not matter, or None.
        alpha: share of such tables without any difference that get a false verdict.
        higher_is_better: False for a loss.
        result: the verdicts.
        notes: what a reader has to know: guesses, and why seeds were or were not compared.
        claimed: whether a rule that was declared before the scores were made was kept to.
    """

    given: GivenRuns
    control: str
    arms: tuple[str, ...]
    margin: float | None
    alpha: float
    higher_is_better: bool
    result: FixedResult
    notes: tuple[str, ...]
    claimed: bool = False

    def scores(self, arm: str) -> tuple[tuple[int | None, float], ...]:
        """Return seed and score of each run of an arm."""
        return tuple((run.seed, run.scores[self.given.score]) for run in self.given.of_arm(arm))


def judge_given(
    given: GivenRuns,
    *,
    control: str | None = None,
    margin: float | None = None,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> Judgement:
    """Judge runs that exist.

    Args:
        given: the runs.
        control: the arm that the others are compared with; None for the one named baseline, base, control or default.
        margin: the largest difference that does not matter, > 0, in the score's unit; None: nothing is equivalent.
        alpha: family-wise share of false verdicts.
        higher_is_better: False for a loss.

    Raises:
        DataError: there is no such arm, or nothing to compare it with; the margin is not positive.
    """
    if margin is not None and not 0 < margin < float("inf"):
        raise DataError(
            "The margin must be a number above 0",
            found=f"margin {margin:g}",
            do="give one in the score's unit, or leave it out",
        )
    check_scores(given)
    chosen, notes = _control(given, control)
    arms = tuple(arm for arm in given.arms if arm != chosen)
    if not arms:
        raise DataError(
            "There must be an arm beside the control",
            found=f"every run belongs to {chosen}",
            do="add runs of another arm, or name another control by --control",
        )
    if len(arms) > _MOST_ARMS:
        raise DataError(
            f"At most {_MOST_ARMS} arms are judged together",
            found=f"{len(arms)}: {listing(arms[:3])}, ...",
            do="is the arm read from the right column or folder? see --arm-from",
        )
    scores = {arm: [run.scores[given.score] for run in given.of_arm(arm)] for arm in (chosen, *arms)}
    mixed = mixed_units(scores) if higher_is_better else None
    if mixed is not None and mixed.certain:
        raise DataError(
            "The scores must be of one unit",
            found=f"shares of 1 in {listing(mixed.shares[:3])} ({_example(scores, mixed.shares[0], share=True)}), "
            f"percentages in {listing(mixed.percents[:3])} ({_example(scores, mixed.percents[0], share=False)})",
            do="write all of them as shares, or all as percentages",
        )
    rows, why = _pairs(given, chosen, arms)
    if rows is not None:
        result = judge_pairs(rows, margin=margin, alpha=alpha, higher_is_better=higher_is_better)
    else:
        groups = [scores[arm] for arm in arms]
        result = judge_groups(scores[chosen], groups, margin=margin, alpha=alpha, higher_is_better=higher_is_better)
    return Judgement(
        given=given,
        control=chosen,
        arms=arms,
        margin=margin,
        alpha=alpha,
        higher_is_better=higher_is_better,
        result=result,
        notes=(*given.notes, *notes, why),
    )


def _example(scores: Mapping[str, Sequence[float]], arm: str, *, share: bool) -> str:
    return f"{next(value for value in scores[arm] if (value <= 1) == share):g}"


def judge_declared(given: GivenRuns, rule: DeclaredRule, file_time: float, *, best: bool = False) -> Judgement:
    """Judge runs by the rule that was declared for them.

    Args:
        given: the runs.
        rule: the rule; what it does not name is left out.
        file_time: when the rule's file was written last, in seconds since 1970.
        best: whether of curves the best value was taken, which no rule says.

    Raises:
        DataError: an arm of the rule has no scores.
    """
    held = hold(given, rule, file_time)
    judged = judge_given(
        held.given,
        control=rule.control,
        margin=rule.margin,
        alpha=rule.level,
        higher_is_better=rule.higher_is_better,
    )
    broken = (*held.broken, *(("the best value of each curve was taken, the rule means the last",) if best else ()))
    notes = (*judged.notes, *held.notes, *(f"judged as without a rule: {why}" for why in broken))
    return replace(judged, notes=(*notes, f"digest of the rule: {rule.digest}"), claimed=not broken)


def _control(given: GivenRuns, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    arms = given.arms
    if wanted is not None:
        if wanted in arms:
            return wanted, ()
        raise DataError(
            f"The control must be one of {choices(arms, wanted)}",
            found=f"--control {wanted}",
            do=suggestion(wanted, arms),
        )
    named = [arm for arm in arms if arm.lower() in _CONTROLS]
    if len(named) == 1:
        return named[0], (f"the control is {named[0]}",)
    raise DataError(
        "Say which arm is the control", found=f"the arms are {listing(arms[:12])}", do=f"--control {arms[0]}"
    )


def _pairs(given: GivenRuns, control: str, arms: tuple[str, ...]) -> tuple[dict[int, list[float | None]] | None, str]:
    """Return the scores by seed where seeds can be compared, else None; and why."""
    by_arm: dict[str, dict[int, float]] = {}
    for arm in (control, *arms):
        known: dict[int, float] = {}
        for run in given.of_arm(arm):
            if run.seed is None:
                return None, "unpaired: not every run tells its seed"
            if run.seed in known:
                return None, f"unpaired: {arm} has seed {run.seed} more than once"
            known[run.seed] = run.scores[given.score]
        by_arm[arm] = known
    shared = {arm: set(by_arm[arm]) & set(by_arm[control]) for arm in arms}
    apart = next((arm for arm in arms if len(shared[arm]) < max(2, (len(by_arm[arm]) + 1) // 2)), None)
    if apart is not None:
        count = len(shared[apart])
        return None, f"unpaired: {apart} shares {count or 'no'} seed{'s' * (count > 1)} with {control}"
    rows = {seed: [by_arm[arm].get(seed) for arm in (control, *arms)] for seed in by_arm[control]}
    return rows, "paired: each run is compared with the control's run of the same seed"
