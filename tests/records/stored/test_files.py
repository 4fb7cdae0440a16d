"""Files of runs in a store: fenced as those of a folder are, brought back by their digest, waited for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

import ablata.records.stored.files as files
from ablata.base.errors import LeaseLostError, RecordError, SettingsError, StoppedError
from ablata.records import Ledger, NewRun
from ablata.records.removal import plan_removal, remove
from ablata.records.rows import RunRow
from ablata.records.stored.store import Store, StoreAwayError
from ablata.records.writer import RunWriter

New = Callable[..., NewRun]


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store of a folder, and one in memory."""
    if request.param == "folder":
        yield str(tmp_path / "shared")
        return
    memory = fsspec.filesystem("memory")
    yield "memory://lab/store"
    memory.rm("/", recursive=True)


@pytest.fixture
def lab(tmp_path: Path, url: str) -> Iterator[Callable[[str], Ledger]]:
    """A function that opens the lab's ledger on another machine: with another home."""
    opened: list[Ledger] = []

    def on(machine: str) -> Ledger:
        opened.append(Ledger(str(tmp_path / "lab.sqlite3"), home=tmp_path / machine, store=url))
        opened[-1].files.ready()
        return opened[-1]

    yield on
    for ledger in opened:
        ledger.close()


def begin(ledger: Ledger, run: RunRow) -> RunWriter:
    return RunWriter(ledger, ledger.leases.claim_run(run.id, "w", 60.0))


def write(writer: RunWriter, name: str, content: str) -> None:
    (writer.folder / name).write_text(content)
    writer._keep_for_now()


def held(ledger: Ledger, run: RunRow, *, weights: bool = True) -> dict[str, str]:
    folder = ledger.files.bring(ledger.runs.get(run.id), weights=weights)
    names = (
        path for path in folder.rglob("*") if path.is_file() and path.name[0] != "." and path.name != "record.json"
    )
    return {path.relative_to(folder).as_posix(): path.read_text() for path in names}


def test_what_a_run_left_is_found_on_a_machine_that_has_nothing(lab: Callable[[str], Ledger], new_run: New) -> None:
    here, there = lab("a"), lab("b")
    run = here.runs.enqueue(new_run())
    with begin(here, run) as writer:
        write(writer, "last.safetensors", "step 1")
        write(writer, "last.safetensors", "step 2")
        (writer.folder / "items").mkdir()
        (writer.folder / "items" / "val.csv").write_text("1")
        writer.finish("completed")
    assert held(there, run, weights=False) == {"items/val.csv": "1"}
    assert held(there, run) == {"last.safetensors": "step 2", "items/val.csv": "1"}
    assert here.files.stored([run])[run.id] == {"last.safetensors": 6, "items/val.csv": 1}


def test_nothing_of_an_attempt_that_lost_its_lease_replaces_a_newer_one(
    lab: Callable[[str], Ledger], new_run: New
) -> None:
    here, there = lab("a"), lab("b")
    run = here.runs.enqueue(new_run())
    late = begin(here, run)
    write(late, "last.safetensors", "step 10 of the first")
    here.leases.release(run.id, 1, "its lease had lapsed")
    newer = begin(there, run)
    assert (newer.folder / "last.safetensors").read_text() == "step 10 of the first"
    write(newer, "last.safetensors", "step 11 of the second")
    (late.folder / "last.safetensors").write_text("step 12 of the first")
    with pytest.raises(LeaseLostError):
        here.files.keep(late.run, attempt=1)
    newer.finish("completed")
    assert held(lab("c"), run) == {"last.safetensors": "step 11 of the second"}
    # Where it was late, its own file is no part of the run any more.
    assert held(here, run) == {"last.safetensors": "step 11 of the second"}
    late._end()


def test_what_the_store_does_not_have_yet_counts_only_if_nobody_trained_in_between(
    lab: Callable[[str], Ledger], new_run: New
) -> None:
    here, there = lab("a"), lab("b")
    run = here.runs.enqueue(new_run())
    first = begin(here, run)
    write(first, "last.safetensors", "stored")
    (first.folder / "last.safetensors").write_text("newer, on this machine alone")
    (first.folder / "length.json").write_text("so too")
    first._end()
    here.leases.release(run.id, 1, "killed")
    second = begin(here, run)
    assert (second.folder / "last.safetensors").read_text() == "newer, on this machine alone"
    second._end()
    here.leases.release(run.id, 2, "killed")
    elsewhere = begin(there, run)
    assert (elsewhere.folder / "last.safetensors").read_text() == "stored"
    elsewhere._end()
    there.leases.release(run.id, 3, "killed")
    back = begin(here, run)
    assert {path.name for path in back.folder.iterdir() if path.suffix} & {"length.json"} == set()
    assert (back.folder / "last.safetensors").read_text() == "stored"
    back.finish("completed")


