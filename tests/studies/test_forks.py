"""Arms that act late share their beginning with the control, trained once; each ends as a whole run would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ablata.engine.recipe import Recipe
from ablata.records import Ledger
from ablata.reports.collect import study_view
from ablata.reports.html import study_page
from ablata.studies.launch import StudyRunner, create
from ablata.studies.study import Study
from ablata.studies.workers.pool import Workers
from ablata.studies.workers.worker import StopOnSignal, train_claim

LATE = {
    "no-drop": ("schedule.milestones=[0.5]",),
    "averaged": ("ema=ema", "ema.decay=0.5", "ema.copy_steps=8"),
    "early": ("optim.lr=0.01",),
}
STEPS = ("train.steps=10", "schedule=step", "schedule.milestones=[0.5,0.9]")


@pytest.fixture
def late(quick: Recipe) -> Callable[..., Study]:
    from ablata.base.overrides import override

    def build(fork: str) -> Study:
        control = override(quick, STEPS)
        return Study(name="late", question="?", control=control, arms=LATE, seeds=2, fork=fork)  # type: ignore[arg-type]

    return build


def trained(ledger: Ledger, study: Study) -> dict[str, dict[str, float]]:
    """Train one seed of every arm in this process and return its scores."""
    create(ledger, study)
    runner = StudyRunner(ledger, study.name, Workers(1, 1))
    for arm in runner.columns:
        runner._fill(arm, 0, None)
    while (claim := ledger.leases.claim("tester:0", 60, study=study.name)) is not None:
        assert train_claim(ledger, claim, 1, 1, StopOnSignal(), False, print)
    return {cell.arm: cell.run.scores or {} for cell in ledger.studies.cells(study.name)}


def test_forks_score_as_whole_runs_and_cost_less(tmp_path: Path, late: Callable[..., Study]) -> None:
    with Ledger(home=tmp_path / "auto") as ledger, Ledger(home=tmp_path / "never") as other:
        shared, whole = trained(ledger, late("auto")), trained(other, late("never"))
        assert shared == whole
        spec = ledger.studies.get("late").spec["fork"]
        assert spec["steps"] == {"control": 9, "no-drop": 9, "averaged": 8}
        assert "fork" not in other.studies.get("late").spec
        beginnings = ledger.studies.parents("late")
        assert sorted((run.cost or {})["steps"] for run in beginnings) == [8, 9]
        assert not other.studies.parents("late")
        view = study_view(ledger, "late")
        assert not view.rounds
        said = " ".join(view.fork)
        assert "averaged from step 8 of 10 (80%); control, no-drop from step 9" in said
        assert "early: trained whole" in said
        assert "2 beginnings and 4 ends, 23 steps, 58% of the 40 steps of 4 whole runs" in said
        assert "Given this beginning" in study_page(view)


def test_a_run_that_has_been_trained_needs_no_beginning(tmp_path: Path, late: Callable[..., Study]) -> None:
    with Ledger(home=tmp_path) as ledger:
        trained(ledger, replace(late("never"), name="whole"))
        assert trained(ledger, late("auto"))
        assert not ledger.studies.parents("late")
