"""Arms that act late share their beginning with the control, trained once; each ends as a whole run would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

import ablata.studies.planning.plan as plans
from ablata.base.errors import SettingsError
from ablata.base.overrides import override
from ablata.base.settings import settings_hash
from ablata.engine.forking import acts_from
from ablata.engine.recipe import Recipe
from ablata.records import Ledger
from ablata.records.questions.judged import load_of
from ablata.reports.collect import study_view
from ablata.reports.costs import time_notes
from ablata.reports.html import study_page
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import StudyRunner, create
from ablata.studies.planning.plan import plan_study
from ablata.studies.planning.study_plan import RunCost
from ablata.studies.study import Study
from ablata.studies.workers.pool import Workers
from ablata.studies.workers.worker import StopOnSignal, train_claim
from ablata.trainers.command import Command

LATE = {
    "no-drop": ("schedule.milestones=[0.5]",),
    "averaged": ("ema=ema", "ema.decay=0.5", "ema.copy_steps=8"),
    "early": ("optim.lr=0.01",),
}
STEPS = ("train.steps=10", "schedule=step", "schedule.milestones=[0.5,0.9]")


@pytest.fixture
def late(quick: Recipe) -> Callable[..., Study]:
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
        run = replace(ledger.studies.cells("late")[0].run, launch="one")
        (note,) = time_notes(["control"], [("control", run)], load_of(run), forked=True)
        assert note.startswith("Times are of a run's own part")
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


BEGIN = ("train.steps=3", "freeze=stem*")


@pytest.fixture
def begun(quick: Recipe) -> Callable[..., Study]:
    def build(name: str, arms: dict[str, tuple[str, ...]], begin: tuple[str, ...] = BEGIN) -> Study:
        return Study(name=name, question="?", control=quick, arms=arms, seeds=2, begin=begin)

    return build


def test_arms_share_a_fine_tuning_start_and_end_as_with_one_of_their_own(
    tmp_path: Path, begun: Callable[..., Study]
) -> None:
    arms = {"slow": ("optim.lr=0.01",), "log": ("loss.smoothing=0.1",)}
    with Ledger(home=tmp_path / "shared") as ledger, Ledger(home=tmp_path / "alone") as other:
        shared = trained(ledger, begun("tuned", arms))
        (beginning,) = ledger.studies.parents("tuned")
        assert (beginning.cost or {})["steps"] == 3
        alone = trained(other, begun("single", {"log": arms["log"]}))
        assert {name: shared[name] for name in alone} == alone
        assert shared["slow"] != shared["control"]
        view = study_view(ledger, "tuned")
        assert not view.rounds
        said = " ".join(view.fork)
        assert "first trained with train.steps=3, freeze=stem*, once" in said
        assert "1 beginning" in said
        assert "Given this beginning" in study_page(view)
        again = begun("again", {"slow": arms["slow"]})
        create(ledger, again)
        runner = StudyRunner(ledger, "again", Workers(1, 1))
        assert runner._fill(runner.columns[0], 0, None)


def test_arms_that_let_all_learn_later_end_as_whole_runs(tmp_path: Path, quick: Recipe) -> None:
    control = override(quick, ("train.steps=8", "freeze=stem*", "freeze_epochs=0.1"))
    kinds: tuple[Literal["auto", "never"], ...] = ("auto", "never")
    scores = []
    for fork in kinds:
        with Ledger(home=tmp_path / fork) as ledger:
            arms = {"later": ("freeze_epochs=0.2",), "never": ("freeze_epochs=null",)}
            scores.append(trained(ledger, Study(name="s", question="?", control=control, arms=arms, fork=fork)))
            assert len(ledger.studies.parents("s")) == (fork == "auto")
    assert scores[0] == scores[1]


def test_a_shared_start_that_cannot_be_is_refused(ledger: Ledger, quick: Recipe, begun: Callable[..., Study]) -> None:
    with pytest.raises(SettingsError, match="must have its network"):
        create(ledger, begun("wide", {"wide": ("model.width=6",)}))
    with pytest.raises(SettingsError, match="must differ"):
        begun("same", {"slow": ("optim.lr=0.01",)}, ("train.steps=6",))
    with pytest.raises(SettingsError, match="must have its network"):
        create(ledger, begun("narrow", {"slow": ("optim.lr=0.01",)}, ("model.width=6",)))
    fresh = begun("fresh", {"fresh": ("start=null",)})
    assert settings_hash(fresh.recipes["fresh"]) == settings_hash(quick)
    program = Command.of("python t.py {seed}", scores=["acc"])
    with pytest.raises(SettingsError, match="for recipes"):
        Study(name="program", question="?", control=program, arms={"a": ("x=1",)}, begin=("lr=1",))


def test_arms_that_let_all_learn_at_other_times_share_the_frozen_steps(quick: Recipe) -> None:
    frozen = override(quick, ("freeze=stem*", "freeze_epochs=0.2"))
    for changes, steps in (
        (("freeze_epochs=0.1",), 1),
        (("freeze_epochs=0.3",), 2),
        (("freeze_epochs=null",), 0),
        (("freeze=null", "freeze_epochs=null"), 0),
    ):
        assert acts_from(frozen, override(frozen, changes), 10) == steps, changes


def test_a_plan_tells_both_costs(ledger: Ledger, late: Callable[..., Study]) -> None:
    cost = RunCost(10.0, 1e6, "given")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans._Timing, "cost", lambda *_: cost)
        shared, whole = (plan_study(ledger, late(fork), workers=1) for fork in ("auto", "never"))
    assert whole.shared is None
    assert whole.row == (10.0,) * 4
    assert shared.shared is not None
    # Ends of 1, 1 and 2 steps of ten, one whole run, and the nine steps before.
    assert shared.row == pytest.approx((1.0, 1.0, 2.0, 10.0, 9.0))
    assert "23 s of training, with whole runs (--fork never) 40 s" in str(shared)
    assert shared.seconds == pytest.approx(2 * 23)
    assert shared.to_json()["shared"]["fraction"] == pytest.approx(23 / 40)


def test_the_time_of_a_forked_run_counts_its_beginning(ledger: Ledger, recorded: Callable[..., Study]) -> None:
    study = recorded()
    new = new_run(ledger, study.recipes["control"], 0, record_environment(ledger))
    first = replace(ledger.studies.enqueue(study.name, "control", new), cost={"seconds": 3.0})
    end = replace(first, parent=first.id, cost={"seconds": 1.0, "first_step": 8.0})
    assert plans._whole_seconds(end, {first.id: first}) == 4.0
    assert plans._whole_seconds(replace(end, cost={"seconds": 1.0}), {first.id: first}) == 1.0
