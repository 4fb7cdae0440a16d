"""What `ablata study plan` prints."""

from __future__ import annotations

from typing import Any

from ablata.base.settings import settings_hash
from ablata.cli.console import duration, figure, out
from ablata.studies.plan import StudyPlan
from ablata.studies.study import Study

_GUESSES = (0.1, 0.25, 0.5, 1.0)
_ALIKE = 1.1


def print_plan(plan: StudyPlan) -> None:
    """Print a plan: runs, time, memory, what can be detected, what can be confirmed."""
    study = plan.study
    arms = _arms(study)
    stops = "judged once, after all seeds" if study.fixed else f"looks from seed row {study.rule().first_look} on"
    known = f"; {plan.known} of them are in the ledger already" if plan.known else ""
    early = "" if study.fixed else "; less if arms are decided early"
    lines = [
        f"study {study.name}: {study.question}",
        f"  control  {study.control.name}, scored by {study.metric.key}",
        f"  arms     {arms[0]}",
        *(f"           {arm}" for arm in arms[1:]),
        f"  rule     margin {study.margin:g} {_points(plan)}; {stops}",
        f"           {study.mode.value}: at most {study.mode.alpha:.0%} of such studies give any false verdict",
        f"  runs     at most {plan.runs + plan.known}: {len(study.recipes)} recipes, {study.seeds} seeds each{known}",
        f"  a run    {_cost(plan)}",
        f"  time     at most {duration(3600 * plan.hours)} with {_count(plan.workers, 'worker')}, "
        f"their start not counted{early}",
        *_findings(plan),
    ]
    for line in lines:
        out.print(line, markup=False)


def plan_json(plan: StudyPlan) -> dict[str, Any]:
    """Return a plan JSON-safe; detectable and confirmable are null while the noise is unknown."""
    study = plan.study
    return {
        "study": study.name,
        "question": study.question,
        "control": study.control.name,
        "arms": {name: list(study.change(name)) for name in study.arms},
        "recipes": {name: settings_hash(recipe) for name, recipe in study.recipes.items()},
        "spec": study.spec(),
        "runs": plan.runs,
        "runs_in_ledger": plan.known,
        "workers": plan.workers,
        "seconds_of_a_run": {name: cost.seconds for name, cost in plan.costs.items()},
        "bytes_of_a_run": {name: cost.memory for name, cost in plan.costs.items()},
        "seconds": 3600 * plan.hours,
        "noise": plan.noise.sd if plan.noise else None,
        "detectable": plan.sized.detectable if plan.sized else None,
        "confirmable": plan.sized.confirmable if plan.sized else None,
        "detectable_in_noise": plan.unit.detectable,
        "confirmable_in_noise": plan.unit.confirmable,
    }


def _arms(study: Study) -> list[str]:
    """Return each arm with what it changes; one that goes on from an arm before it names that one."""
    told, changes = [], dict[str, tuple[str, ...]]()
    for name in study.arms:
        change = study.change(name)
        shared = [other for other, before in changes.items() if before and change[: len(before)] == before != change]
        base = max(shared, key=lambda other: len(changes[other]), default=None)
        own = " ".join(change[len(changes[base]) :] if base else change)
        told.append(f"{name} ({base} and {own})" if base else f"{name} ({own})")
        changes[name] = change
    return told


def _cost(plan: StudyPlan) -> str:
    """Return time and memory of a run: one figure, or those of the quickest and the slowest arm."""
    (low, quick), *_, (high, slow) = sorted(plan.costs.items(), key=lambda item: item[1].seconds)
    span = duration(slow.seconds)
    if slow.seconds > _ALIKE * quick.seconds:
        span = f"{duration(quick.seconds)} ({low}) to {span} ({high})"
    memory = max(cost.memory for cost in plan.costs.values())
    sources = sorted({cost.source for cost in plan.costs.values()})
    return f"{span} of training, {figure(memory, 'B')} of memory ({'; '.join(sources)})"


def _findings(plan: StudyPlan) -> list[str]:
    """Return what the study can find: from the noise of earlier studies, else for a few guesses at it."""
    points, unit = _points(plan), plan.unit
    if unit.detectable is None or unit.confirmable is None:
        return [f"  finds    nothing: {warning}" for warning in unit.warnings]
    if plan.sized is not None and plan.noise is not None:
        return [
            f"  noise    {plan.noise.sd:.2g} {points} of one run "
            f"(studies so far, {plan.noise.df:.0f} degrees of freedom)",
            f"  finds    a difference of {plan.sized.detectable:.2g} {points} with 80% power; "
            f"confirms a margin of {plan.sized.confirmable:.2g} or more",
            *(f"  note     {warning}" for warning in plan.sized.warnings),
        ]
    return [
        f"  noise    of one run not known: no study of {plan.study.control.name} at this length in the ledger",
        *(
            f"  {'finds' if noise == _GUESSES[0] else '':<7}  with a noise of {noise:g} {points}: a difference of "
            f"{noise * unit.detectable:.2g} (80% power); confirms a margin of {noise * unit.confirmable:.2g}"
            for noise in _GUESSES
        ),
        f"  note     the margin of {plan.study.margin:g} can be confirmed if the noise is at most "
        f"{plan.study.margin / unit.confirmable:.2g} {points}",
    ]


def _points(plan: StudyPlan) -> str:
    unit = plan.study.metric.unit or "units"
    return "points" if unit == "%" else unit


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")
