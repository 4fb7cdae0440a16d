from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from ablata.base.errors import LeaseLostError, RecordError
from ablata.records import Claim, Ledger, NewArm, NewRun
from ablata.records.rows import SEVERAL
from ablata.records.tables import Run
from ablata.records.values import clock

Build = Callable[..., NewRun]
Start = Callable[..., "subprocess.Popen[str]"]


def claim(ledger: Ledger, worker: str = "worker", lease_seconds: float = 60.0) -> Claim:
    taken = ledger.leases.claim(worker, lease_seconds)
    assert taken is not None
    return taken


def let_lapse(ledger: Ledger, run_id: str) -> None:
    with ledger.database.write() as connection:
        connection.execute(update(Run).where(Run.id == run_id).values(lease_until=clock() - 60))


def test_runs_are_claimed_by_priority_then_in_the_order_they_came(ledger: Ledger, new_run: Build) -> None:
    runs = [ledger.runs.enqueue(new_run(seed=seed, priority=priority)) for seed, priority in enumerate([0, 0, 5, -1])]
    taken = [claim(ledger).run.id for _ in runs]
    assert taken == [runs[index].id for index in (2, 0, 1, 3)]
    assert ledger.leases.claim("worker", 60) is None


def test_a_claim_carries_the_recipe_and_sets_the_lease(ledger: Ledger, new_run: Build) -> None:
    ledger.runs.enqueue(new_run())
    taken = claim(ledger, "host:1", 30.0)
    assert (taken.recipe, taken.attempt, taken.resumed) == ({"name": "base"}, 1, False)
    assert (taken.run.state, taken.run.owner) == ("running", "host:1")
    assert taken.run.heartbeat is not None
    assert taken.run.lease_until == pytest.approx(taken.run.heartbeat + 30.0, abs=1.0)
    assert taken.run.started == pytest.approx(taken.run.heartbeat, abs=1.0)


def test_the_ledgers_clock_is_the_time_of_day(ledger: Ledger, new_run: Build) -> None:
    before = time.time()
    run = ledger.runs.enqueue(new_run())
    assert before - 0.1 <= run.created <= time.time() + 0.1


