"""The report of runs that exist: the view of a study without looks, costs or curves, and said to be made afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ablata.reports.reasons import NoisyArm, noisy_arm, rounded
from ablata.reports.view import ArmView, Estimate, MetricView, PlanView, RuleView, SeedView, StudyView
from ablata.stats import FixedArm, FixedResult, Verdict, mean_interval, smallest_visible
from ablata.stats.wording import between


def judged_view(
    name: str,
    scores: Mapping[str, Sequence[tuple[int | None, float]]],
    result: FixedResult,
    *,
    metric: str,
    margin: float | None,
    alpha: float,
    higher_is_better: bool,
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
        notes: sentences for the reader.
        commands: what to type to judge them again.
    """
    control, *arms = scores
    views = [_arm(control, scores[control], None, {}, None, paired=result.paired)]
    noisy = noisy_arm({arm: [score for _, score in runs] for arm, runs in scores.items()}, control)
    base = {seed: score for seed, score in scores[control] if seed is not None}
    for arm, found in zip(arms, result.arms, strict=True):
        views.append(_arm(arm, scores[arm], found, base if result.paired else {}, noisy, paired=result.paired))
    seen = [size for index in range(len(arms)) if (size := smallest_visible(result, index)) is not None]
    view = StudyView(
        name=name,
        question=f"Does {arms[0]} differ from {control}?" if len(arms) == 1 else f"Which arm differs from {control}?",
        metric=MetricView(name=metric, higher_is_better=higher_is_better),
        margin=margin,
        rule=RuleView(mode="given", alpha=alpha, seeds=max(map(len, scores.values())), first_look=1, futility=False),
        state="scores that exist",
        finished="",
        arms=tuple(views),
        plan=PlanView(detectable=max(seen) if seen else None, noise=result.noise),
        code_notes=tuple(f"{note[:1].upper()}{note[1:]}." for note in notes),
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
        notes=(noisy.words,) if found and found.verdict is Verdict.UNDECIDED and noisy and noisy.name != name else (),
    )


def _reason(found: FixedArm | None) -> str:
    if found is None:
        return ""
    if found.interval is None:
        return "the noise of one run is not known: too few runs, or all of an arm have the same score"
    return f"the difference is {between(found.interval)}"
