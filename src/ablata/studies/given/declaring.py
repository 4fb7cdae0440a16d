"""Rules declared before there are scores: made from a study or from names, and held against what came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ablata.base.errors import DataError, SettingsError, listing
from ablata.stats import Mode, Rule, calibrate, plan
from ablata.trainers.declared import DeclaredRule, now
from ablata.trainers.given import GivenRuns, lower_is_better

if TYPE_CHECKING:
    from ablata.studies.study import Study


@dataclass(frozen=True, kw_only=True)
class Held:
    """Scores beside the rule that was declared for them.

    Args:
        given: the runs that the rule asked for.
        notes: what was left out, and what cannot be known.
        broken: why the scores are judged as if there was no rule; empty where it was kept to.
    """

    given: GivenRuns
    notes: tuple[str, ...]
    broken: tuple[str, ...]


def rule_of_study(study: Study) -> DeclaredRule:
    """Return the rule by which scores of a study's arms would be judged that were made elsewhere.

    Raises:
        SettingsError: it has too few seeds.
    """
    from ablata.studies.metric import absolute_margin
    from ablata.studies.study import CONTROL

    return _rule(
        question=study.question,
        control=CONTROL,
        arms=tuple(study.arms),
        metric=study.judged.name,
        higher_is_better=study.judged.higher_is_better,
        margin=absolute_margin(study.margin),
        level=study.mode.alpha,
        first_seed=study.first_seed,
        seeds=study.seeds,
    )


def declare(
    control: str,
    arms: Sequence[str],
    *,
    metric: str,
    seeds: int,
    lower: bool | None = None,
    margin: float | str | None = None,
    first_seed: int = 0,
    screen: bool = False,
    question: str | None = None,
) -> DeclaredRule:
    """Return a rule for scores to come.

    Args:
        control: the arm that the others are compared with, as its scores will name it.
        arms: the others.
        metric: the score's name.
        seeds: of each arm.
        lower: lower scores are better; None: higher ones, unless the name sounds like a loss.
        margin: the largest difference that does not matter; None: nothing is called equivalent.
        first_seed: seeds count up from here.
        screen: a level of 20% in place of 5%.
        question: what is asked; made up if None.

    Raises:
        SettingsError: a name is missing or comes twice, or a figure is out of range.
        DataError: the metric's name sounds like a loss, and nothing was said.
    """
    from ablata.studies.metric import absolute_margin

    return _rule(
        question=question or f"Does it help: {', '.join(arms)}?",
        control=control,
        arms=tuple(arms),
        metric=metric,
        higher_is_better=not lower_is_better(metric, lower),
        margin=absolute_margin(margin),
        level=(Mode.SCREEN if screen else Mode.CLAIM).alpha,
        first_seed=first_seed,
        seeds=seeds,
    )


def _rule(**parts: object) -> DeclaredRule:
    try:
        return DeclaredRule(written=now(), **parts)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(
            "A rule must name a control, its arms and at least 2 seeds, and a margin above 0 if any",
            found=f"{'.'.join(map(str, first['loc'])) or 'arms'}: {first['msg']}",
            do="correct that value in the command",
        ) from None


def rule_words(rule: DeclaredRule) -> str:
    """Say what a rule asks for and what it can find, in units of the noise of one run."""
    design = Rule(margin=rule.margin, seeds=rule.seeds, first_look=rule.seeds, alpha=rule.level, futility=False)
    found = plan(1.0, len(rule.arms), design, calibrate(len(rule.arms), design))
    detectable = f"{found.detectable:.1f} times" if found.detectable is not None else "no multiple of"
    return (
        f"{listing(rule.arms)} against {rule.control}: {rule.metric}, "
        f"{'higher' if rule.higher_is_better else 'lower'} is better, seeds {rule.first_seed} to "
        f"{rule.first_seed + rule.seeds - 1}, judged once; "
        + (f"differences within {rule.margin:g} do not matter; " if rule.margin is not None else "")
        + f"at most {100 * rule.level:g}% of such studies claim anything false.\n"
        f"It finds a difference of {detectable} the noise of one run in 4 of 5 cases, as far as equal seeds have "
        f"nothing in common."
    )


def hold(given: GivenRuns, rule: DeclaredRule, file_time: float) -> Held:
    """Hold scores against the rule that was declared for them.

    Args:
        given: the scores.
        rule: the rule.
        file_time: when the rule's file was written last, in seconds since 1970.

    Raises:
        DataError: the control, or all arms of the rule, are missing.
    """
    declared = (rule.control, *rule.arms)
    if missing := [arm for arm in declared if arm not in given.arms]:
        raise DataError(
            f"Scores must be there for every arm of the rule: {listing(declared)}",
            found=f"none of {listing(missing)}; the arms are {listing(given.arms[:12])}",
            do="--arm-from COLUMN if the arms are read from the wrong place",
        )
    notes, broken = [], []
    if others := [arm for arm in given.arms if arm not in declared]:
        notes.append(f"left out, since the rule does not name them: {listing(others)}")
    runs = [run for run in given.runs if run.arm in declared]
    kept = [run for run in runs if run.seed in rule.all_seeds]
    if any(run.seed is None for run in runs):
        broken.append("not every run tells its seed")
        kept = runs
    elif left := sorted({run.seed for run in runs if run.seed is not None and run.seed not in rule.all_seeds}):
        notes.append(f"left out, since the rule does not name these seeds: {listing(map(str, left[:12]))}")
    if not broken:
        cells = Counter((run.arm, run.seed) for run in kept)
        if twice := [f"{arm}, seed {seed}" for (arm, seed), count in cells.items() if count > 1]:
            broken.append(f"more than one score of {listing(twice[:5])}")
        lost = [f"{arm}, seed {seed}" for arm in declared for seed in rule.all_seeds if (arm, seed) not in cells]
        if lost:
            broken.append(f"no score of {listing(lost[:5])}{f' and {len(lost) - 5} more' if len(lost) > 5 else ''}")
    if given.oldest is None:
        broken.append("nothing tells when the scores were made")
    elif given.oldest < rule.time:
        broken.append(f"scores are from {_moment(given.oldest)}, before the rule of {_moment(rule.time)}")
    else:
        if file_time > given.oldest + 1:
            notes.append("the rule's file is younger than the first score: it was copied, or written anew")
        notes.append(
            f"the rule was declared on {_moment(rule.time)}, the scores are from {_moment(given.oldest)} on, as files "
            "and tools say; whether runs were seen before, or left out, nobody but their author knows"
        )
    return Held(given=replace(given, runs=tuple(kept)), notes=tuple(notes), broken=tuple(broken))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
