from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import RecordError, RunError
from ablata.engine.recipe import Recipe
from ablata.records import Ledger
from ablata.records.rows import RunRow
from ablata.studies.assess import assess
from ablata.studies.identity import new_run, record_environment
from ablata.studies.launch import StudyRunner
from ablata.studies.study import Study
from ablata.studies.workers import worker as worker_module
from ablata.studies.workers.pool import Workers
from ablata.studies.workers.worker import StopOnSignal, work

Record = Callable[..., Study]
NOBODY = Workers(0, 1)


@pytest.fixture
def waiting(ledger: Ledger, quick: Recipe) -> Callable[..., RunRow]:
    """A function that enqueues a run; keywords replace parts of its identity."""

    def build(seed: int = 0, made: Recipe = quick, **parts: Any) -> RunRow:
        new = new_run(ledger, made, seed, record_environment(ledger))
        return ledger.runs.enqueue(type(new)(**{field: getattr(new, field) for field in new.__slots__} | parts))

    return build


def test_a_worker_trains_what_waits_and_ends(ledger: Ledger, waiting: Callable[..., RunRow]) -> None:
    runs = [waiting(seed) for seed in range(2)]
    assert work(ledger, idle_exit=True) == 2
    ended = [ledger.runs.get(run.id) for run in runs]
    assert [run.state for run in ended] == ["completed", "completed"]
    assert all(0 <= run.scores["val/plain/top1"] <= 100 for run in ended if run.scores)
    assert all(run.cost and run.cost["seconds"] > 0 for run in ended)
    assert ended[0].scores != ended[1].scores


def test_the_same_seed_scores_the_same_in_two_ledgers(
    ledger: Ledger, waiting: Callable[..., RunRow], quick: Recipe, tmp_path: Path
) -> None:
    run = waiting(3)
    work(ledger, idle_exit=True)
    with Ledger(home=tmp_path / "other", address=str(tmp_path / "other.sqlite3")) as other:
        again = other.runs.enqueue(new_run(other, quick, 3, record_environment(other)))
        work(other, idle_exit=True)
        assert other.runs.get(again.id).scores == ledger.runs.get(run.id).scores


def test_a_diverged_run_is_counted_and_not_trained_again(
    ledger: Ledger, waiting: Callable[..., RunRow], quick: Recipe
) -> None:
    recipe = quick.model_copy(update={"optim": quick.optim.model_copy(update={"lr": 1e30})})
    run = waiting(made=recipe)
    assert work(ledger, idle_exit=True) == 0
    ended = ledger.runs.get(run.id)
    assert (ended.state, ended.attempt) == ("diverged", 1)
    assert "finite" in str(ended.error)
    assert work(ledger, idle_exit=True) == 0
    assert ledger.runs.get(run.id).attempt == 1


def test_a_run_on_other_data_fails_in_words(ledger: Ledger, waiting: Callable[..., RunRow]) -> None:
    run = waiting(data="of yesterday")
    assert work(ledger, idle_exit=True) == 0
    ended = ledger.runs.get(run.id)
    assert ended.state == "failed"
    assert "for data of yesterday" in str(ended.error)


def test_settings_that_no_longer_fit_fail_the_run_and_not_the_worker(
    ledger: Ledger, waiting: Callable[..., RunRow], quick: Recipe
) -> None:
    broken = waiting(0, recipe={"task": "classify", "colour": "blue"}, recipe_hash="odd")
    good = waiting(1)
    assert work(ledger, idle_exit=True) == 1
    assert ledger.runs.get(broken.id).state == "failed"
    assert "colour" in str(ledger.runs.get(broken.id).error)
    assert ledger.runs.get(good.id).state == "completed"


def test_runs_of_another_machine_are_left_alone_and_told(ledger: Ledger, waiting: Callable[..., RunRow]) -> None:
    ledger.environments.record("beef", {"accelerators": ["NVIDIA H200"], "libraries": {"torch": "2.9"}})
    for seed in range(2):
        waiting(seed, environment="beef")
    lines: list[str] = []
    assert work(ledger, idle_exit=True, say=lines.append) == 0
    (line,) = lines
    assert line.startswith("2 runs wait for environment class beef (NVIDIA H200, torch 2.9); this machine is ")
    assert "--any-environment" in line
    assert {run.state for run in ledger.runs.find()} == {"waiting"}


def test_a_worker_for_any_environment_takes_them_under_its_own(
    ledger: Ledger, recorded: Record, end_run: Callable[..., None]
) -> None:
    study = recorded(arms={"wide": ("model.width=6",)}, seeds=2)
    environment = record_environment(ledger)
    for arm, recipe in study.recipes.items():
        for seed in range(2):
            label = "beef" if (arm, seed) == ("wide", 1) else environment
            ledger.studies.enqueue(study.name, arm, new_run(ledger, recipe, seed, label))
    for cell in ledger.studies.cells(study.name):
        if cell.arm == "control":
            # The control was trained on the other machine.
            with ledger.database.write() as connection:
                statement = "UPDATE runs SET environment = 'beef' WHERE id = :id"
                connection.exec_driver_sql(statement, {"id": cell.run.id})
            end_run(ledger.runs.get(cell.run.id), 90.0)
    assert work(ledger, idle_exit=True, any_environment=True) == 2
    environments = {(cell.arm, cell.seed): cell.run.environment for cell in ledger.studies.cells(study.name)}
    assert environments["wide", 0] == environments["wide", 1] == environment != environments["control", 0]
    last = assess(ledger, study.name).outcomes()["wide"].last
    assert not last.paired