def test_a_lapsed_lease_is_claimed_again_as_a_new_attempt(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    first = claim(ledger, "first")
    assert ledger.leases.claim("second", 60) is None
    let_lapse(ledger, run.id)
    second = claim(ledger, "second")
    assert (second.run.id, second.attempt, second.run.owner, second.resumed) == (run.id, 2, "second", True)
    assert second.run.started == first.run.started


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock that cannot be set, as a list of one figure; the usual silence is asked for."""
    now = [0.0]
    monkeypatch.setattr("ablata.records.leases.SILENCE_SECONDS", 20.0)
    monkeypatch.setattr("ablata.records.leases.time.monotonic", lambda: now[0])
    monkeypatch.setattr("ablata.records.leases.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    return now


def test_a_clock_that_jumps_ahead_takes_no_run_from_a_living_worker(
    ledger: Ledger, new_run: Build, steady: list[float]
) -> None:
    run = ledger.runs.enqueue(new_run())
    alive = claim(ledger, "alive")
    for _ in range(5):
        let_lapse(ledger, run.id)
        assert ledger.leases.claim("ahead", 60) is None
        steady[0] += 15
        # A heartbeat of a worker whose clock is right, or that comes before the next look.
        ledger.leases.heartbeat(run.id, alive.attempt, 60)
    let_lapse(ledger, run.id)
    assert ledger.leases.claim("ahead", 60) is None
    steady[0] += 20
    assert claim(ledger, "ahead").attempt == 2


def test_a_run_of_a_name_is_taken_once_its_worker_was_watched_and_gave_no_sign(
    ledger: Ledger, new_run: Build, steady: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    run = ledger.runs.enqueue(new_run())
    claim(ledger, "host:1")
    let_lapse(ledger, run.id)
    assert ledger.leases.claim_run(run.id, "heir", 60).attempt == 2
    assert steady[0] == 20.0
    assert caplog.messages == [f"the lease of run {run.id} has lapsed; looking for a sign of life of host:1"]


def test_a_run_of_a_name_whose_worker_gives_a_sign_is_left_to_it(
    ledger: Ledger, new_run: Build, steady: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ledger.runs.enqueue(new_run())
    taken = claim(ledger, "host:1")
    let_lapse(ledger, run.id)
    beat = lambda seconds: ledger.leases.heartbeat(run.id, taken.attempt, 60)  # noqa: E731
    monkeypatch.setattr("ablata.records.leases.time.sleep", beat)
    with pytest.raises(RecordError, match="running at host:1"):
        ledger.leases.claim_run(run.id, "heir", 60)


def test_a_run_whose_worker_gives_signs_by_another_clock_is_not_waited_for(
    ledger: Ledger, new_run: Build, steady: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ledger.runs.enqueue(new_run())
    taken = claim(ledger, "host:1")
    let_lapse(ledger, run.id)

    def beat_by_a_clock_that_is_behind(seconds: float) -> None:
        ledger.leases.heartbeat(run.id, taken.attempt, 60)
        let_lapse(ledger, run.id)

    monkeypatch.setattr("ablata.records.leases.time.sleep", beat_by_a_clock_that_is_behind)
    with pytest.raises(RecordError, match="gave a sign of life: its clock is another"):
        ledger.leases.claim_run(run.id, "heir", 60)


def test_a_worker_that_lost_its_lease_cannot_write(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    first = claim(ledger, "first")
    let_lapse(ledger, run.id)
    claim(ledger, "second")
    writes: list[Callable[[], None]] = [
        lambda: ledger.leases.heartbeat(run.id, first.attempt, 60),
        lambda: ledger.leases.progress(run.id, first.attempt, {"step": 1}),
        lambda: ledger.leases.release(run.id, first.attempt, "tired"),
        lambda: ledger.leases.finish(run.id, first.attempt, "completed", scores={"accuracy": 1.0}),
        lambda: ledger.metrics.log(run.id, first.attempt, [(0, "loss", 1.0)]),
        lambda: ledger.metrics.truncate(run.id, first.attempt, 0),
    ]
    before = ledger.runs.get(run.id)
    for write in writes:
        with pytest.raises(LeaseLostError, match="attempt 2 by second; this was attempt 1"):
            write()
    assert ledger.runs.get(run.id) == before
    assert ledger.metrics.of_runs([run.id]) == []


def test_a_late_finish_counts_if_nobody_claimed_the_run(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    taken = claim(ledger)
    let_lapse(ledger, run.id)
    ledger.leases.finish(run.id, taken.attempt, "completed", scores={"accuracy": 0.5}, cost={"seconds": 2.0})
    ended = ledger.runs.get(run.id)
    assert (ended.state, ended.scores, ended.cost, ended.lease_until) == (
        "completed",
        {"accuracy": 0.5},
        {"seconds": 2.0},
        None,
    )
    assert ledger.leases.claim("other", 60) is None


def test_finishing_twice_is_harmless_and_finishing_otherwise_is_refused(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    taken = claim(ledger)
    ledger.leases.finish(run.id, taken.attempt, "completed", scores={"accuracy": 0.5})
    ended = ledger.runs.get(run.id)
    ledger.leases.finish(run.id, taken.attempt, "completed", scores={"accuracy": 0.5})
    assert ledger.runs.get(run.id) == ended
    with pytest.raises(LeaseLostError):
        ledger.leases.finish(run.id, taken.attempt, "failed")


def test_a_heartbeat_renews_a_lease_that_lapsed_unnoticed(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    taken = claim(ledger)
    let_lapse(ledger, run.id)
    ledger.leases.heartbeat(run.id, taken.attempt, 60)
    assert ledger.leases.claim("other", 60) is None


def test_a_released_run_waits_and_resumes(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    ledger.leases.release(run.id, claim(ledger).attempt, "interrupted")
    waiting = ledger.runs.get(run.id)
    assert (waiting.state, waiting.owner, waiting.stop_reason) == ("waiting", None, "interrupted")
    assert claim(ledger).attempt == 2


def test_counts_tell_nothing_now_from_all_done(ledger: Ledger, new_run: Build) -> None:
    run = ledger.runs.enqueue(new_run())
    assert (ledger.leases.waiting_count(), ledger.leases.open_count()) == (1, 1)
    taken = claim(ledger)
    assert (ledger.leases.waiting_count(), ledger.leases.open_count()) == (0, 1)
    let_lapse(ledger, run.id)
    assert (ledger.leases.waiting_count(), ledger.leases.open_count()) == (1, 1)
    ledger.leases.finish(run.id, taken.attempt, "completed")
    assert (ledger.leases.waiting_count(), ledger.leases.open_count()) == (0, 0)


def test_a_worker_sees_only_the_runs_it_may_train(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    ledger.studies.create("study", "?", {}, arms)
    mine = ledger.studies.enqueue("study", "control", new_run(seed=0))
    other = ledger.runs.enqueue(new_run(seed=1, environment="e2", code="c2"))
    leases = ledger.leases
    assert leases.waiting_count(study="study") == leases.open_count(study="study") == 1
    assert leases.waiting_count(environment="e3") == leases.open_count(code="c3") == 0
    assert leases.claim("worker", 60, environment="e1", code="c2") is None
    taken = leases.claim("worker", 60, environment="e2", code="c2")
    assert taken is not None
    assert taken.run.id == other.id
    assert leases.claim("worker", 60, study="elsewhere") is None
    taken = leases.claim("worker", 60, study="study")
    assert taken is not None
    assert taken.run.id == mine.id


def test_one_run_can_be_claimed_by_its_id_only_while_it_is_free(ledger: Ledger, new_run: Build) -> None:
    ledger.runs.enqueue(new_run(seed=0))
    run = ledger.runs.enqueue(new_run(seed=1))
    taken = ledger.leases.claim_run(run.id, "me", 60)
    assert taken.run.id == run.id
    with pytest.raises(RecordError, match="running at me"):
        ledger.leases.claim_run(run.id, "you", 60)
    let_lapse(ledger, run.id)
    taken = ledger.leases.claim_run(run.id, "you", 60)
    ledger.leases.finish(run.id, taken.attempt, "completed")
    with pytest.raises(RecordError, match="completed"):
        ledger.leases.claim_run(run.id, "me", 60)


def test_four_processes_claim_two_hundred_runs_exactly_once(
    ledger: Ledger, new_run: Build, start_worker: Start
) -> None:
    runs = [ledger.runs.enqueue(new_run(seed=seed)) for seed in range(200)]
    workers = [start_worker("claim_all") for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = []
    for worker in workers:
        output, errors = worker.communicate(timeout=120)
        assert (errors, worker.returncode) == ("", 0)
        claimed += output.split()
    assert sorted(claimed) == sorted(run.id for run in runs)
    assert {(run.state, run.attempt) for run in ledger.runs.find()} == {("completed", 1)}


def test_a_killed_run_is_claimed_again_after_its_lease(ledger: Ledger, new_run: Build, start_worker: Start) -> None:
    run = ledger.runs.enqueue(new_run())
    victim = start_worker("hold", 1.0)
    assert victim.stdout is not None
    assert victim.stdout.readline().strip() == run.id
    time.sleep(1.5)
    assert ledger.leases.claim("thief", 60) is None, "a beating heart keeps its lease"
    victim.kill()
    deadline = time.monotonic() + 20
    while (taken := ledger.leases.claim("heir", 60)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (taken.run.id, taken.attempt) == (run.id, 2)
    assert [curve.values for curve in ledger.metrics.of_runs([run.id])] == [(1.0,)]


def test_the_late_finish_of_a_worker_that_was_replaced_is_refused(
    ledger: Ledger, new_run: Build, start_worker: Start
) -> None:
    run = ledger.runs.enqueue(new_run())
    frozen = start_worker("freeze", 0.05)
    assert frozen.stdout is not None
    assert frozen.stdout.readline().strip() == run.id
    while (taken := ledger.leases.claim("heir", 60)) is None:
        time.sleep(0.05)
    output, errors = frozen.communicate("go\n", timeout=60)
    assert (output, errors) == ("lost\n", "")
    ledger.leases.finish(run.id, taken.attempt, "completed", scores={"accuracy": 1.0})
    assert ledger.runs.get(run.id).scores == {"accuracy": 1.0}


def test_a_row_that_a_rival_locks_and_leaves_is_claimed_and_not_reported_as_empty(
    ledger: Ledger, new_run: Build, address: str, home: Path
) -> None:
    ledger.runs.enqueue(new_run())
    locked, leave = threading.Event(), threading.Event()

    def rival() -> None:
        with Ledger(address, home=home) as other, other.database.engine.connect() as connection:
            connection = connection.execution_options(begin="BEGIN IMMEDIATE")
            connection.execute(update(Run).values(owner="rival"))
            locked.set()
            leave.wait(10)
            connection.rollback()

    thread = threading.Thread(target=rival)
    thread.start()
    locked.wait(10)
    threading.Timer(0.3, leave.set).start()
    assert claim(ledger).run.owner == "worker"
    thread.join()


def test_a_run_says_which_launch_trained_it_or_that_there_were_several(ledger: Ledger, new_run: Build) -> None:
    runs = [ledger.runs.enqueue(new_run(seed=seed)).id for seed in range(3)]
    for second in ("a", "b", None):
        first = ledger.leases.claim("worker", 60, launch="a")
        assert first is not None
        ledger.leases.release(first.run.id, first.attempt, "interrupted")
        again = ledger.leases.claim_run(first.run.id, "worker", 60, second)
        ledger.leases.finish(again.run.id, again.attempt, "completed")
    assert [ledger.runs.get(run).launch for run in runs] == ["a", SEVERAL, SEVERAL]