def test_a_file_that_was_damaged_is_refused_by_name(lab: Callable[[str], Ledger], new_run: New, url: str) -> None:
    here = lab("a")
    run = here.runs.enqueue(new_run())
    with begin(here, run) as writer:
        write(writer, "last.safetensors", "good")
        writer.finish("completed")
    files_system, root = fsspec.core.url_to_fs(url)
    (key,) = [key for key in files_system.find(root) if "last.safetensors" in key]
    files_system.pipe_file(key, b"evil")
    with pytest.raises(RecordError, match="its digest is another"):
        held(lab("b"), run)
    files_system.rm_file(key)
    with pytest.raises(RecordError, match="lacks files of run"):
        held(lab("c"), run)
    assert held(here, run) == {"last.safetensors": "good"}


def test_a_store_that_is_away_is_waited_for_in_words(
    lab: Callable[[str], Ledger], new_run: New, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here = lab("a")
    run = here.runs.enqueue(new_run())
    writer = begin(here, run)
    away = itertools.chain([True] * 4, itertools.repeat(False))
    mark = Store.mark

    def seldom(store: Store) -> str | None:
        if next(away):
            raise StoreAwayError("The store must answer", found="no route")
        return mark(store)

    monkeypatch.setattr(Store, "mark", seldom)
    monkeypatch.setattr(files, "_SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(files.time, "sleep", lambda seconds: None)
    write(writer, "last.safetensors", "whole")
    assert "its files stay here until the store is back" in caplog.text
    writer.finish("completed")
    assert "waiting for the store" in caplog.text
    assert "can be used again" in caplog.text
    assert held(lab("b"), run) == {"last.safetensors": "whole"}


def test_a_run_whose_files_the_store_cannot_take_waits_for_it(
    lab: Callable[[str], Ledger], new_run: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lab("a")
    run = here.runs.enqueue(new_run())
    writer = begin(here, run)
    (writer.folder / "last.safetensors").write_text("whole")
    with monkeypatch.context() as patched:

        def refuse(store: Store) -> None:
            raise StoreAwayError("The store must answer", found="no route")

        patched.setattr(Store, "mark", refuse)
        patched.setattr("ablata.records.writer.PATIENCE_SECONDS", 0.0)
        with pytest.raises(StoppedError, match="no route"):
            writer.finish("completed")
    assert here.runs.get(run.id).state == "waiting"
    again = begin(here, run)
    again.finish("completed")
    assert held(lab("b"), run) == {"last.safetensors": "whole"}


def test_a_wrong_address_is_refused_in_words(tmp_path: Path) -> None:
    def ready(address: str, name: str = "lab") -> None:
        with Ledger(home=tmp_path / name, store=address) as ledger:
            ledger.files.ready()

    wrong: dict[str, tuple[type[Exception], str]] = {
        "s4://bucket/lab": (SettingsError, "s3"),
        "lakefs2://x": (SettingsError, "protocol"),
        f"{tmp_path}/not/there": (SettingsError, "no folder"),
        "file://": (SettingsError, "address"),
    }
    for address, (kind, words) in wrong.items():
        with pytest.raises(kind, match=words):
            ready(address)
    ready(str(tmp_path / "store"))
    with pytest.raises(RecordError, match="another lab"):
        ready(str(tmp_path / "store"), "other")
    with pytest.raises(RecordError, match="has no mark of a lab"):
        ready(str(tmp_path / "elsewhere"))
    (tmp_path / "store" / "ablata-store.json").unlink()
    with pytest.raises(RecordError, match="mount the folder"):
        ready(str(tmp_path / "store"))


def test_a_lab_that_gets_a_store_brings_its_runs_there(tmp_path: Path, new_run: New) -> None:
    address = str(tmp_path / "lab.sqlite3")
    told: list[str] = []
    with Ledger(address, home=tmp_path / "a") as ledger:
        run = ledger.runs.enqueue(new_run())
        with begin(ledger, run) as writer:
            (writer.folder / "last.safetensors").write_text("old")
            writer.finish("completed")
    with Ledger(address, home=tmp_path / "a", store=str(tmp_path / "store")) as ledger:
        ledger.files.ready(ledger.runs.find(), told.append)
    assert told == [f"bringing the files of 1 runs to the store {tmp_path / 'store'}"]
    # The ledger says where the store is.
    with Ledger(address, home=tmp_path / "b") as ledger:
        assert held(ledger, run) == {"last.safetensors": "old"}


def test_a_file_that_goes_and_a_run_that_is_removed_leave_the_store(
    lab: Callable[[str], Ledger], new_run: New, url: str
) -> None:
    here = lab("a")
    run = here.runs.enqueue(new_run())
    with begin(here, run) as writer:
        write(writer, "output.log", "one")
        (writer.folder / "output.log").rename(writer.folder / "output.1.log")
        write(writer, "last.safetensors", "weights")
        writer.finish("completed")
    there = lab("b")
    assert held(there, run) == {"output.1.log": "one", "last.safetensors": "weights"}
    there.files.drop(run, "last.safetensors")
    system, root = fsspec.core.url_to_fs(url)
    keys: Any = [key for key in system.find(root) if "runs/" in key]
    assert len(keys) == 1
    planned = plan_removal(there, [there.runs.get(run.id)])
    assert planned.total_bytes >= 3
    remove(there, planned)
    assert [key for key in system.find(root) if "runs/" in key] == []