def test_a_run_is_not_taken_twice_under_one_identity(ledger: Ledger, waiting: Callable[..., RunRow]) -> None:
    here, there = waiting(0), waiting(0, environment="beef")
    claim = ledger.leases.claim("one", 60, relabel=here.environment)
    assert claim is not None
    assert claim.run.id == here.id
    assert ledger.leases.claim("two", 60, relabel=here.environment) is None
    ledger.leases.finish(here.id, 1, "failed", error="gone")
    again = ledger.leases.claim("two", 60, relabel=here.environment)
    assert again is not None
    assert (again.run.id, again.run.environment) == (there.id, here.environment)


def test_a_study_whose_code_changed_ends_its_worker_in_words(
    ledger: Ledger, recorded: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    StudyRunner(ledger, study.name, NOBODY)._advance()
    monkeypatch.setattr(worker_module, "codes", lambda: ("newer",))
    with pytest.raises(RunError, match="launch it again: ablata study run asked"):
        work(ledger, study=study.name)


def test_a_worker_of_a_study_ends_with_it(ledger: Ledger, recorded: Record) -> None:
    study = recorded()
    ledger.studies.finish(study.name)
    assert work(ledger, study=study.name) == 0
    with pytest.raises(RecordError, match="no study 'nope'"):
        work(ledger, study="nope")


def test_a_worker_whose_launcher_is_gone_ends(ledger: Ledger, recorded: Record, waiting: Callable[..., RunRow]) -> None:
    run = waiting(0)
    assert work(ledger, parent=os.getppid() + 1) == 0
    assert ledger.runs.get(run.id).state == "waiting"


def test_a_signal_stops_after_the_step_and_gives_the_run_back(
    ledger: Ledger, waiting: Callable[..., RunRow], quick: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, stopped = waiting(0), waiting(1)
    work(ledger, idle_exit=True)
    expected = ledger.runs.get(stopped.id).scores
    assert ledger.runs.get(alone.id).scores != expected
    run = waiting(1, environment="beef")
    steps = 0

    def stop_at_the_third(self: StopOnSignal) -> str | None:
        nonlocal steps
        steps += 1
        if steps == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return "asked" if self.asked else None

    with monkeypatch.context() as patch:
        patch.setattr(StopOnSignal, "stop_reason", stop_at_the_third)
        patch.setattr(worker_module, "record_environment", lambda ledger: "beef")
        assert work(ledger, idle_exit=True) == 0
    given_back = ledger.runs.get(run.id)
    assert (given_back.state, given_back.attempt) == ("waiting", 1)
    assert "Stopped after step 3 of 6" in str(given_back.stop_reason)
    assert (ledger.runs.folder(given_back) / "last.safetensors").exists()
    monkeypatch.setattr(worker_module, "record_environment", lambda ledger: "beef")
    assert work(ledger, idle_exit=True) == 1
    assert ledger.runs.get(run.id).scores == expected


def test_the_first_signal_asks_and_the_second_is_not_caught(capfd: pytest.CaptureFixture[str]) -> None:
    stop = StopOnSignal(notice="stopping")

    def interrupt_twice() -> None:
        with stop.listening():
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.stop_reason() == "asked"
            assert capfd.readouterr().err == "stopping\n"
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


OWN = '''
from typing import Literal
from ablata.recipes.index import load_recipe
from ablata.tasks.classification.task import Classify

class Mine(Classify):
    """A recipe of a user's own class."""
    task: Literal["mine"] = "mine"

def small() -> Mine:
    made = load_recipe("digits", ["train.epochs=null", "train.steps=4", "train.evaluate_every=0", "model.width=4"])
    return Mine(data=made.data, model=made.model, train=made.train, compute=made.compute)
'''


def test_a_recipe_class_of_a_users_file_is_found_and_part_of_the_identity(
    ledger: Ledger, waiting: Callable[..., RunRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ablata.recipes.index import load_recipe

    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(OWN)
    first = waiting(made=load_recipe("mine.py:small"))
    assert work(ledger, idle_exit=True) == 1
    second = waiting(made=load_recipe("mine.py:small"))
    assert second.id == first.id
    Path("mine.py").write_text(OWN + "\n# changed\n")
    third = waiting(made=load_recipe("mine.py:small"))
    assert third.id != first.id
    Path("mine.py").write_text(OWN)
    assert work(ledger, idle_exit=True) == 0
    assert "mine.py changed since" in str(ledger.runs.get(third.id).error)
