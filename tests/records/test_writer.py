from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from ablata.base.errors import DivergedError, LeaseLostError, RecordError, StoppedError
from ablata.base.files import write_text
from ablata.records import Ledger, NewRun, RunWriter
from ablata.records.processes import worker_name
from ablata.records.tables import Run
from ablata.records.values import clock, encode

Build = Callable[..., NewRun]


def take_over(ledger: Ledger, run_id: str) -> None:
    with ledger.database.write() as connection:
        connection.execute(update(Run).where(Run.id == run_id).values(lease_until=clock() - 60))
    assert ledger.leases.claim("thief", 60) is not None


def test_a_single_training_creates_claims_and_ends_its_run(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run(seed=1), worker="me") as writer:
        assert writer.folder.is_dir()
        assert writer.claim.recipe == {"name": "base"}
        writer.progress({"step": 1, "steps": 2})
        writer.metrics([(1, "loss", 0.5)])
        writer.make_durable()
        writer.event("warning", "collapse", "the term 'kl' is zero")
        writer.finish("completed", scores={"accuracy": 0.9}, cost={"seconds": 1.0}, stop_reason="all steps done")
    run = ledger.runs.get(writer.run.id)
    assert (run.state, run.scores, run.cost, run.owner) == ("completed", {"accuracy": 0.9}, {"seconds": 1.0}, "me")
    assert (run.progress, run.stop_reason) == ({"step": 1, "steps": 2}, "all steps done")
    assert [curve.values for curve in ledger.metrics.of_runs([run.id])] == [(0.5,)]
    (event,) = ledger.events.find(run_id=run.id)
    assert (event.level, event.kind, event.text) == ("warning", "collapse", "the term 'kl' is zero")


def test_an_equal_run_is_not_trained_again(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run(), worker="me") as writer:
        with pytest.raises(RecordError, match="running at me"):
            RunWriter.start(ledger, new_run())
        writer.finish("completed")
    with pytest.raises(RecordError, match=f"{writer.run.id} is completed"):
        RunWriter.start(ledger, new_run())


def test_an_unfinished_run_is_given_back_and_a_failed_one_keeps_its_error(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run()) as writer:
        pass
    assert ledger.runs.get(writer.run.id).state == "waiting"
    with pytest.raises(KeyboardInterrupt), RunWriter.start(ledger, new_run()):
        raise KeyboardInterrupt
    assert ledger.runs.get(writer.run.id).stop_reason == "interrupted"
    with pytest.raises(OSError, match="no space"), RunWriter.start(ledger, new_run()):
        raise OSError("no space")
    failed = ledger.runs.get(writer.run.id)
    assert (failed.state, failed.error) == ("failed", "OSError: no space")
    with RunWriter.resume(ledger, writer.run.id) as again:
        assert again.claim.attempt == 4
        again.finish("completed")


def test_a_stopped_run_is_given_back_and_a_diverged_one_is_final(ledger: Ledger, new_run: Build) -> None:
    with pytest.raises(StoppedError), RunWriter.start(ledger, new_run()) as writer:
        raise StoppedError("stopped at step 3")
    assert ledger.runs.get(writer.run.id).state == "waiting"
    with pytest.raises(DivergedError), RunWriter.start(ledger, new_run()):
        raise DivergedError("the loss is nan", found="step 7")
    run = ledger.runs.get(writer.run.id)
    assert (run.state, run.error) == ("diverged", "the loss is nan\n  found: step 7")


def test_a_resumed_writer_truncates_what_it_writes_anew(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run()) as writer:
        writer.metrics([(step, "loss", 1.0) for step in range(4)])
    with RunWriter.resume(ledger, writer.run.id) as again:
        again.truncate_metrics(1)
        again.metrics([(2, "loss", 2.0)])
    assert [curve.values for curve in ledger.metrics.of_runs([writer.run.id])] == [(1.0, 1.0, 2.0)]


def test_the_heartbeat_keeps_a_lease_that_would_lapse(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run(), lease_seconds=1.0) as writer:
        first = writer.run.heartbeat
        time.sleep(1.6)
        assert ledger.leases.claim("thief", 60) is None
        beat = ledger.runs.get(writer.run.id).heartbeat
        assert beat is not None
        assert first is not None
        assert beat > first + 0.5
        writer.finish("completed")


def test_the_heartbeat_learns_of_a_lost_lease_and_later_writes_are_refused(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run(), lease_seconds=0.4) as writer:
        assert not writer.lost
        take_over(ledger, writer.run.id)
        deadline = time.monotonic() + 20
        while not writer.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(LeaseLostError):
            writer.metrics([(0, "loss", 1.0)])
    run = ledger.runs.get(writer.run.id)
    assert (run.state, run.owner, run.attempt) == ("running", "thief", 2)


