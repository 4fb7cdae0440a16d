"""A home that is deleted, read-only or full, a ledger that is lost or damaged: told in words, read where it can be."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewRun, RunWriter
from ablata.records.home import LEDGER_FILE
from ablata.records.moving.rebuilding import repair_ledger

Build = Callable[..., NewRun]


@pytest.fixture
def lab(tmp_path: Path, new_run: Build) -> Path:
    """A home with a completed run, one that diverged and one that was left in the middle."""
    home = tmp_path / "lab"
    with Ledger(home=home) as ledger:
        ledger.environments.record("e1", {"host": "here"})
        with RunWriter.start(ledger, new_run(seed=0)) as writer:
            writer.metrics([(step, "loss", 1.0 / (step + 1)) for step in range(5)])
            writer.event("warning", "collapse", "a term is zero")
            writer.finish("completed", scores={"accuracy": 0.9}, cost={"seconds": 1.0})
        with RunWriter.start(ledger, new_run(seed=1)) as writer:
            writer.finish("diverged", error="the loss is not finite")
        with RunWriter.start(ledger, new_run(seed=2)) as writer:
            writer.metrics([(0, "loss", 2.0)])
    return home


def rows(home: Path) -> list[object]:
    """What a ledger says of its runs, but for what a new ledger counts anew."""
    with Ledger(home=home) as ledger:
        found = sorted(ledger.runs.find(), key=lambda run: run.seed)
        curves = ledger.metrics.of_runs([found[0].id])
        events = ledger.events.find(run_id=found[0].id)
        return [
            [replace(run, number=0) for run in found[:2]],
            curves,
            events,
            [ledger.runs.settings(run) for run in found],
        ]


def test_a_lost_empty_or_damaged_ledger_beside_run_folders_is_refused_and_rebuilt_from_them(lab: Path) -> None:
    before = rows(lab)
    whole = (lab / LEDGER_FILE).read_bytes()
    for content in (None, b"", b"no database" * 1000, whole[:5000], whole[:100] + b"\xff" * (len(whole) - 100)):
        (lab / LEDGER_FILE).unlink()
        if content is not None:
            (lab / LEDGER_FILE).write_bytes(content)
        with pytest.raises(RecordError, match="ablata ledger repair"), Ledger(home=lab) as ledger:
            ledger.runs.find()
        done = repair_ledger(lab)
        assert (done.taken, done.known, done.left) == (3, 0, ())
        assert (done.set_aside is None) == (content is None)
        assert done.set_aside is None or done.set_aside.read_bytes() == content
        assert rows(lab) == before
        with Ledger(home=lab) as ledger:
            (waiting,) = ledger.runs.find(state="waiting")
            assert (waiting.seed, waiting.attempt) == (2, 1)
            assert ledger.leases.claim("worker", 60) is not None
        (lab / LEDGER_FILE).write_bytes(whole)
        for suffix in ("-wal", "-shm"):
            Path(f"{lab / LEDGER_FILE}{suffix}").unlink(missing_ok=True)


def test_a_repair_of_a_whole_ledger_adds_what_only_folders_know_and_tells_what_it_cannot_read(
    lab: Path, tmp_path: Path
) -> None:
    with Ledger(home=lab) as ledger:
        lost = ledger.runs.find(state="completed")[0].id
        with ledger.database.write() as connection:
            for table in ("events", "runs"):
                column = "run_id" if table == "events" else "id"
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE {column} = '{lost}'")
    (lab / "runs" / "stranger").mkdir()
    (lab / "runs" / "broken").mkdir()
    (lab / "runs" / "broken" / "record.json").write_text("[]")
    done = repair_ledger(lab)
    assert (done.set_aside, done.taken, done.known) == (None, 1, 2)
    assert [folder.name for folder, _ in done.left] == ["broken", "stranger"]
    assert "nothing says what its run was" in done.left[1][1]
    assert repair_ledger(lab).known == 3


def test_a_home_that_is_deleted_stops_a_training_in_words_and_is_not_made_again(tmp_path: Path, new_run: Build) -> None:
    home = tmp_path / "lab"
    with Ledger(home=home) as ledger:
        writer = RunWriter.start(ledger, new_run())
        shutil.rmtree(home)
        for write in (lambda: writer.metrics([(0, "loss", 1.0)]), lambda: ledger.runs.find()):
            with pytest.raises(RecordError, match="deleted or replaced"):
                write()
        writer._end()
    assert not home.exists()


def test_a_ledger_whose_disk_is_full_says_what_to_do_and_goes_on_once_there_is_room(
    tmp_path: Path, new_run: Build
) -> None:
    points = [(step, "loss", 1.0 / (step + 1)) for step in range(20_000)]
    with Ledger(home=tmp_path / "lab") as ledger, RunWriter.start(ledger, new_run()) as writer:

        def limit(pages: int) -> None:
            with ledger.database.read() as connection:
                connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        limit(1)
        with pytest.raises(RecordError, match=r"disk is full(.|\n)*make room"):
            writer.metrics(points)
        limit(1_000_000)
        writer.metrics(points)
        (curve,) = ledger.metrics.of_runs([writer.run.id])
        assert len(curve.steps) == len(points)


def test_a_ledger_that_is_replaced_under_a_training_is_not_written(lab: Path, new_run: Build) -> None:
    with Ledger(home=lab) as ledger:
        copy = lab / "copy"
        shutil.copy(lab / LEDGER_FILE, copy)
        copy.replace(lab / LEDGER_FILE)
        with pytest.raises(RecordError, match="deleted or replaced"):
            ledger.runs.enqueue(new_run(seed=9))


READ = """
import os
import sys
from pathlib import Path
from ablata.base.errors import RecordError
from ablata.records import Ledger, NewRun
if os.geteuid() == 0:
    # Nothing is read-only to root; what is imported later must be imported before.
    with Ledger(home=Path(sys.argv[2])) as ledger:
        ledger.runs.find()
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
with Ledger(home=Path(sys.argv[1])) as ledger:
    print(len(ledger.runs.find()), len(ledger.metrics.of_runs([run.id for run in ledger.runs.find()])))
    try:
        names = {key: "x" for key in ("recipe_name", "recipe_hash", "code", "data", "environment")}
        ledger.runs.enqueue(NewRun(**names, recipe={}, seed=9))
    except RecordError as error:
        print(error.found)
