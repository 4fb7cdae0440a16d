"""A plan of a study: what it will cost and what it can find, in lines and as JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ablata.base.errors import listing
from ablata.base.quantities import counted, duration, quantity, two_digits
from ablata.base.settings import settings_hash
from ablata.stats import Noise, Plan, rules_of
from ablata.stats.assumptions.pairing import Pairing
from ablata.stats.planning import MOST_SEEDS
from ablata.studies.forks import SharedCost
from ablata.studies.metric import parse_margin
from ablata.studies.planning.sizing import Need, wall_seconds
from ablata.studies.study import CONTROL, Study
from ablata.studies.workers.together import ALONE, Together
from ablata.trainers.any import Outside

_GUESSES = (0.1, 0.25, 0.5, 1.0)
"""Noises of one run that a plan reckons with while it is not known."""
_ALIKE = 1.1


@dataclass(frozen=True)
class RunCost:
    """Expected cost of one run: seconds, peak memory in bytes, and where the figures come from."""

    seconds: float
    memory: float
    source: str


@dataclass(frozen=True)
class StudyPlan:
    """What `plan` prints.

    Args:
        study: the study.
        runs: how many runs at most, teachers counted, those of the ledger left out.
        known: how many of all runs the ledger has already.
        costs: expected cost of a run of each arm by name, the control among them.
        seconds: the runs that are left, one after the other.
        workers: local processes.
        noise: what is known of the noise, or None.
        needs: how many seeds the question needs; empty while the noise is unknown.
        row: seconds of the runs of one seed, teachers and a shared beginning counted.
        sized: detectable effect and confirmable margin, or None while the noise is unknown.
        unit: the same for a noise of 1, to be multiplied with a guess.
        pairing: how far runs of the same seed moved together in earlier studies; None where it was not measured.
        guards: a line for each guardrail.
        item_prior: what is known of how single images make the score's noise, where it is to be read from them.
        history_trust: how far the noise history agrees with the control's own runs, 0 to 1; None: nothing to compare.
        scored_on: a sentence on the test items; empty where no run of the control kept its own.
        known_before: sentences on what is known of the question already, and what follows for the verdicts.
        together: how many runs are trained as one.
        shared: what arms share of their training, and both costs; None: nothing.
    """

    study: Study
    runs: int
    known: int
    costs: Mapping[str, RunCost]
    seconds: float
    workers: int
    noise: Noise | None
    needs: tuple[Need, ...]
    row: tuple[float, ...]
    sized: Plan | None
    unit: Plan
    known_before: tuple[str, ...] = ()
    scored_on: str = ""
    pairing: Pairing | None = None
    history_trust: float | None = None
    guards: tuple[str, ...] = ()
    item_prior: str = ""
    together: Together = ALONE
    shared: SharedCost | None = None

    @property
    def hours(self) -> float:
        """Wall time if no arm stops early."""
        return self.wall(self.study.seeds) * self.runs / (self.runs + self.known) / 3600

    def wall(self, seeds: int) -> float:
        """Return the wall time of a number of seeds in seconds, if the ledger had none of their runs."""
        rule = replace(self.study, seeds=seeds).rule()
        return wall_seconds(self.row, seeds, rule, self.workers, rows=self.together.most)

    def __str__(self) -> str:
        """The plan in lines: runs, time, memory, what can be detected, what can be confirmed."""
        study = self.study
        arms = _arms(study)
        stops = "once, after all seeds" if study.fixed else f"after each row of seeds from {study.rule().first_look} on"
        known = f"; {self.known} of them are in the ledger already" if self.known else ""
        early = "" if study.fixed else f"; less if {'all changes' if study.design else 'arms'} are decided early"
        return "\n".join([
            f"study {study.name}: {study.question}",
            f"  control  {study.recipes[CONTROL].name}, scored by {study.judged.key}",
            f"  {'changes ' if study.design else 'arms    '} {arms[0]}",
            *(f"           {arm}" for arm in arms[1:]),
            *([f"  design   {study.design.sentence()}"] if study.design else []),
            f"  margin   {_margin(self)}",
            f"  verdicts {stops}; {study.mode.value}: at most {study.mode.alpha:.0%} of such studies claim anything "
            f"false{_extendable(study)}",
            f"  runs     at most {self.runs + self.known}: {len(study.recipes)} {_trainers(study)}, "
            f"{counted(study.seeds, 'seed')} each{known}",
            f"  a run    {_cost(self)}",
            *([f"  time     at most {duration(3600 * self.hours)} with {counted(self.workers, 'worker')}, "
               f"their start not counted{early}"] if math.isfinite(self.hours) else []),
            *([f"  shared   {self.shared.sentence()}"] if self.shared else []),
            *([f"  together {told}"] if (told := self.together.sentence(study.recipes)) else []),
            *_findings(self),
            *_rests_on(self),
            *_needs(self),
            *(f"  {'known' if row == 0 else '':9}{told}" for row, told in enumerate(self.known_before)),
        ])  # fmt: skip

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def to_json(self) -> dict[str, Any]:
        """Return the plan JSON-safe; detectable and confirmable are null while the noise is unknown."""
        study = self.study
        return {
            "study": study.name,
            "question": study.question,
            "control": study.recipes[CONTROL].name,
            "arms": {name: list(study.change(name)) for name in study.arms},
            "recipes": {name: settings_hash(recipe) for name, recipe in study.recipes.items()},
            "spec": study.spec(),
            "runs": self.runs,
            "runs_in_ledger": self.known,
            "workers": self.workers,
            "seconds_of_a_run": {name: _finite(cost.seconds) for name, cost in self.costs.items()},
            "bytes_of_a_run": {name: _finite(cost.memory) for name, cost in self.costs.items()},
            "seconds": _finite(3600 * self.hours),
            "noise": self.noise.sd if self.noise else None,
            "noise_is_paired": self.noise.paired if self.noise else None,
            "needs": [asdict(need) | {"seconds": _finite(need.seconds or math.nan)} for need in self.needs],
            "detectable": self.sized.detectable if self.sized else None,
            "confirmable": self.sized.confirmable if self.sized else None,
            "detectable_in_noise": self.unit.detectable,
            "confirmable_in_noise": self.unit.confirmable,
            "known_before": list(self.known_before),
            "scored_on": self.scored_on,
            "pairing": None if self.pairing is None else self.pairing.to_json(),
            "history_trust": self.history_trust,
            "guards": list(self.guards),
            "item_prior": self.item_prior,
            "together": self.together.sentence(study.recipes),
            "shared": asdict(self.shared) | {"fraction": self.shared.fraction} if self.shared else None,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _trainers(study: Study) -> str:
    if study.design is not None:
        return "cells"
    control = study.recipes[CONTROL]
    return f"{control.task}s" if isinstance(control, Outside) else "recipes"


def _arms(study: Study) -> list[str]:
    """Return each arm with what it changes; one that goes on from an arm before it names that one."""
    if study.design is not None:
        return [f"{name} ({' '.join(change)})" for name, change in study.design.changes.items()]
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
    sources = "; ".join(dict.fromkeys(cost.source for cost in plan.costs.values()))
    if not math.isfinite(sum(plan.row)):
        return sources
    (low, quick), *_, (high, slow) = sorted(plan.costs.items(), key=lambda item: item[1].seconds)
    span = duration(slow.seconds)
    if slow.seconds > _ALIKE * quick.seconds:
        span = f"{duration(quick.seconds)} ({low}) to {span} ({high})"
    memory = max(cost.memory for cost in plan.costs.values())
    told = f", {quantity(memory, 'B')} of memory" if memory else ""
    return f"{span} of training{told} ({sources})"


def _findings(plan: StudyPlan) -> list[str]:
    """Return what the study can find: from the noise of earlier runs, else for a few guesses at it."""
    points, unit = _points(plan), plan.unit
    if unit.detectable is None or unit.confirmable is None:
        return [f"  finds    nothing: {warning}" for warning in unit.warnings]
    sized = plan.sized
    if sized is not None and plan.noise is not None and sized.detectable is not None and sized.confirmable is not None:
        confirms = f"  confirms equivalence within {two_digits(sized.confirmable)}{points} or more"
        return [
            f"  noise    {_noise(plan.noise, points)}",
            f"  finds    differences of {two_digits(sized.detectable)}{points} or more, in 4 of 5 cases",
            *([] if plan.study.margin is None else [confirms]),
            *(f"  note     {warning}" for warning in sized.warnings),
        ]
    return [
        f"  noise    not known: the ledger has no study of {plan.study.recipes[CONTROL].name} at this length, and not "
        "two runs of the control with different scores (--pilot 3 makes three). If the standard deviation of a run is",
        *(f"           {noise:g}{points}: {_guess(plan, noise)}" for noise in _GUESSES),
        *_confirmable(plan, unit.confirmable),
    ]


def _noise(noise: Noise, points: str) -> str:
    """Return the noise, and what it rests on."""
    low, high = noise.interval(0.8)
    told = f"{two_digits(noise.sd)}{points}: standard deviation of one run, "
    if noise.paired:
        return f"{told}from earlier studies ({noise.df:.0f} degrees of freedom)"
    return (
        f"{told}from {noise.df + 1:.0f} runs of the control: probably {two_digits(low)} to {two_digits(high)}, "
        "and less where a seed moves all arms alike"
    )


def _rests_on(plan: StudyPlan) -> list[str]:
    """Return what is known of pairing, of the noise history, and of the test items."""
    told, found, history = [], plan.pairing, plan.study.history
    if history is not None:
        trust = plan.history_trust
        said = "counts as far as this study's own runs agree with it"
        if trust is not None and trust < 1:
            said = "would be distrusted" if trust <= 0 else f"would count by {100 * trust:.0f}%"
            said += ": the control's own runs vary more, or each seed moves all arms alike"
        told.append(
            ("history", f"{history.variance**0.5:.2g}{_points(plan)} ({history.weight:.0f} degrees of freedom) {said}")
        )
    if found is not None:
        measured = (
            f"correlation of arms and control over {counted(found.seeds, 'seed')} {found.correlation:+.2f}, probably "
        )
        measured += f"{found.low:+.2f} to {found.high:+.2f}"
        state = "unpaired in effect: equal seeds save none" if found.is_unpaired else "equal seeds save runs"
        state = state if found.is_unpaired or found.is_paired else "not known whether equal seeds save runs"
        told.append(("pairing", f"{state}, in an earlier study ({measured})"))
    if plan.study.begin:
        told.append(("begin", f"trained first, once a seed: the control with {listing(plan.study.begin)}"))
    told += [("guards", line) for line in plan.guards]
    told += [("noise", plan.item_prior)] if plan.item_prior else []
    if plan.scored_on:
        told.append(("items", plan.scored_on.rstrip(".")))
    return [f"  {name:9}{text}" for name, text in told]


def _needs(plan: StudyPlan) -> list[str]:
    """Return how many seeds the question needs, and how long they take."""
    told = []
    for need in plan.needs:
        aim = "to find a difference of" if need.aim == "difference" else "to show equivalence within"
        seeds = f"more than {MOST_SEEDS} seeds" if need.seeds is None else counted(need.seeds, "seed")
        time = "" if need.seconds is None or not math.isfinite(need.seconds) else f", about {duration(need.seconds)}"
        told.append(f"{aim} {need.size:.3g}{_points(plan)}: {seeds}{time}")
    return [f"  {'needs' if row == 0 else '':9}{text}" for row, text in enumerate(told)]


def _guess(plan: StudyPlan, noise: float) -> str:
    """Return what the study can find if the noise of one run were this."""
    assert plan.unit.detectable is not None
    assert plan.unit.confirmable is not None
    finds = f"finds differences of {two_digits(noise * plan.unit.detectable)} or more (in 4 of 5 cases)"
    confirms = f", confirms equivalence within {two_digits(noise * plan.unit.confirmable)}"
    return finds + (confirms if plan.study.margin is not None else "")


def _confirmable(plan: StudyPlan, unit: float) -> list[str]:
    """Up to which noise the margin can be confirmed; `unit` is what can be with a noise of 1."""
    margin = parse_margin(plan.study.margin)[0]
    if margin is None:
        return []
    most = f"{two_digits(margin / unit)}{_points(plan)}"
    return [f"  note     the margin of {margin:g} can be confirmed if the noise is at most {most}"]


def _extendable(study: Study) -> str:
    if not study.extendable:
        return ""
    level = 100 * rules_of(study.spec())[0].alpha
    return (
        f", over all extensions; these seeds are judged at {level:.2g}%. All seeds at once find more for the same time"
    )


def _margin(plan: StudyPlan) -> str:
    margin, percent = parse_margin(plan.study.margin)
    if percent is not None:
        return f"{percent:g}% of the control's mean over its first seeds: smaller differences do not matter"
    if margin is None:
        return "none: no arm is called equivalent"
    return f"{margin:g}{_points(plan)}: smaller differences do not matter"


def _points(plan: StudyPlan) -> str:
    """Return what follows a figure: ` points`, ` s`, or nothing where the metric has no unit."""
    unit = plan.study.judged.unit
    return " points" if unit == "%" else f" {unit}" if unit else ""
