from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablata.api.stopping import cancel_run, cancel_study, stop_run, stop_study
from ablata.base.errors import RecordError, RunError, SettingsError
from ablata.records import Ledger
from ablata.records.processes import worker_name
from ablata.records.rows import RunRow
from ablata.studies import launch as launch_module
from ablata.studies.assess import Assessment
from ablata.studies.identity import release_orphan
from ablata.studies.launch import StudyRunner, create
from ablata.studies.stopping import ask_to_stop
from ablata.studies.study import Study
from ablata.studies.workers.pool import Pool, Workers

Record = Callable[..., Study]
End = Callable[..., None]
Score = Callable[[str, int], float | None]
NOBODY = Workers(0, 1)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll without a pause: nothing is trained here."""
    monkeypatch.setattr(launch_module, "_POLL_SECONDS", 0.0)


@pytest.fixture
def run_with(ledger: Ledger, end_run: End) -> Callable[..., Assessment]:
    """A function that runs a recorded study, ending every waiting run with the score it is told."""

    def run(name: str, score: Score, **parts: Any) -> Assessment:
        trained: list[tuple[str, int]] = []

        def watch() -> None:
            for cell in ledger.studies.cells(name):
                if cell.run.state == "waiting":
                    trained.append((cell.arm, cell.seed))
                    end_run(cell.run, score(cell.arm, cell.seed))

        result = StudyRunner(ledger, name, NOBODY, watch, **parts).run()
        run.trained = trained  # type: ignore[attr-defined]
        return result

    return run


def clear(arm: str, seed: int) -> float:
    """A wide network is better, a slow one the same: beyond doubt."""
    return {"control": 90.0, "wide": 95.0, "slow": 90.0}[arm] + 0.1 * ((seed * len(arm)) % 5)


def open_for_ever(arm: str, seed: int) -> float:
    """Differences that swing with the seed, so that no verdict comes early."""
    return 90.0 + (0.0 if arm == "control" else (-1) ** seed * 0.8 + 0.5)


def test_a_study_trains_until_all_arms_are_decided_and_keeps_every_look(
    ledger: Ledger, recorded: Record, run_with: Any
) -> None:
    study = recorded()
    result = run_with(study.name, clear)
    assert {name: outcome.verdict.value for name, outcome in result.outcomes().items()} == {
        "wide": "better",
        "slow": "equivalent",
    }
    assert sorted(run_with.trained) == sorted((arm, seed) for arm in study.recipes for seed in range(result.rows))
    assert ledger.studies.get(study.name).state == "finished"
    assert ledger.studies.looks(study.name)[-1].result == result.as_look()
    arms = {arm.name: arm for arm in ledger.studies.arms(study.name)}
    assert (arms["wide"].state, arms["wide"].verdict) == ("stopped", "better")
    assert arms["control"].state == "open"


def test_a_decided_arm_costs_no_more_runs(ledger: Ledger, recorded: Record, run_with: Any) -> None:
    study = recorded(futility=False)

    def score(arm: str, seed: int) -> float:
        return clear(arm, seed) if arm != "slow" else open_for_ever(arm, seed)

    result = run_with(study.name, score)
    seeds = {arm: {seed for name, seed in run_with.trained if name == arm} for arm in study.recipes}
    assert seeds["wide"] == {0, 1, 2}
    assert seeds["control"] == seeds["slow"] == set(range(result.rows)) > seeds["wide"]


def test_workers_that_would_idle_take_runs_of_the_next_row_and_the_verdicts_stay(
    ledger: Ledger, recorded: Record, end_run: End, run_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    row_by_row = run_with(recorded(name="rows", futility=False).name, clear)
    name = recorded(name="ahead", futility=False, first_seed=100).name
    queued: list[list[tuple[str, int]]] = []

    def end_one() -> None:
        waiting = [cell for cell in ledger.studies.cells(name) if cell.run.state == "waiting"]
        oldest = min(waiting, key=lambda cell: ledger.runs.get(cell.run.id).number, default=None)
        queued.append([(cell.arm, cell.seed - 100) for cell in waiting])
        if oldest is not None:
            end_run(oldest.run, clear(oldest.arm, oldest.seed - 100))

    runner = StudyRunner(ledger, name, NOBODY, end_one)
    runner._beside = 4
    ahead = runner.run()
    verdicts = [[outcome.verdict for outcome in one.outcomes().values()] for one in (row_by_row, ahead)]
    assert (verdicts[0], row_by_row.rows) == (verdicts[1], ahead.rows)
    (first,) = {tuple(sorted(one)) for one in queued[:1]}
    assert first == tuple(sorted((arm, row) for arm in ("control", "slow", "wide") for row in range(3)))
    assert not ledger.runs.find(state="waiting")


def test_the_arm_that_is_least_likely_to_be_decided_next_is_queued_first(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    name = recorded(seeds=6, futility=False, margin=0.1).name
    scores = {"control": (90.0, 90.1, 90.2), "wide": (90.2, 90.1, 90.3), "slow": (91.0, 91.4, 91.0)}
    runner = StudyRunner(ledger, name, NOBODY)
    runner._beside = 8
    runner._advance()
    for cell in ledger.studies.cells(name):
        end_run(cell.run, scores[cell.arm][cell.seed])
    runner._advance()
    runner._advance()
    cells = sorted(ledger.studies.cells(name), key=lambda cell: ledger.runs.get(cell.run.id).number)
    looks = {arm: outcome.last for arm, outcome in runner.assessment.outcomes().items()}
    assert looks["slow"].open
    assert looks["wide"].open
    assert looks["slow"].p_difference < looks["wide"].p_difference < looks["wide"].p_equivalence
    waiting = [(cell.arm, cell.seed) for cell in cells if cell.run.state == "waiting"]
    assert sorted(waiting[:3]) == [("control", 3), ("slow", 3), ("wide", 3)]
    assert waiting[3:] == [("control", 4), ("wide", 4), ("slow", 4), ("control", 5), ("wide", 5)]


def test_a_fixed_study_trains_every_run_and_looks_once(ledger: Ledger, recorded: Record, run_with: Any) -> None:
    study = recorded(fixed=True)
    result = run_with(study.name, clear)
    assert len(run_with.trained) == 15
    assert result.rows == 5
    assert all(outcome.seeds == 5 for outcome in result.outcomes().values())


def test_a_second_study_with_the_same_control_trains_no_control_run_again(
    ledger: Ledger, recorded: Record, run_with: Any
) -> None:
    recorded(name="first", fixed=True)
    run_with("first", clear)
    recorded(name="second", arms={"slow": ("optim.lr=0.01",), "wider": ("model.width=8",)}, fixed=True)
    run_with("second", lambda arm, seed: 91.0)
    assert {arm for arm, _ in run_with.trained} == {"wider"}
    shared = {cell.run.id for cell in ledger.studies.cells("first")} & {
        cell.run.id for cell in ledger.studies.cells("second")
    }
    assert len(shared) == 10


def test_a_launch_that_was_killed_is_taken_up_where_it_was(ledger: Ledger, recorded: Record, run_with: Any) -> None:
    whole = recorded(name="whole")
    expected = run_with("whole", clear).as_look()
    for kill_after in range(1, 9):
        study = recorded(name=f"killed{kill_after}", first_seed=0, control=whole.control)
        left = kill_after

        def score(arm: str, seed: int) -> float:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return clear(arm, seed)

        for run in ledger.runs.find():
            # Runs of the earlier studies would be shared; they stand for another machine's here.
            with ledger.database.write() as connection:
                connection.exec_driver_sql("UPDATE runs SET environment = id WHERE id = :id", {"id": run.id})
        with pytest.raises(KeyboardInterrupt):
            run_with(study.name, score)
        assert run_with(study.name, clear).as_look() == expected


def test_a_kill_between_a_look_and_its_consequences_loses_nothing(
    ledger: Ledger, recorded: Record, run_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    with monkeypatch.context() as patch:
        patch.setattr(ledger.studies, "stop_arm", lambda *parts: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_with(study.name, clear)
    assert all(arm.state == "open" for arm in ledger.studies.arms(study.name))
    looks = len(ledger.studies.looks(study.name))
    run_with(study.name, clear)
    assert len(ledger.studies.looks(study.name)) == looks
    assert {arm.state for arm in ledger.studies.arms(study.name) if not arm.is_control} == {"stopped"}


def fail(ledger: Ledger, run: RunRow, error: str) -> None:
    claim = ledger.leases.claim_run(run.id, "tester:0", 60)
    ledger.leases.finish(run.id, claim.attempt, "failed", error=error)


def test_a_run_that_fails_once_is_tried_again_with_its_seed(ledger: Ledger, recorded: Record, end_run: End) -> None:
    study = recorded()
    failed: list[str] = []
    lines: list[str] = []

    def watch() -> None:
        for cell in ledger.studies.cells(study.name):
            if cell.run.state == "waiting" and not failed:
                failed.append(cell.run.id)
                fail(ledger, cell.run, "the disk was full")
            elif cell.run.state == "waiting":
                end_run(cell.run, clear(cell.arm, cell.seed))

    StudyRunner(ledger, study.name, NOBODY, watch, lines.append).run()
    again = ledger.runs.get(failed[0])
    assert (again.state, again.attempt) == ("completed", 2)
    assert lines == ["control, seed 0: failed: the disk was full"]


def test_a_run_that_fails_again_and_again_ends_the_launch_in_words_and_can_be_continued(
    ledger: Ledger, recorded: Record, run_with: Any
) -> None:
    study = recorded()

    def watch() -> None:
        for cell in ledger.studies.cells(study.name):
            if cell.run.state == "waiting":
                fail(ledger, cell.run, "no file left.png")

    for _ in range(2):
        with pytest.raises(RunError, match="failed 3 times: no file left") as told:
            StudyRunner(ledger, study.name, NOBODY, watch).run()
        assert told.value.do == f"mend the reason, then go on with: ablata study run {study.name}"
    assert run_with(study.name, clear).outcomes()["wide"].verdict.value == "better"


def test_a_study_that_was_asked_to_stop_ends_its_launch_and_can_be_gone_on_with(
    ledger: Ledger, recorded: Record, run_with: Any
) -> None:
    study, said = recorded(), []
    ask_to_stop(ledger, study.name)

    def score(arm: str, seed: int) -> float:
        ask_to_stop(ledger, study.name)
        return clear(arm, seed)

    with pytest.raises(KeyboardInterrupt):
        run_with(study.name, score, say=said.append)
    assert said == ["interrupted; what was trained is saved"]
    assert ledger.studies.get(study.name).state == "open"
    assert run_with(study.name, clear).rows == 3


def test_a_cancelled_study_is_judged_by_what_has_ended_and_trains_nothing_more(
    ledger: Ledger, recorded: Record, end_run: End
) -> None:
    study, said = recorded(), []

    def watch() -> None:
        if ledger.studies.get(study.name).state == "finished":
            return
        for cell in ledger.studies.cells(study.name)[:3]:
            end_run(cell.run, clear(cell.arm, cell.seed))
        cancel_study(study.name, ledger=ledger)

    with pytest.raises(RecordError, match=r"no study .absent"):
        cancel_study("absent", ledger=ledger)
    StudyRunner(ledger, study.name, NOBODY, watch, said.append).run()
    assert "cancelled" in said[-1]
    assert ledger.studies.get(study.name).state == "finished"
    assert not ledger.runs.find(state=("waiting", "running"))
    with pytest.raises(RecordError, match="has not ended"):
        stop_study(study.name, ledger=ledger)


def test_a_run_is_stopped_where_it_runs_and_cancelled_while_it_waits(ledger: Ledger, recorded: Record) -> None:
    study = recorded()
    StudyRunner(ledger, study.name, NOBODY)._advance()
    first, second, *_ = ledger.runs.find(study=study.name)
    with pytest.raises(RecordError, match=f"ablata study cancel {study.name}"):
        cancel_run(first.id, ledger=ledger)
    with pytest.raises(RecordError, match="is waiting"):
        stop_run(first.id, ledger=ledger)
    ledger.leases.claim_run(first.id, "elsewhere/000000:1", 60)
    with pytest.raises(RecordError, match=f"ablata study stop {study.name}"):
        stop_run(first.id, ledger=ledger)
    cancel_study(study.name, ledger=ledger)
    with pytest.raises(RecordError, match="held by elsewhere"):
        stop_run(first.id, ledger=ledger)
    with pytest.raises(RecordError, match="is cancelled"):
        cancel_run(second.id, ledger=ledger)
    ledger.runs.requeue(second.id)
    assert cancel_run(second.id[:8], ledger=ledger) == second.id
    assert ledger.runs.get(second.id).state == "cancelled"


def test_a_cancelled_run_is_put_back(ledger: Ledger, recorded: Record, run_with: Any) -> None:
    study = recorded()
    launch = StudyRunner(ledger, study.name, NOBODY)
    launch._advance()
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE runs SET state = 'cancelled'")
    assert run_with(study.name, clear).rows == 3


def test_runs_meant_for_other_code_are_replaced(
    ledger: Ledger, recorded: Record, run_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    with monkeypatch.context() as patch:
        patch.setattr("ablata.studies.identity.code_fingerprint", lambda: "older")
        StudyRunner(ledger, study.name, NOBODY)._advance()
    older = {cell.run.id for cell in ledger.studies.cells(study.name)}
    run_with(study.name, clear)
    newer = {cell.run.id for cell in ledger.studies.cells(study.name)}
    assert not older & newer
    assert {ledger.runs.get(run).state for run in older} == {"cancelled"}


def test_a_study_keeps_its_places_whatever_others_of_the_same_recipe_have(
    ledger: Ledger, make_study: Record, quick: Any
) -> None:
    def moved(batch: int) -> Any:
        return quick.model_copy(update={"train": quick.train.model_copy(update={"evaluate_batch": batch})})

    create(ledger, make_study(name="first", control=moved(55)))
    create(ledger, make_study(name="second", control=moved(77)))
    batches = [arm.recipe["train"]["evaluate_batch"] for arm in ledger.studies.arms("first")]
    assert batches == [55, 55, 55]


def test_a_study_asked_again_from_another_place_trains_there_what_is_left(
    ledger: Ledger, make_study: Record, quick: Any, run_with: Any
) -> None:
    create(ledger, study := make_study())
    StudyRunner(ledger, study.name, NOBODY)._advance()
    done = ledger.leases.claim("worker", 60)
    assert done is not None
    ledger.leases.finish(done.run.id, done.attempt, "completed", scores={"val/plain/top1": 90.0})
    moved = quick.model_copy(update={"train": quick.train.model_copy(update={"evaluate_batch": 77})})
    create(ledger, make_study(control=moved))
    run_with(study.name, clear)
    batches = {run.id: ledger.runs.settings(run)["train"]["evaluate_batch"] for run in ledger.runs.find()}
    assert batches.pop(done.run.id) == 512
    assert set(batches.values()) == {77}


def test_a_study_keeps_its_name_for_one_question_but_may_be_typed_otherwise(ledger: Ledger, make_study: Record) -> None:
    create(ledger, make_study(commands=("ablata study run one",)))
    create(ledger, make_study(commands=("ablata study run another",)))
    assert ledger.studies.get("asked").spec["commands"] == ["ablata study run one"]
    with pytest.raises(RecordError, match="differs in spec"):
        create(ledger, make_study(margin=2.0))


@pytest.fixture
def dead_process() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_of_a_dead_process_of_this_machine_is_given_back_at_once(
    ledger: Ledger, recorded: Record, run_with: Any, dead_process: int
) -> None:
    study = recorded()
    StudyRunner(ledger, study.name, NOBODY)._advance()
    held = [cell.run for cell in ledger.studies.cells(study.name)][:5]
    owners = [
        worker_name(dead_process),
        worker_name(),
        f"elsewhere:{dead_process}",
        f"{platform.node()}/another container:{dead_process}",
        f"{platform.node()}:{dead_process}",
    ]
    for run, owner in zip(held, owners, strict=True):
        ledger.leases.claim_run(run.id, owner, 3600)
    assert [release_orphan(ledger, ledger.runs.get(run.id)) for run in held] == [True, *[False] * 4]
    assert [ledger.runs.get(run.id).state for run in held] == ["waiting", *["running"] * 4]


def test_a_dead_workers_run_goes_on_without_waiting_for_its_lease(
    ledger: Ledger, recorded: Record, run_with: Any, dead_process: int
) -> None:
    study = recorded()
    StudyRunner(ledger, study.name, NOBODY)._advance()
    run = ledger.studies.cells(study.name)[0].run
    ledger.leases.claim_run(run.id, worker_name(dead_process), 3600)
    run_with(study.name, clear)
    assert ledger.runs.get(run.id).attempt == 2


def test_workers_that_cannot_start_are_told_with_their_last_words(
    ledger: Ledger, recorded: Record, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    study = recorded()
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'no module named torch' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("ablata.studies.workers.pool.sys.executable", str(broken))
    monkeypatch.setattr(launch_module, "_POLL_SECONDS", 0.02)
    with pytest.raises(RunError, match="no module named torch") as told:
        StudyRunner(ledger, study.name, Workers(2, 1)).run()
    assert str(ledger.home / "logs" / "asked.log") in str(told.value)


def test_no_worker_is_started_where_nothing_is_to_be_trained(
    ledger: Ledger, recorded: Record, run_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(name="first", fixed=True)
    run_with("first", clear)
    recorded(name="again", fixed=True, margin=2.0)
    monkeypatch.setattr(Pool, "_start", lambda *parts: pytest.fail("a worker was started"))
    monkeypatch.setattr(StudyRunner, "_rest", lambda *parts: pytest.fail("it rested, with all runs there"))
    assert StudyRunner(ledger, "again", Workers(2, 1)).run().rows == 5


def test_no_more_workers_are_started_than_runs_wait(
    ledger: Ledger, recorded: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    started: list[int] = []
    monkeypatch.setattr(Pool, "keep", lambda pool, owners, to_train: started.append(to_train) or {})
    StudyRunner(ledger, study.name, Workers(20, 1))._advance()
    assert started == [len(ledger.runs.find(state="waiting"))]


def test_a_launcher_rests_two_seconds_at_most_and_not_at_all_once_a_run_ends(
    ledger: Ledger, recorded: Record, end_run: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = recorded()
    now, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(launch_module, "_POLL_SECONDS", 0.25)
    monkeypatch.setattr(launch_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(launch_module.time, "sleep", sleep)
    runner = StudyRunner(ledger, study.name, NOBODY)
    runner._advance()
    runner._rest(1000.0)
    assert sum(slept) == 2.0
    slept.clear()
    end_run(ledger.studies.cells(study.name)[0].run, 90.0)
    runner._rest(1000.0)
    assert slept == [0.25]


def test_a_pool_replaces_a_dead_worker_and_says_how_it_ended(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    sleeper = tmp_path / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setattr("ablata.studies.workers.pool.sys.executable", str(sleeper))
    with Pool(ledger, "asked", Workers(2, 1)) as pool:
        assert pool.keep(set(), to_train=2) == {}
        first, second = pool._processes[0], pool._processes[1]
        first.kill()
        first.wait()
        assert pool.lost_one()
        assert pool.keep({worker_name(first.pid)}, to_train=2) == {worker_name(first.pid): -9}
        assert not pool.lost_one()
        assert pool._processes[1] is second
        third = pool._processes[0]
    assert second.returncode == third.returncode == -15


def test_a_pool_ends_its_workers_at_once_when_interrupted_while_it_waits(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    deaf = tmp_path / "deaf"
    deaf.write_text(f"#!/bin/sh\ntrap '' TERM\ntouch {tmp_path}/ready\nwhile :; do sleep 0.1; done\n")
    deaf.chmod(0o755)
    monkeypatch.setattr("ablata.studies.workers.pool.sys.executable", str(deaf))
    pool = Pool(ledger, "asked", Workers(1, 1))
    pool.keep(set(), to_train=1)
    (process,) = pool._processes.values()
    waited = process.wait
    while not (tmp_path / "ready").exists():
        time.sleep(0.01)

    def interrupted(timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return waited()

    monkeypatch.setattr(process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.__exit__()
    assert process.returncode == -9


def test_a_study_with_a_part_that_fails_at_its_first_step_is_not_recorded(
    ledger: Ledger, make_study: Callable[..., Study], tmp_path: Path
) -> None:
    (tmp_path / "odd.py").write_text(
        "import torch\nfrom torch.nn import functional as F\n\n\n"
        "def constant(logits, labels):\n    return torch.tensor(3.0)\n\n\n"
        "def nothing(logits, labels):\n    return 3 + 0 * logits.sum()\n\n\n"
        "def broken(logits, labels):\n    return F.cross_entropy(logits, labels[:1])\n\n\n"
        "def good(logits, labels):\n    return F.cross_entropy(logits, labels)\n"
    )
    for name, told in (
        ("constant", "must depend on the network's outputs"),
        ("nothing", "must change with the network's outputs"),
        ("broken", "must fit the first batch"),
    ):
        with pytest.raises(SettingsError, match=told):
            create(ledger, make_study(arms={name: [f"loss={tmp_path / 'odd.py'}:{name}"]}))
    assert ledger.studies.all() == []
    create(ledger, make_study(arms={"good": [f"loss={tmp_path / 'odd.py'}:good"]}))
    assert len(ledger.studies.all()) == 1


def test_names_of_parameters_that_the_network_lacks_are_told_before_the_first_run(
    ledger: Ledger, make_study: Record
) -> None:
    rates = 'optim.groups.multipliers=[{"pattern":"nothing.*","lr":2}]'
    slow = {"slow": ("optim.lr=0.01",)}
    for parts in ({"arms": slow, "begin": ("freeze=nothing", "train.epochs=1")}, {"arms": {"a": (rates,)}}):
        with pytest.raises(SettingsError, match="fits none"):
            create(ledger, make_study(**parts))
    assert not ledger.studies.all()
    assert not ledger.runs.find()