"""


@pytest.fixture
def open_lab(lab: Path) -> Iterator[Path]:
    """The lab where every user may look: pytest closes its own folder to others whenever another pytest begins."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(shutil.copytree(lab, Path(folder) / "lab"))
        Path(folder, "lab").chmod(0o755)


@pytest.mark.parametrize("crashed", [False, True])
def test_a_home_that_cannot_be_written_can_be_read_and_says_so_when_it_is_written(
    open_lab: Path, tmp_path: Path, crashed: bool
) -> None:
    if crashed:
        # A log that nobody has taken into the file, as a kill leaves it.
        with Ledger(home=open_lab):
            for suffix in ("", "-wal", "-shm"):
                shutil.copy(f"{open_lab / LEDGER_FILE}{suffix}", f"{open_lab / 'copy'}{suffix}")
        for suffix in ("", "-wal", "-shm"):
            shutil.move(f"{open_lab / 'copy'}{suffix}", f"{open_lab / LEDGER_FILE}{suffix}")
    open_lab.chmod(0o555)
    command = [sys.executable, "-c", READ, str(open_lab), str(tmp_path / "another")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["3 2", f"{open_lab / LEDGER_FILE}, which can only be read"]


def test_a_damaged_page_met_in_the_middle_of_a_command_is_told_in_words(lab: Path) -> None:
    with sqlite3.connect(lab / LEDGER_FILE) as connection:
        size, root = connection.execute(
            "SELECT page_size, rootpage FROM pragma_page_size, sqlite_master WHERE name = 'runs'"
        ).fetchone()
    connection.close()
    content = bytearray((lab / LEDGER_FILE).read_bytes())
    content[(root - 1) * size : root * size] = b"\xff" * size
    (lab / LEDGER_FILE).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", "ablata", "runs", "list"], env=os.environ | {"ABLATA_HOME": str(lab)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "ablata ledger repair" in done.stderr


def test_a_home_on_a_full_disk_is_read_and_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(home=tmp_path):
        pass
    monkeypatch.setattr("ablata.records.database._is_full", lambda folder: True)
    with Ledger(home=tmp_path) as ledger:
        assert ledger.runs.find() == []
        with pytest.raises(RecordError, match="its disk is full") as told:
            ledger.studies.finish("any")
    assert str(told.value.do).startswith("make room")
    assert not (tmp_path / f"{LEDGER_FILE}-wal").exists()
