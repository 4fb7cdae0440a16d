"""The report of runs that exist: the view of a study without looks, costs or curves, and said to be made afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ablata.records.rows import GIVEN_CODE, StudyRow
from ablata.reports.impossible import impossible
from ablata.reports.reasons import NoisyArm, noisy_arm, rounded
from ablata.reports.view import ArmView, Estimate, MetricView, PlanView, RuleView, SeedView, StudyView
from ablata.stats import FixedArm, FixedResult, Verdict, mean_interval, smallest_visible
from ablata.stats.planning import rough_settlement
from ablata.stats.wording import NO_SPREAD_SETTLES, between

if TYPE_CHECKING:
    from ablata.records.ledger import Ledger

AFTERWARDS = "made after the scores were seen"
"""What is said of a study whose scores were there before it."""


def question_of(control: str, arms: Sequence[str]) -> str:
    """Return what is asked of scores that exist."""
    return f"Does {arms[0]} differ from {control}?" if len(arms) == 1 else f"Which arm differs from {control}?"


def kept_view(ledger: Ledger, study: StudyRow) -> StudyView:
    """Return the view of a study of the ledger whose scores were made elsewhere; see `records.given`."""
    arms = sorted(ledger.studies.arms(study.name), key=lambda arm: not arm.is_control)
    labels = {arm.name: arm.change[0] if arm.change else arm.name for arm in arms}
    metric, given = study.spec["metric"], study.spec[GIVEN_CODE]
    scores: dict[str, list[tuple[int | None, float]]] = {label: [] for label in labels.values()}
    for cell in ledger.studies.cells(study.name):
        value = (cell.run.scores or {}).get(metric["key"])
        if isinstance(value, int | float):
            scores[labels[cell.arm]].append((cell.seed if given["paired"] else None, float(value)))
    look = ledger.studies.looks(study.name)[-1]
    return judged_view(
        study.name,
        scores,
        FixedResult.from_json(look.result[GIVEN_CODE]),
        metric=metric["name"],
        margin=study.spec["rule"]["margin"],
        alpha=study.spec["rule"]["alpha"],
        higher_is_better=metric["higher_is_better"],
        claimed=given["claimed"],
        question=study.question,
        notes=look.result["notes"],
        commands=tuple(study.spec["commands"]),
    )


def judged_view(
    name: str,
    scores: Mapping[str, Sequence[tuple[int | None, float]]],
    result: FixedResult,
    *,
    metric: str,
    margin: float | None,
    alpha: float,
    higher_is_better: bool,
    claimed: bool = False,
    question: str = "",
    notes: Sequence[str] = (),
    commands: tuple[str, ...] = (),
) -> StudyView:
    """Return the view of runs judged once.

    Args:
        name: of the table or folder.
        scores: seed and score of each run by arm, the control first, then the arms of `result` in their order.
        result: the verdicts.
        metric: the score's name.
        margin, alpha, higher_is_better: as they were judged.
        claimed: whether a rule declared before the scores was kept to.
        question: what is asked; empty to make it up.
        notes: sentences for the reader.
        commands: what to type to judge them again.
    """
    control, *arms = scores
    views = [_arm(control, scores[control], None, {}, None, paired=result.paired, margin=margin)]
    noisy = noisy_arm({arm: [score for _, score in runs] for arm, runs in scores.items()}, control)
    base = {seed: score for seed, score in scores[control] if seed is not None}
    for arm, found in zip(arms, result.arms, strict=True):
        pairs = base if result.paired else {}
        views.append(_arm(arm, scores[arm], found, pairs, noisy, paired=result.paired, margin=margin))
    mode, most = "declared" if claimed else "given", max(map(len, scores.values()))
    numbered = {arm: {place if seed is None else seed: score for place, (seed, score) in enumerate(runs)}
                for arm, runs in scores.items()}  # fmt: skip
    warned = impossible(numbered, control, higher_is_better=higher_is_better)
    seen = [size for index in range(len(arms)) if (size := smallest_visible(result, index)) is not None]
    view = StudyView(
        name=name,
        question=question or question_of(control, arms),
        metric=MetricView(name=metric, higher_is_better=higher_is_better),
        margin=margin,
        rule=RuleView(mode=mode, alpha=alpha, seeds=most, first_look=1, futility=False),
        state="declared before the scores were made" if claimed else AFTERWARDS,
        finished="",
        arms=tuple(views),
        plan=PlanView(detectable=max(seen) if seen else None, noise=result.noise),
        code_notes=tuple(f"{note[:1].upper()}{note[1:]}." for note in notes),
        impossible=warned,
        commands=commands,
    )
    return rounded(view)


def _arm(
    name: str,
    runs: Sequence[tuple[int | None, float]],
    found: FixedArm | None,
    base: Mapping[int, float],
    noisy: NoisyArm | None,
    *,
    paired: bool,
    margin: float | None,
) -> ArmView:
    values = [score for _, score in runs]
    mean = mean_interval(values)
    seeds = tuple(
        SeedView(
            seed=place if seed is None else seed,
            state="completed",
            score=score,
            difference=score - base[seed] if seed is not None and seed in base else None,
            paired=paired,
        )
        for place, (seed, score) in enumerate(runs)
    )
    effect = None
    if found is not None and found.effect is not None:
        low, high = found.interval or (None, None)
        effect = Estimate(value=found.effect, low=low, high=high)
    return ArmView(
        name=name,
        is_control=found is None,
        seeds=seeds,
        mean=None if mean.mean is None else Estimate(value=mean.mean, low=mean.low, high=mean.high),
        effect=effect,
        verdict=None if found is None else found.verdict.value,
        reason=_reason(found),
        notes=_notes(name, found, noisy, margin),
    )


def _notes(name: str, found: FixedArm | None, noisy: NoisyArm | None, margin: float | None) -> tuple[str, ...]:
    if found is None or found.verdict is not Verdict.UNDECIDED:
        return ()
    if found.interval is None:
        return (_reason(found),)
    needed = rough_settlement(found, found.runs, margin)
    wide = (noisy.words,) if noisy and noisy.name != name else ()
    return (*wide, needed.words("fresh runs of it and of the control")) if needed else wide


def _reason(found: FixedArm | None) -> str:
    if found is None:
        return ""
    if found.interval is None:
        if found.runs > 2:
            return (
                "the noise of one run is not known, since no score or no difference varies: scores may be copies, "
                f"rounded, or of a seed that does nothing. {NO_SPREAD_SETTLES}"
            )
        return "the noise of one run is not known: too few runs, or no score or difference varies"
    return f"the difference is {between(found.interval)}"
