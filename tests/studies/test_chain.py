"""Chains of real, tiny trainings: trained in order, shared, ended in words when a teacher is no use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ablata.base.errors import RecordError
from ablata.base.overrides import override
from ablata.engine.recipe import Recipe
from ablata.engine.reporting import Reporter
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.records.writer import RunWriter
from ablata.studies import launch as launch_module
from ablata.studies.chain import ancestry, lineage
from ablata.studies.identity import cache_folder, new_run
from ablata.studies.launch import StudyRunner, create
from ablata.studies.planning.plan import plan_study
from ablata.studies.study import Study
from ablata.studies.workers.execution import execute
from ablata.studies.workers.pool import Workers
from ablata.studies.workers.worker import work


@pytest.fixture
def refined(quick: Recipe) -> Recipe:
    """Two rounds of it."""
    return override(quick, ["refine=refinement", "refine.rounds=2", "compute.threads=1"])


def enqueued(ledger: Ledger, recipe: Recipe) -> list[RunRow]:
    runs: list[RunRow] = []
    for one in lineage(recipe):
        runs.append(ledger.runs.enqueue(new_run(ledger, one, 0, "here", runs[-1].id if runs else None)))
    return runs


def run(ledger: Ledger, row: RunRow, recipe: Recipe) -> None:
    with RunWriter.resume(ledger, row.id) as writer:
        execute(writer, recipe, cache_folder(ledger), Reporter())


def test_a_chain_is_trained_in_its_order(ledger: Ledger, refined: Recipe) -> None:
    runs = enqueued(ledger, refined)
    assert [run.parent for run in runs] == [None, runs[0].id, runs[1].id]
    for row, recipe in zip(runs, lineage(refined), strict=True):
        run(ledger, row, recipe)
    scores = [row.scores or {} for row in ancestry(ledger, ledger.runs.get(runs[2].id))]
    assert [one.get("val/plain/teacher_top1") for one in scores[1:]] == [one["val/plain/top1"] for one in scores[:2]]


def test_a_student_of_a_diverged_teacher_has_diverged_with_it(ledger: Ledger, refined: Recipe) -> None:
    runs = enqueued(ledger, refined)
    claim = ledger.leases.claim_run(runs[0].id, "worker", 60)
    ledger.leases.finish(runs[0].id, claim.attempt, "diverged", error="the loss is not finite")
    run(ledger, runs[1], lineage(refined)[1])
    ended = ledger.runs.get(runs[1].id)
    assert ended.state == "diverged"
    assert runs[0].id in str(ended.error)


def test_a_run_without_the_parent_that_its_recipe_asks_for_fails_in_words(ledger: Ledger, refined: Recipe) -> None:
    alone = ledger.runs.enqueue(new_run(ledger, refined, 0, "here"))
    with pytest.raises(RecordError, match="parent must have completed"):
        run(ledger, alone, refined)
    assert ledger.runs.get(alone.id).state == "failed"


@pytest.fixture
def asked(ledger: Ledger, quick: Recipe) -> Study:
    """A study of the plain recipe, one round on top of it, and two."""
    once = ("refine=refinement", "refine.teacher=static")
    arms = {"once": once, "twice": (*once, "refine.rounds=2")}
    control = override(quick, ["compute.threads=1"])
    study = Study(name="rounds", question="?", control=control, arms=arms, margin=1.0, seeds=2, first_look=2)
    create(ledger, study)
    return study


def test_a_study_shares_every_round_and_trains_teachers_that_fill_no_cell(
    ledger: Ledger, asked: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "_POLL_SECONDS", 0.0)
    StudyRunner(ledger, asked.name, Workers(0, 1), lambda: _train_all(ledger, asked.name)).run()
    cells = {(cell.arm, cell.seed): cell.run for cell in ledger.studies.cells(asked.name)}
    assert {one.state for one in cells.values()} == {"completed"}
    assert len(ledger.runs.find()) == 6, "the arms share their beginnings with the control and each other"
    for seed in (0, 1):
        assert cells["once", seed].parent == cells["control", seed].id
        assert cells["twice", seed].parent == cells["once", seed].id
    assert ledger.studies.parents(asked.name) == []


def test_a_teacher_that_fills_no_cell_is_trained_and_put_back_when_it_failed(
    ledger: Ledger, quick: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_module, "_POLL_SECONDS", 0.0)
    arms = {"mixed": ("refine=refinement", "refine.teacher=static", "refine.mix_alpha=[0.3,0]")}
    control = override(quick, ["compute.threads=1"])
    create(ledger, Study(name="mixed", question="?", control=control, arms=arms, margin=1.0, seeds=2, first_look=2))
    failed: list[str] = []

    def watch() -> None:
        teachers = ledger.studies.parents("mixed")
        if teachers and not failed:
            claim = ledger.leases.claim_run(teachers[0].id, "worker", 60)
            ledger.leases.finish(claim.run.id, claim.attempt, "failed", error="the disk was full")
            failed.append(claim.run.id)
            return
        _train_all(ledger, "mixed")

    told: list[str] = []
    StudyRunner(ledger, "mixed", Workers(0, 1), watch, told.append).run()
    assert [run.state for run in ledger.studies.parents("mixed")] == ["completed"] * 2
    assert any("the disk was full" in line for line in told)


def _train_all(ledger: Ledger, study: str) -> None:
    if ledger.leases.waiting_count(study=study):
        work(ledger, study=study, idle_exit=True, threads=1)


def test_a_plan_counts_teachers(ledger: Ledger, make_study: Callable[..., Study]) -> None:
    mixed = ("refine=refinement", "refine.mix_alpha=[0.3,0]")
    planned = plan_study(ledger, make_study(arms={"mixed": mixed}, seeds=3), 1)
    assert planned.runs == 9
