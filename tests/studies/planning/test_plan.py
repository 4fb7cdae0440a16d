from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

import ablata.engine.measuring as measuring
import ablata.studies.planning.plan as plans
from ablata.records import Ledger
from ablata.stats import calibrate, noise_from_scores, plan
from ablata.studies.identity import new_run, record_environment
from ablata.studies.planning.plan import earlier_noise, plan_study, with_history
from ablata.studies.planning.sizing import wall_seconds
from ablata.studies.study import Study
from ablata.studies.workers.together import Together

Record = Callable[..., Study]
End = Callable[..., None]
SCORES = {"control": [90.0, 90.6, 89.5], "wide": [91.0, 91.2, 90.9], "slow": [89.0, 90.1, 88.8]}


def end_all(ledger: Ledger, study: Study, end: End, scores: dict[str, list[float]] = SCORES) -> None:
    environment = record_environment(ledger)
    for arm, values in scores.items():
        for row, value in enumerate(values):
            new = new_run(ledger, study.recipes[arm], study.seed_row(row), environment)
            end(ledger.studies.enqueue(study.name, arm, new), value)


def test_a_plan_without_history_times_a_few_steps_of_each_arm_and_trains_nothing(
    ledger: Ledger, make_study: Record
) -> None:
    planned = plan_study(ledger, make_study(), workers=2)
    assert (planned.runs, planned.known) == (15, 0)
    assert list(planned.costs) == ["control", "wide", "slow"]
    for cost in planned.costs.values():
        assert cost.source == "6 timed steps"
        assert cost.seconds > 0
        assert cost.memory > 1e7
    assert planned.noise is planned.sized is None
    costs = [cost.seconds for cost in planned.costs.values()]
    assert planned.hours == pytest.approx(wall_seconds(costs, 5, planned.study.rule(), 2) / 3600)
    assert ledger.runs.find() == []
    assert ledger.studies.all() == []


def test_steps_are_timed_with_the_threads_of_a_worker(
    ledger: Ledger, make_study: Record, monkeypatch: pytest.MonkeyPatch, quick: Any
) -> None:
    seen, before = [], torch.get_num_threads()
    real = measuring.train_steps
    monkeypatch.setattr(measuring, "train_steps", lambda session: (seen.append(torch.get_num_threads()), real(session)))
    freely = quick.model_copy(update={"compute": quick.compute.model_copy(update={"threads": None})})
    plan_study(ledger, make_study(control=freely), workers=2, threads=3)
    assert set(seen) == {3}
    seen.clear()
    plan_study(ledger, make_study(control=quick), workers=2, threads=3)  # its recipe asks for one
    assert set(seen) == {1}
    assert torch.get_num_threads() == before


def test_arms_are_not_timed_for_ever(ledger: Ledger, make_study: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "_PATIENCE_SECONDS", 0.0)
    costs = plan_study(ledger, make_study(), workers=2).costs
    assert costs["control"].source == "6 timed steps"
    assert {costs[arm].source for arm in ("wide", "slow")} == {"taken for as long as the first, not timed"}
    assert costs["wide"].seconds == costs["control"].seconds


def test_a_plan_rests_on_what_earlier_studies_cost_and_scattered(
    ledger: Ledger, make_study: Record, recorded: Record, end_run: End
) -> None:
    end_all(ledger, recorded(name="earlier"), end_run)
    planned = plan_study(ledger, make_study(name="next"), workers=2)
    assert (planned.runs, planned.known) == (6, 9)
    for cost in planned.costs.values():
        assert (cost.seconds, cost.memory, cost.source) == (2.0, 1e8, "3 earlier runs")
    # On two workers the first three rows of three runs take five turns, each later row two; 6 of 15 runs are left.
    assert planned.hours == pytest.approx((5 + 2 + 2) * 2.0 * 6 / 15 / 3600)
    noise = noise_from_scores([list(row) for row in zip(*SCORES.values(), strict=True)])
    assert planned.noise is not None
    assert (planned.noise.sd, planned.noise.df) == pytest.approx((noise.sd, noise.df))
    rule = make_study().rule()
    assert planned.sized == plan(noise.sd, 2, rule, calibrate(2, rule))


def test_noise_counts_only_from_the_same_recipe_metric_and_length(
    ledger: Ledger, make_study: Record, recorded: Record, end_run: End, quick: Any
) -> None:
    longer = quick.model_copy(update={"train": quick.train.model_copy(update={"steps": 7})})
    renamed = quick.model_copy(update={"name": "another"})
    end_all(ledger, recorded(name="longer", control=longer), end_run)
    end_all(ledger, recorded(name="renamed", control=renamed, first_seed=50), end_run)
    assert earlier_noise(ledger, make_study()) is None
    study = make_study()
    assert with_history(ledger, study) is study
    end_all(ledger, recorded(name="same", first_seed=90), end_run)
    assert earlier_noise(ledger, make_study()) is not None


def test_a_study_plans_with_its_own_noise_but_is_no_history_of_itself(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    study = recorded()
    end_all(ledger, study, end_run)
    assert earlier_noise(ledger, study) is not None
    assert with_history(ledger, study) is study
    assert with_history(ledger, replace(study, name="next", first_seed=50)).history is not None
    # A study that shares these runs is judged by them: counted once more as history, they would count twice.
    assert with_history(ledger, replace(study, name="next")).history is None


def test_a_plan_takes_times_of_runs_that_were_trained_as_it_asks(
    ledger: Ledger, make_study: Record, recorded: Record
) -> None:
    study = recorded(name="earlier")
    for seed, (seconds, together) in enumerate([(8.0, {}), (3.0, {"together": 4.0}), (5.0, {"together": 4.0})]):
        new = new_run(ledger, study.recipes["control"], seed, record_environment(ledger))
        run = ledger.studies.enqueue("earlier", "control", new)
        claim = ledger.leases.claim_run(run.id, "w", 60)
        ledger.leases.finish(run.id, claim.attempt, "completed", scores={}, cost={"seconds": seconds, **together})
    alone = plan_study(ledger, make_study(name="next"), workers=2).costs["control"]
    assert (alone.seconds, alone.source) == (8.0, "1 earlier run")
    planned = plan_study(ledger, make_study(name="next"), workers=2, together=Together(4))
    assert planned.costs["control"].seconds == 4.0
    assert planned.costs["control"].source == "2 earlier runs trained together"
    assert "together up to 4 runs of one network as one" in str(planned)
