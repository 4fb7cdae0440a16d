"""Before any training: what a study will cost and what it can find."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablata.base.errors import listing
from ablata.base.quantities import counted, duration, quantity, two_digits
from ablata.base.settings import expand, settings_hash
from ablata.records.ledger import Ledger
from ablata.records.questions.scored_on import scored_on
from ablata.records.rows import RunRow
from ablata.stats import History, Noise, Plan, plan, plan_factorial, pool_noise, procedure_of, rules_of
from ablata.stats.assumptions.pairing import Pairing, measured_pairing
from ablata.stats.moderation import trust_in
from ablata.stats.planning import MOST_SEEDS
from ablata.studies.assess import cached_calibration, cached_factorial_calibration
from ablata.studies.beginning import refuse_other_networks
from ablata.studies.chain import lineage
from ablata.studies.identity import cache_folder, new_run, record_environment
from ablata.studies.known_before import known_sentences
from ablata.studies.metric import parse_margin
from ablata.studies.planning.guards import guard_plan
from ablata.studies.planning.noise import item_prior_line, noise_of_study, score_table
from ablata.studies.planning.sizing import Need, control_noise, needs_of, wall_seconds
from ablata.studies.study import CONTROL, Study
from ablata.studies.workers.together import ALONE, Together
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_PATIENCE_SECONDS = 120.0
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
        row: seconds of the runs of one seed, teachers counted.
        sized: detectable effect and confirmable margin, or None while the noise is unknown.
        unit: the same for a noise of 1, to be multiplied with a guess.
        pairing: how far runs of the same seed moved together in earlier studies; None where it was not measured.
        guards: a line for each guardrail.
        item_prior: what is known of how single images make the score's noise, where it is to be read from them.
        history_trust: how far the noise history agrees with the control's own runs, 0 to 1; None: nothing to compare.
        scored_on: a sentence on the test items; empty where no run of the control kept its own.
        known_before: sentences on what is known of the question already, and what follows for the verdicts.
        together: how many runs are trained as one.
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
        }


def plan_study(
    ledger: Ledger,
    study: Study,
    workers: int,
    threads: int | None = None,
    *,
    effect: float | None = None,
    together: Together | None = None,
) -> StudyPlan:
    """Work out a study's size without training it.

    Time and memory come from completed runs of the same recipe, else from a few timed steps of it. The noise comes from
    earlier studies of the same recipe, metric and length, else from runs of the same control.

    Args:
        ledger: where the study will be.
        study: the study.
        workers: local processes.
        threads: processor threads of each; None: torch's choice.
        effect: the least difference that is to be found, > 0; None: the margin, else some that fit the noise.
        together: how many runs are trained as one; None: each by itself.

    Raises:
        UserError: the data is missing, or an arm cannot be built.
    """
    together = (together or ALONE).of_study(study.spec())[0]
    refuse_other_networks(study.recipes, CONTROL)
    environment = record_environment(ledger)
    recipes = {settings_hash(one): one for recipe in study.recipes.values() for one in lineage(recipe)}
    firsts = {key: new_run(ledger, recipe, study.first_seed, environment) for key, recipe in recipes.items()}
    completed = ledger.runs.find(state=("completed", "diverged"))
    have = {run.identity for run in completed}
    seeds = [study.seed_row(row) for row in range(study.seeds)]
    left = {key: sum(replace(first, seed=seed).identity not in have for seed in seeds) for key, first in firsts.items()}
    timing = _Timing(cache_folder(ledger), threads)
    costs = dict[str, RunCost]()
    for key, one in recipes.items():
        known = _cost_from_history(completed, one, environment, together)
        costs[key] = known or timing.cost(one, next(iter(costs.values()), None))
    size = _sizing(ledger, study)
    noise = earlier_noise(ledger, study) or control_noise(ledger, study)
    made = StudyPlan(
        study=study,
        runs=sum(left.values()),
        known=study.seeds * len(recipes) - sum(left.values()),
        costs={name: costs[settings_hash(recipe)] for name, recipe in study.recipes.items()},
        seconds=sum(number * costs[key].seconds for key, number in left.items()),
        workers=workers,
        noise=noise,
        needs=(),
        row=tuple(cost.seconds for cost in costs.values()),
        sized=size(noise.sd) if noise else None,
        unit=size(1.0),
        known_before=known_sentences(ledger, study),
        scored_on=_scored_on(ledger, study),
        pairing=earlier_pairing(ledger, study),
        history_trust=_history_trust(ledger, study),
        guards=guard_plan(ledger, study),
        item_prior=item_prior_line(ledger, study),
        together=together,
    )
    if noise is None or study.design is not None:
        return made
    return replace(made, needs=needs_of(study, noise, effect, made.wall))


def _sizing(ledger: Ledger, study: Study) -> Callable[[float], Plan]:
    """Return the function from the noise of one run to what the study can find."""
    rule, design = rules_of(study.spec())[-1], study.design
    if design is not None:
        bound = cached_factorial_calibration(ledger, design.design, rule)
        return lambda noise: plan_factorial(noise, design.design, rule, bound)
    calibration = cached_calibration(ledger, len(study.arms), rule, procedure_of(study.spec()))
    return lambda noise: plan(noise, len(study.arms), rule, calibration)


def earlier_noise(ledger: Ledger, study: Study) -> Noise | None:
    """Pool the noise of studies of the same recipe, metric and training length, this one's own rows so far included.

    Returns:
        The noise, for planning; None if there is no such study, or nothing varies in them.
    """
    pooled = pool_noise(_noises(ledger, study, own=True))
    return Noise(variance=pooled.variance, df=pooled.df) if pooled and pooled.variance > 0 else None


def with_history(ledger: Ledger, study: Study) -> Study:
    """Return the study with its rule resting on the noise of earlier studies too, where there are any.

    Seeds whose runs the study shares are left out: they count among its own.
    """
    history: History | None = pool_noise(_noises(ledger, study, without=_control_runs(ledger, study)))
    return replace(study, history=history) if history else study


def _control_runs(ledger: Ledger, study: Study) -> set[str]:
    """Return the runs of the control that the study has already."""
    first = new_run(ledger, study.recipes[CONTROL], study.first_seed, record_environment(ledger))
    wanted = {replace(first, seed=study.seed_row(row)).identity for row in range(study.seeds)}
    return {run.id for run in ledger.runs.find(recipe=first.recipe_hash) if run.identity in wanted}


def _noises(ledger: Ledger, study: Study, *, own: bool = False, without: Set[str] = frozenset()) -> Iterator[Noise]:
    for name in _alike(ledger, study, own=own):
        found = noise_of_study(ledger, name, without)
        if found is not None:
            yield found


def _alike(ledger: Ledger, study: Study, *, own: bool) -> Iterator[str]:
    """Yield the names of studies of the same recipe, metric and training length."""
    asked = study.recipes[CONTROL]
    length = None if isinstance(asked, Outside) else expand(asked.train)
    for row in ledger.studies.all():
        arms = ledger.studies.arms(row.name)
        control = next(arm for arm in arms if arm.is_control)
        same = control.recipe_name == asked.name and row.spec["metric"]["key"] == study.judged.key
        if (row.name == study.name and not own) or not same or control.recipe.get("train") != length:
            continue
        yield row.name


def earlier_pairing(ledger: Ledger, study: Study) -> Pairing | None:
    """Return how far runs of the same seed moved together in the earlier study of the same kind with most seeds."""
    found = [measured_pairing(table) for name in _alike(ledger, study, own=True)
             if (table := score_table(ledger, name)).shape[1] > 1]  # fmt: skip
    return max((one for one in found if one is not None), key=lambda one: one.seeds * one.arms, default=None)


def _scored_on(ledger: Ledger, study: Study) -> str:
    """Return the sentence on the test items of the control's score; empty where no run of it kept its own."""
    metric = study.spec()["metric"]
    done = ledger.runs.find(recipe=settings_hash(study.recipes[CONTROL]), state="completed")
    found = scored_on(ledger, metric, done, study.clusters)
    return "" if found is None else found.sentence(str(metric["split"] or ""))


