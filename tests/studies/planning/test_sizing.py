"""How large a study must be: the pilot's runs are the study's own, and a time becomes seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ablata.api.studies import fit_budget, plan_study
from ablata.base.errors import RunError, SettingsError
from ablata.records import Ledger
from ablata.stats import Rule
from ablata.studies.launch import create
from ablata.studies.planning.sizing import control_noise, run_pilot, seeds_in_budget, wall_seconds
from ablata.studies.study import Study
from ablata.trainers.command import Command

SCRIPT = """
import random, sys, time
random.seed(int(sys.argv[1]))
print("acc:", random.gauss(90, 1))
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A study of a program of a tenth of a second."""
    (tmp_path / "train.py").write_text(SCRIPT)
    control = Command.of("python3 train.py {seed} {lr}", scores=["acc"], values={"lr": "0"}, folder=str(tmp_path))
    return Study(name="asked", question="?", control=control, arms={"big": {"lr": 1}, "other": {"lr": 2}}, margin=0.5)


def test_a_row_takes_as_long_as_its_busiest_worker_and_rows_before_the_first_look_run_together() -> None:
    rule = Rule(margin=None, seeds=5)
    assert wall_seconds([1.0, 1.0, 1.0], 1, rule, 2) == 2.0
    assert wall_seconds([1.0, 1.0, 1.0], 3, rule, 2) == 5.0
    assert wall_seconds([1.0, 1.0, 1.0], 5, rule, 2) == 9.0
    assert wall_seconds([1.0, 1.0, 1.0], 5, rule, 1) == 15.0
    # Where eight rows wait at a time: eight, eight and four rows of two runs on two workers.
    assert wall_seconds([1.0, 1.0], 20, rule, 2, rows=8) == 20.0
    assert wall_seconds([1.0, 1.0, 1.0], 20, rule, 2, rows=8) == 30.0
    assert math.isnan(wall_seconds([math.nan, 1.0], 5, rule, 1))


def test_a_budget_pays_for_the_most_seeds_that_fit_and_is_refused_below_the_first_verdict() -> None:
    def wall(seeds: int) -> float:
        return 10.0 * seeds

    assert seeds_in_budget(100, wall, 3) == 10
    assert seeds_in_budget(109, wall, 3) == 10
    assert seeds_in_budget(1e9, wall, 3) == 200
    with pytest.raises(SettingsError, match="3 seeds that the first verdict needs"):
        seeds_in_budget(29, wall, 3)
    with pytest.raises(SettingsError, match="--pilot 1"):
        seeds_in_budget(100, lambda seeds: math.nan, 3)


def test_a_pilot_runs_the_control_once_tells_noise_time_and_seeds_and_is_disclosed(
    ledger: Ledger, study: Study
) -> None:
    before = plan_study(study, ledger=ledger)
    assert before.noise is None
    assert before.needs == ()
    assert "--pilot 1 makes one" in str(before)
    said: list[str] = []
    run_pilot(ledger, study, 3, say=said.append)
    run_pilot(ledger, study, 3)
    runs = ledger.runs.find()
    assert sorted(run.seed for run in runs) == [0, 1, 2]
    assert [run.attempt for run in runs] == [1, 1, 1], "what has ended is not run again"
    assert len(said) == 3
    scores = [run.scores["acc"] for run in runs if run.scores]
    noise = control_noise(ledger, study)
    assert noise is not None
    assert noise.sd == pytest.approx(np.std(scores, ddof=1))
    planned = plan_study(study, effect=10 * noise.sd, workers=1, ledger=ledger)
    assert (planned.runs, planned.known) == (12, 3)
    assert planned.noise == noise
    assert [(need.aim, need.size) for need in planned.needs] == [("difference", 10 * noise.sd), ("margin", 0.5)]
    assert planned.needs[0].seeds == 3
    assert planned.needs[0].seconds == pytest.approx(9 * planned.costs["control"].seconds)
    assert "from 3 runs of the control" in str(planned)
    create(ledger, study)
    assert ledger.studies.get("asked").spec["seen"] == {"control": 3}
    create(ledger, study)


def test_a_budget_runs_a_program_once_and_a_recorded_study_keeps_its_seeds(ledger: Ledger, study: Study) -> None:
    fit = fit_budget(study, 3600, workers=1, ledger=ledger)
    assert fit.seeds > 5
    assert len(ledger.runs.find()) == 1
    create(ledger, fit)
    assert fit_budget(study, 60, workers=1, ledger=ledger).seeds == fit.seeds


def test_a_control_that_fails_ends_the_pilot_in_words(ledger: Ledger, study: Study, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("raise SystemExit('no data')")
    with pytest.raises(RunError, match="control must run to its end") as told:
        run_pilot(ledger, study, 3)
    assert "no data" in str(told.value)
    assert "failed" in str(told.value)
    assert len(ledger.runs.find()) == 1


def test_scores_that_are_all_alike_say_no_noise(ledger: Ledger, study: Study, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('acc: 1')")
    run_pilot(ledger, study, 2)
    assert control_noise(ledger, study) is None
    assert "with different scores" in str(plan_study(study, ledger=ledger))


def test_a_recipe_has_a_pilot_too(ledger: Ledger, make_study: Callable[..., Study]) -> None:
    planned = plan_study(make_study(), pilot=2, workers=1, ledger=ledger)
    assert (planned.runs, planned.known) == (13, 2)
    assert planned.costs["control"].source == "2 earlier runs"
