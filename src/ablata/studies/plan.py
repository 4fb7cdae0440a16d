"""Before any training: what a study will cost and what it can find."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ablata.base.settings import expand, settings_hash
from ablata.engine.loop import train_steps
from ablata.engine.memory import peak_memory, reset_peak_memory
from ablata.engine.precision import choose_device
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.engine.session import Session
from ablata.engine.task import Site
from ablata.records.ledger import Ledger
from ablata.records.rows import RunRow
from ablata.stats import History, Noise, Plan, plan, pool_noise
from ablata.studies.assess import cached_calibration
from ablata.studies.chain import lineage
from ablata.studies.identity import cache_folder, new_run, record_environment
from ablata.studies.noise import noise_of_study
from ablata.studies.study import Study

_TIMED_STEPS = 8


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
        cost: expected cost of a run of the control.
        workers: local processes.
        noise: what is known of the noise, or None.
        sized: detectable effect and confirmable margin, or None while the noise is unknown.
        unit: the same for a noise of 1, to be multiplied with a guess.
    """

    study: Study
    runs: int
    known: int
    cost: RunCost
    workers: int
    noise: Noise | None
    sized: Plan | None
    unit: Plan

    @property
    def hours(self) -> float:
        """Wall time if no arm stops early."""
        return self.runs * self.cost.seconds / self.workers / 3600


def plan_study(ledger: Ledger, study: Study, workers: int) -> StudyPlan:
    """Work out a study's size without training it.

    Time and memory come from completed runs of the same recipe, else from a few timed steps of the control. The noise
    comes from earlier studies of the same recipe, metric and length.

    Raises:
        UserError: the data is missing, or an arm cannot be built.
    """
    environment = record_environment(ledger)
    recipes = {settings_hash(one): one for recipe in study.recipes.values() for one in lineage(recipe)}
    firsts = [new_run(ledger, recipe, study.first_seed, environment) for recipe in recipes.values()]
    wanted = [replace(first, seed=study.seed_row(row)) for first in firsts for row in range(study.seeds)]
    completed = ledger.runs.find(state=("completed", "diverged"))
    have = {run.identity for run in completed}
    known = sum((new.recipe_hash, new.code, new.data, new.seed, new.environment) in have for new in wanted)
    rule, arms = study.rule(), len(study.arms)
    calibration = cached_calibration(ledger, arms, rule)
    noise = earlier_noise(ledger, study)
    return StudyPlan(
        study=study,
        runs=len(wanted) - known,
        known=known,
        cost=_cost_from_history(completed, study.control, environment)
        or time_steps(lineage(study.control)[0], cache_folder(ledger)),
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


def time_steps(recipe: Recipe, cache: Path) -> RunCost:
    """Estimate a run's cost from a few steps and one evaluation; nothing is kept of them.

    Raises:
        UserError: the recipe cannot be built.
    """
    recipe, device = recipe.effective(), choose_device(recipe.compute.device)
    torch.manual_seed(0)
    reset_peak_memory(device)
    with tempfile.TemporaryDirectory() as folder:
        session = Session(recipe, 0, Path(folder), Site(device, cache), Reporter())
        total, evaluations = session.total, session.evaluations_left()
        session.total = min(_TIMED_STEPS, total)
        session.model.train()
        train_steps(session)
        clock = session.clock
    rate = clock.steps_per_second() or session.total / clock.seconds()
    seconds = total / rate + evaluations * clock.evaluation_seconds()
    return RunCost(seconds, float(peak_memory(device)), f"{session.total} timed steps")