def _history_trust(ledger: Ledger, study: Study) -> float | None:
    """Return how far the noise history agrees with the spread of the control's runs, which is the noise or more."""
    own = control_noise(ledger, study)
    return None if study.history is None or own is None else trust_in(study.history, own.variance, own.df)


def _cost_from_history(
    completed: list[RunRow], recipe: Recipe | Outside, environment: str, together: Together
) -> RunCost | None:
    same = [
        run
        for run in completed
        if run.recipe_hash == settings_hash(recipe) and run.environment == environment and run.cost
    ]
    if not same:
        return None
    grouped = [run for run in same if "together" in (run.cost or {})]
    alone = [run for run in same if "together" not in (run.cost or {})]
    alike, other = (grouped, alone) if together.most > 1 and not together.why_alone(recipe) else (alone, grouped)
    rests_on = (alike or other)[:10]
    seconds = float(np.mean([run.cost["seconds"] for run in rests_on if run.cost]))
    memory = max(run.cost.get("peak_memory_bytes", 0.0) for run in rests_on if run.cost)
    how = " trained together" if rests_on[0] in grouped else " trained alone" if together.most > 1 else ""
    return RunCost(seconds, memory, f"{len(rests_on)} earlier run{'s' if len(rests_on) > 1 else ''}{how}")


class _Timing:
    """Times recipes by a few steps each, until that has taken long enough."""

    def __init__(self, cache: Path, threads: int | None) -> None:
        self._cache, self._threads = cache, threads
        self._begun, self._known = time.monotonic(), dict[str, RunCost]()

    def cost(self, recipe: Recipe | Outside, control: RunCost | None) -> RunCost:
        """Return the cost of a run; a taught network, whose teacher there is not yet, costs what its teacher does.

        Args:
            recipe: of the run.
            control: what the control costs, for a command that was never run; None: not known.
        """
        if isinstance(recipe, Outside):
            unknown = RunCost(math.nan, math.nan, "not known before a run: --pilot 1 makes one")
            return replace(control, source="arms taken for as long as the control") if control else unknown
        first = lineage(recipe)[0]
        key = settings_hash(first)
        if key not in self._known:
            if self._known and time.monotonic() - self._begun > _PATIENCE_SECONDS:
                control = next(iter(self._known.values()))
                return replace(control, source="taken for as long as the first, not timed")
            from ablata.studies.planning.timing import time_steps

            seconds, memory, steps = time_steps(first, self._cache, self._threads)
            self._known[key] = RunCost(seconds, memory, f"{steps} timed steps")
        return self._known[key]


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
