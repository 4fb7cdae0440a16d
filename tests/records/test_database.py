from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewRun
from ablata.records.database import persist


def test_a_forked_child_does_not_speak_on_its_parents_connection(
    ledger: Ledger, new_run: Callable[..., NewRun], start_worker: Callable[..., subprocess.Popen[str]]
) -> None:
    ledger.runs.enqueue(new_run())
    assert start_worker("fork").communicate(timeout=60) == ("0 0\n", "")


def test_an_sqlite_ledger_keeps_a_write_ahead_log_and_checks_references(tmp_path: Path) -> None:
    with Ledger(home=tmp_path) as ledger, ledger.database.read() as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "foreign_keys")]
        assert pragmas == ["wal", 1]
        assert (connection.execute(text("PRAGMA busy_timeout")).scalar() or 0) >= 10_000


def test_a_failed_transaction_leaves_nothing(ledger: Ledger, new_run: Callable[..., NewRun]) -> None:
    run = ledger.runs.enqueue(new_run())

    def break_off() -> None:
        with ledger.database.write() as connection:
            connection.execute(text("UPDATE runs SET priority = 9"))
            raise InterruptedError

    with pytest.raises(InterruptedError):
        break_off()
    assert ledger.runs.get(run.id) == run


def test_what_will_not_pass_is_raised_at_once_and_in_words(tmp_path: Path) -> None:
    with Ledger(home=tmp_path) as ledger:
        tries = []

        def fill_the_disk() -> None:
            tries.append(1)
            with ledger.database.write() as connection:
                connection.execute(text("PRAGMA max_page_count = 1"))
                connection.execute(text("CREATE TABLE large (data)"))
                connection.execute(text("INSERT INTO large VALUES (zeroblob(1000000))"))

        with pytest.raises(RecordError, match="full"):
            persist(fill_the_disk, patience=60)
        assert len(tries) == 1

        def break_a_rule() -> None:
            with ledger.database.write() as connection:
                connection.execute(text("INSERT INTO study_runs VALUES (1, 1, 1, 'absent')"))

        with pytest.raises(IntegrityError):
            persist(break_a_rule, patience=60)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A ledger whose file another connection has locked for writing until it is rolled back: `locked.free()`."""
    monkeypatch.setattr("ablata.records.database.BUSY_SECONDS", 0)
    with Ledger(home=tmp_path) as ledger:
        blocker = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        ledger.free = blocker.close  # type: ignore[attr-defined]
        yield ledger
        blocker.close()


def test_patience_ends_in_words(locked: Ledger) -> None:
    locked.database.patience = 0.2

    def write() -> None:
        with locked.database.write():
            pass

    with pytest.raises(RecordError, match="locked") as told:
        write()
    assert told.value.do is not None
    assert "go on with the same command" in told.value.do
    locked.free()  # type: ignore[attr-defined]
    write()


def test_whatever_is_written_waits_for_a_locked_ledger_and_says_so(
    locked: Ledger, new_run: Callable[..., NewRun], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 90:
            locked.free()  # type: ignore[attr-defined]

    monkeypatch.setattr("ablata.records.database.time.sleep", sleep)
    assert locked.runs.enqueue(new_run()).state == "waiting"
    assert sum(slept) > 90
    assert caplog.messages == [
        "waiting for the ledger, which cannot be used now: database is locked",
        "the ledger can be used again",
    ]


def test_time_in_which_the_process_was_suspended_is_no_waiting(
    locked: Ledger, new_run: Callable[..., NewRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]

    def monotonic() -> float:
        now[0] += 3600.0
        return now[0]

    monkeypatch.setattr("ablata.records.database.BUSY_SECONDS", 1)
    monkeypatch.setattr("ablata.records.database.time.monotonic", monotonic)
    monkeypatch.setattr("ablata.records.database.time.sleep", lambda seconds: locked.free())  # type: ignore[attr-defined]
    assert locked.runs.enqueue(new_run()).state == "waiting"


def test_a_server_that_is_away_is_waited_for_only_by_who_knows_that_it_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("ablata.records.database.time.sleep", slept.append)
    nobody = "postgresql://ada@127.0.0.1:1/lab"
    with pytest.raises(RecordError, match="that the server runs"):
        Ledger(nobody, home=tmp_path)
    assert slept == []
    with pytest.raises(RecordError, match="refused"):
        Ledger(nobody, home=tmp_path, patience=20.0)
    assert 5.0 < sum(slept) <= 20.0
