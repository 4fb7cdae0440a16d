"""Before any training: what a study will cost and what it can find."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ablata.base.settings import expand, settings_hash
from ablata.engine.hardware.memory import peak_memory, reset_peak_memory
from ablata.engine.hardware.precision import choose_device
from ablata.engine.loop import train_steps
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.stats import History, Noise, Plan, plan, pool_noise
from ablata.studies.assess import cached_calibration
from ablata.studies.chain import lineage
from ablata.studies.identity import cache_folder, new_run, record_environment
from ablata.studies.noise import noise_of_study
from ablata.studies.study import Study

_TIMED_STEPS = 8
_PATIENCE_SECONDS = 120.0


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
        sized: detectable effect and confirmable margin, or None while the noise is unknown.
        unit: the same for a noise of 1, to be multiplied with a guess.
    """

    study: Study
    runs: int
    known: int
    costs: Mapping[str, RunCost]
    seconds: float
    workers: int
    noise: Noise | None
    sized: Plan | None
    unit: Plan

    @property
    def hours(self) -> float:
        """Wall time if no arm stops early."""
        return self.seconds / self.workers / 3600


def plan_study(ledger: Ledger, study: Study, workers: int, threads: int | None = None) -> StudyPlan:
    """Work out a study's size without training it.

    Time and memory come from completed runs of the same recipe, else from a few timed steps of it. The noise comes from
    earlier studies of the same recipe, metric and length.

    Args:
        ledger: where the study will be.
        study: the study.
        workers: local processes.
        threads: processor threads of each; None: torch's choice.

    Raises:
        UserError: the data is missing, or an arm cannot be built.
    """
    environment = record_environment(ledger)
    recipes = {settings_hash(one): one for recipe in study.recipes.values() for one in lineage(recipe)}
    firsts = {key: new_run(ledger, recipe, study.first_seed, environment) for key, recipe in recipes.items()}
    completed = ledger.runs.find(state=("completed", "diverged"))
    have = {run.identity for run in completed}
    seeds = [study.seed_row(row) for row in range(study.seeds)]
    left = {key: sum(replace(first, seed=seed).identity not in have for seed in seeds) for key, first in firsts.items()}
    timing = _Timing(cache_folder(ledger), threads or torch.get_num_threads())
    costs = {key: _cost_from_history(completed, one, environment) or timing.cost(one) for key, one in recipes.items()}
    rule, arms = study.rule(), len(study.arms)
    calibration = cached_calibration(ledger, arms, rule)
    noise = earlier_noise(ledger, study)
    return StudyPlan(
        study=study,
        runs=sum(left.values()),
        known=study.seeds * len(recipes) - sum(left.values()),
        costs={name: costs[settings_hash(recipe)] for name, recipe in study.recipes.items()},
        seconds=sum(number * costs[key].seconds for key, number in left.items()),
        workers=workers,
        noise=noise,
        sized=plan(noise.sd, arms, rule, calibration) if noise and noise.variance > 0 else None,
        unit=plan(1.0, arms, rule, calibration),
    )


def earlier_noise(ledger: Ledger, study: Study) -> Noise | None:
    """Pool the noise of studies of the same recipe, metric and training length, this one's own rows so far included.

    Returns:
        The noise, for planning; None if there is no such study.
    """
    pooled = pool_noise(_noises(ledger, study, own=True))
    return Noise(variance=pooled.variance, df=pooled.df) if pooled else None


def with_history(ledger: Ledger, study: Study) -> Study:
    """Return the study with its rule resting on the noise of earlier studies too, where there are any."""
    history: History | None = pool_noise(_noises(ledger, study))
    return replace(study, history=history) if history else study


def _noises(ledger: Ledger, study: Study, *, own: bool = False) -> Iterator[Noise]:
    length = expand(study.control.train)
    for row in ledger.studies.all():
        arms = ledger.studies.arms(row.name)
        control = next(arm for arm in arms if arm.is_control)
        same = control.recipe_name == study.control.name and row.spec["metric"]["key"] == study.metric.key
        if (row.name == study.name and not own) or not same or control.recipe["train"] != length:
            continue
        found = noise_of_study(ledger, row.name)
        if found is not None:
            yield found


def _cost_from_history(completed: list[RunRow], recipe: Recipe, environment: str) -> RunCost | None:
    same = [
        run
        for run in completed
        if run.recipe_hash == settings_hash(recipe) and run.environment == environment and run.cost
    ][:10]
    if not same:
        return None
    seconds = float(np.mean([run.cost["seconds"] for run in same if run.cost]))
    memory = max(run.cost.get("peak_memory_bytes", 0.0) for run in same if run.cost)
    return RunCost(seconds, memory, f"{len(same)} earlier run{'s' if len(same) > 1 else ''}")


class _Timing:
    """Times recipes by a few steps each, until that has taken long enough."""

    def __init__(self, cache: Path, threads: int) -> None:
        self._cache, self._threads = cache, threads
        self._begun, self._known = time.monotonic(), dict[str, RunCost]()

    def cost(self, recipe: Recipe) -> RunCost:
        """Return the cost of a run; a taught network, whose teacher there is not yet, costs what its teacher does."""
        first = lineage(recipe)[0]
        key = settings_hash(first)
        if key not in self._known:
            if self._known and time.monotonic() - self._begun > _PATIENCE_SECONDS:
                control = next(iter(self._known.values()))
                return replace(control, source="taken for as long as the first, not timed")
            self._known[key] = time_steps(first, self._cache, self._threads)
        return self._known[key]


def time_steps(recipe: Recipe, cache: Path, threads: int) -> RunCost:
    """Estimate a run's cost from a few steps and one evaluation; nothing is kept of them.

    Args:
        recipe: one that starts from nothing.
        cache: where decoded data may be kept.
        threads: processor threads, if the recipe does not ask for fewer.

    Raises:
        UserError: the recipe cannot be built.
    """
    recipe, device = recipe.effective(), choose_device(recipe.compute.device)
    torch.manual_seed(0)
    reset_peak_memory(device)
    with _threads(min(threads, recipe.compute.threads or threads)), tempfile.TemporaryDirectory() as folder:
        state = TrainState(recipe, 0, Path(folder), RunContext(device, cache), Reporter())
        total, evaluations = state.total, state.evaluations_left()
        state.total = min(_TIMED_STEPS, total)
        state.model.train()
        train_steps(state)
        clock = state.clock
    rate = clock.steps_per_second() or state.total / clock.seconds()
    seconds = total / rate + evaluations * clock.evaluation_seconds()
    return RunCost(seconds, float(peak_memory(device)), f"{state.total} timed steps")


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
