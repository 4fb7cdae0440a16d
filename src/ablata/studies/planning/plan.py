"""Before any training: works out what a study will cost and what it can find."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ablata.base.settings import expand, settings_hash
from ablata.records.ledger import Ledger
from ablata.records.questions.scored_on import scored_on
from ablata.records.rows import NewRun, RunRow
from ablata.stats import History, Noise, Plan, plan, plan_factorial, pool_noise, procedure_of, rules_of
from ablata.stats.assumptions.pairing import Pairing, measured_pairing
from ablata.stats.moderation import trust_in
from ablata.studies.assess import cached_calibration, cached_factorial_calibration
from ablata.studies.beginning import refuse_other_networks
from ablata.studies.chain import lineage
from ablata.studies.forks import common_beginnings, shared_cost
from ablata.studies.identity import cache_folder, new_run, record_environment
from ablata.studies.planning.guards import guard_plan
from ablata.studies.planning.known_before import known_sentences
from ablata.studies.planning.noise import item_prior_line, noise_of_study, score_table
from ablata.studies.planning.sizing import control_noise, needs_of
from ablata.studies.planning.study_plan import RunCost, StudyPlan
from ablata.studies.study import CONTROL, Study, in_arm
from ablata.studies.workers.together import ALONE, Together
from ablata.trainers.any import Outside

if TYPE_CHECKING:
    from ablata.engine.recipe import Recipe

_PATIENCE_SECONDS = 120.0


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
    recipes: dict[str, Recipe | Outside] = {}
    firsts, owners = dict[str, NewRun](), dict[str, str]()
    for name, recipe in study.recipes.items():
        with in_arm(name):
            for one in lineage(recipe):
                key = settings_hash(one)
                recipes[key], firsts[key] = one, new_run(ledger, one, study.first_seed, environment)
                owners.setdefault(key, name)
    completed = ledger.runs.find(state=("completed", "diverged"))
    have = {run.identity for run in completed}
    seeds = [study.seed_row(row) for row in range(study.seeds)]
    left = {key: sum(replace(first, seed=seed).identity not in have for seed in seeds) for key, first in firsts.items()}
    timing = _Timing(cache_folder(ledger), threads)
    costs = dict[str, RunCost]()
    for key, one in recipes.items():
        known = _cost_from_history(completed, one, environment, together)
        with in_arm(owners[key]):
            costs[key] = known or timing.cost(one, next(iter(costs.values()), None))
    by_arm = {name: settings_hash(recipe) for name, recipe in study.recipes.items()}
    shared = shared_cost(
        common_beginnings(study, cache_folder(ledger)), {name: costs[key].seconds for name, key in by_arm.items()}
    )
    row = {key: cost.seconds for key, cost in costs.items()}
    before = 0.0
    if shared:
        row |= {by_arm[name]: seconds for name, seconds in shared.own.items()}
        before = shared.beginning * max(left[by_arm[name]] for name in shared.steps)
    size = _sizing(ledger, study)
    noise = earlier_noise(ledger, study) or control_noise(ledger, study)
    made = StudyPlan(
        study=study,
        runs=sum(left.values()),
        known=study.seeds * len(recipes) - sum(left.values()),
        costs={name: costs[key] for name, key in by_arm.items()},
        seconds=sum(number * row[key] for key, number in left.items()) + before,
        workers=workers,
        noise=noise,
        needs=(),
        row=(*row.values(), *([shared.beginning] if shared else [])),
        sized=size(noise.sd) if noise else None,
        unit=size(1.0),
        known_before=known_sentences(ledger, study),
        scored_on=_scored_on(ledger, study),
        pairing=earlier_pairing(ledger, study),
        history_trust=_history_trust(ledger, study),
        guards=guard_plan(ledger, study),
        item_prior=item_prior_line(ledger, study),
        together=together,
        shared=shared,
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
    runs = {run.id: run for run in completed}
    seconds = float(np.mean([_whole_seconds(run, runs) for run in rests_on]))
    memory = max(run.cost.get("peak_memory_bytes", 0.0) for run in rests_on if run.cost)
    how = " trained together" if rests_on[0] in grouped else " trained alone" if together.most > 1 else ""
    return RunCost(seconds, memory, f"{len(rests_on)} earlier run{'s' if len(rests_on) > 1 else ''}{how}")


def _whole_seconds(run: RunRow, runs: Mapping[str, RunRow]) -> float:
    """Return the training time of a run, with that of the beginning from which it goes on, if any."""
    cost, parent = run.cost or {}, runs.get(run.parent or "")
    before = _whole_seconds(parent, runs) if parent and cost.get("first_step", 0.0) > 0 else 0.0
    return float(cost.get("seconds", 0.0)) + before


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