def test_a_refused_write_also_tells_the_loss(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run()) as writer:
        take_over(ledger, writer.run.id)
        with pytest.raises(LeaseLostError):
            writer.progress({})
        assert writer.lost
        with pytest.raises(LeaseLostError):
            writer.finish("completed")


def test_an_ended_writer_leaves_no_thread(ledger: Ledger, new_run: Build) -> None:
    before = threading.active_count()
    with RunWriter.start(ledger, new_run(), lease_seconds=3600) as writer:
        assert threading.active_count() == before + 1
        writer.finish("completed")
    assert threading.active_count() == before


def test_a_database_locked_for_longer_than_its_timeout_delays_a_write_and_loses_nothing(
    tmp_path: Path, new_run: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablata.records.database.BUSY_SECONDS", 0)
    with Ledger(home=tmp_path) as ledger, RunWriter.start(ledger, new_run(), lease_seconds=0.2) as writer:
        blocker = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None, check_same_thread=False)
        blocker.execute("BEGIN IMMEDIATE")
        second = sqlite3.connect(tmp_path / "ledger.sqlite3", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"), closing(second):
            second.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(1.0, blocker.execute, ["ROLLBACK"])
        timer.start()
        writer.metrics([(0, "loss", 1.0)])
        assert not timer.is_alive()
        timer.join()
        blocker.close()
        writer.finish("completed")
        assert ledger.runs.get(writer.run.id).state == "completed"
        assert [curve.values for curve in ledger.metrics.of_runs([writer.run.id])] == [(1.0,)]


def test_a_run_whose_process_of_this_machine_is_gone_need_not_wait_for_its_lease(
    ledger: Ledger, new_run: Build
) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    run = ledger.runs.enqueue(new_run())
    assert ledger.leases.claim_run(run.id, worker_name(process.pid), 60) is not None
    assert ledger.runs.get(run.id).shown_state == "interrupted"
    if not ledger.database.is_sqlite:
        with pytest.raises(RecordError, match="running at"):
            RunWriter.resume(ledger, run.id)
        return
    with RunWriter.resume(ledger, run.id) as writer:
        assert writer.claim.resumed


_NODE = platform.node()


@pytest.mark.parametrize(
    "owner",
    ["elsewhere:1", "me", "", f"{_NODE}:x", f"{_NODE}:4194305/123abc", pytest.param(worker_name(), id="this process")],
)
def test_a_run_of_a_living_or_unknown_process_waits_for_its_lease(ledger: Ledger, new_run: Build, owner: str) -> None:
    run = ledger.runs.enqueue(new_run())
    assert ledger.leases.claim_run(run.id, owner, 60) is not None
    assert ledger.runs.get(run.id).shown_state == "running"
    with pytest.raises(RecordError, match="running at"):
        RunWriter.resume(ledger, run.id)


def test_while_a_file_is_put_into_place_nobody_takes_the_run(ledger: Ledger, new_run: Build) -> None:
    done: list[str] = []

    def steal() -> None:
        take_over(ledger, writer.run.id)
        done.append("taken")

    with RunWriter.start(ledger, new_run()) as writer:
        thief = threading.Thread(target=steal)
        with writer.held():
            thief.start()
            time.sleep(0.5)
            done.append("renamed")
        thief.join(60)
    assert done == ["renamed", "taken"]


def test_an_attempt_that_lost_its_run_puts_nothing_into_place(ledger: Ledger, new_run: Build) -> None:
    with RunWriter.start(ledger, new_run()) as writer:
        path = writer.folder / "file"
        write_text(path, "mine", writer.held)
        take_over(ledger, writer.run.id)
        with pytest.raises(LeaseLostError):
            write_text(path, "mine again", writer.held)
        assert writer.lost
    assert path.read_text() == "mine"
    assert sorted(file.name for file in writer.folder.iterdir()) == ["file", "record.json"]


def test_a_record_that_is_outdated_when_it_is_to_be_put_into_place_is_made_anew(
    ledger: Ledger, new_run: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(record: object) -> str:
        """Encode a record; meanwhile another attempt takes the run and ends it."""
        monkeypatch.setattr("ablata.records.moving.rebuilding.encode", encode)
        take_over(ledger, run.id)
        ledger.leases.finish(run.id, 2, "completed", scores={"accuracy": 0.9})
        return encode(record)

    run = ledger.runs.enqueue(new_run())
    monkeypatch.setattr("ablata.records.moving.rebuilding.encode", late)
    with RunWriter.resume(ledger, run.id) as writer:
        record = json.loads((writer.folder / "record.json").read_text())
        assert [(row["state"], row["attempt"]) for row in record["runs"]["runs"]] == [("completed", 2)]
