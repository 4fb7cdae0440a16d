"""Runs and studies that are removed go whole or not at all, whatever is needed stays, and no repair brings one back."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewArm, NewRun, RunRow, RunWriter
from ablata.records.aside import ASIDE, settle
from ablata.records.moving.rebuilding import repair_ledger
from ablata.records.processes import worker_name
from ablata.records.removal import (
    plan_removal,
    plan_study_removal,
    refuse_study_rename,
    remove,
    rename_study,
    surplus_checkpoints,
)
from ablata.records.run_folder.code import imported_study_mark
from ablata.records.tables import Arm, Event, LookTable, MetricTable, Run, StudyRun, StudyTable

Build = Callable[..., NewRun]


def trained(ledger: Ledger, new: NewRun, *files: str) -> RunRow:
    """A completed run with a curve, an event and files."""
    with RunWriter.start(ledger, new) as writer:
        writer.metrics([(0, "loss", 1.0), (1, "loss", 0.5)])
        writer.event("warning", "collapse", "a term is zero")
        for name in files:
            (writer.folder / name).write_bytes(b"x" * 100)
        writer.finish("completed", scores={"accuracy": 0.9})
    return ledger.runs.get(writer.run.id)


def counted(ledger: Ledger) -> list[int]:
    """Rows of every table that runs and studies fill."""
    tables = (Run, MetricTable, Event, StudyTable, Arm, StudyRun, LookTable)
    with ledger.database.read() as connection:
        return [connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


def folders(ledger: Ledger) -> set[str]:
    return {folder.name for folder in (ledger.home / "runs").glob("*")}


def ask(ledger: Ledger, arms: Sequence[NewArm], name: str, *, commands: Sequence[str] = ()) -> None:
    ledger.studies.create(name, "?", {"seeds": 3, "commands": list(commands)}, arms)


def test_a_removed_run_leaves_neither_rows_nor_files_and_the_others_stay(ledger: Ledger, new_run: Build) -> None:
    first, second = (trained(ledger, new_run(seed=seed), "best.safetensors") for seed in (0, 1))
    before = counted(ledger)
    planned = plan_removal(ledger, [first])
    assert planned.total_bytes > 100
    remove(ledger, planned)
    assert [run.id for run in ledger.runs.find()] == [second.id]
    assert folders(ledger) == {second.id}
    assert not (ledger.home / ASIDE).exists()
    assert counted(ledger) == [count // 2 for count in before]
    # A new run takes over nothing of the one that was there.
    again = ledger.runs.enqueue(new_run(seed=0))
    assert again.id != first.id
    assert ledger.metrics.of_runs([again.id]) == []


def test_runs_that_are_needed_stay(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    teacher = trained(ledger, new_run(seed=0))
    student = trained(ledger, new_run(seed=1, parent=teacher.id))
    start = trained(ledger, new_run(seed=2))
    named = {"start": {"run": start.id}}
    trained(ledger, replace(new_run(seed=3, recipe="named"), recipe=named, recipe_hash="hash-named"))
    ask(ledger, arms, "asked")
    ledger.studies.attach("asked", "control", 1, student.id)
    ledger.runs.enqueue(new_run(seed=4))
    claim = ledger.leases.claim("worker:1", 60)
    assert claim is not None
    kept = {run.id: why for run, why in plan_removal(ledger, ledger.runs.find()).kept}
    assert kept == {
        teacher.id: f"run {student.id} starts from it",
        student.id: "in asked",
        claim.run.id: "running at worker:1",
    }
    for run in (teacher, student, start, claim.run):
        planned = plan_removal(ledger, [run])
        assert (planned.runs, [one.id for one, _ in planned.kept]) == ((), [run.id])
        with pytest.raises(RecordError, match=run.id):
            remove(ledger, replace(planned, runs=(run,)))
    assert len(ledger.runs.find()) == 5
    assert folders(ledger) >= {teacher.id, student.id, start.id}


def test_what_a_killed_worker_left_can_be_removed_and_renamed_without_taking_it_up_again(
    ledger: Ledger, new_run: Build, arms: list[NewArm]
) -> None:
    for study, owner, seconds in (("gone", worker_name(2**22 + 1), 60), ("lapsed", "elsewhere/123456:1", -120)):
        ask(ledger, arms, study)
        run = ledger.studies.enqueue(study, "control", new_run(seed=abs(seconds)))
        ledger.leases.claim_run(run.id, owner, seconds)
        with ledger.database.write() as connection:
            refuse_study_rename(connection, study, f"{study}-2")
        planned = plan_study_removal(ledger, study)
        assert [one.id for one in planned.runs] == [run.id]
        remove(ledger, planned)
    assert ledger.runs.find() == []


def test_a_run_that_a_study_takes_after_the_plan_is_not_removed(
    ledger: Ledger, new_run: Build, arms: list[NewArm]
) -> None:
    run = trained(ledger, new_run())
    planned = plan_removal(ledger, [run])
    ask(ledger, arms, "asked")
    assert ledger.studies.enqueue("asked", "control", new_run()).id == run.id
    with pytest.raises(RecordError, match="in asked"):
        remove(ledger, planned)
    assert folders(ledger) == {run.id}


def test_a_study_goes_with_the_runs_made_for_it_alone(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    older = trained(ledger, new_run(seed=0))
    ask(ledger, arms, "first")
    ask(ledger, arms, "second")
    for seed in range(3):
        ledger.studies.enqueue("first", "control", new_run(seed=seed))
    shared, own = (trained(ledger, new_run(seed=seed)) for seed in (1, 2))
    ledger.studies.attach("second", "control", 1, shared.id)
    ledger.studies.add_look("first", 3, {"arms": []})
    imported_study_mark(ledger, "first").parent.mkdir()
    imported_study_mark(ledger, "first").touch()
    planned = plan_study_removal(ledger, "first")
    assert [run.id for run in planned.runs] == [own.id]
    assert {run.id: why for run, why in planned.kept} == {older.id: "older than the study", shared.id: "in second"}
    assert plan_study_removal(ledger, "first", keep_runs=True).runs == ()
    remove(ledger, planned)
    assert [row.name for row in ledger.studies.all()] == ["second"]
    assert folders(ledger) == {older.id, shared.id}
    assert counted(ledger)[3:] == [1, 2, 1, 0]
    assert not imported_study_mark(ledger, "first").exists()


def test_a_study_at_work_is_neither_removed_nor_renamed(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    ask(ledger, arms, "asked")
    ledger.studies.enqueue("asked", "control", new_run())
    planned = plan_study_removal(ledger, "asked")
    assert ledger.leases.claim("worker:1", 60) is not None
    for change in (
        lambda: plan_study_removal(ledger, "asked"),
        lambda: remove(ledger, planned),
        lambda: rename_study(ledger, "asked", "other"),
    ):
        with pytest.raises(RecordError, match="worker:1"):
            change()
    assert [row.name for row in ledger.studies.all()] == ["asked"]


def test_a_renamed_study_keeps_all_but_its_name(ledger: Ledger, new_run: Build, arms: list[NewArm]) -> None:
    ask(ledger, arms, "old", commands=["ablata study run old", "ablata study run --recipe x --seeds 3"])
    ask(ledger, arms, "taken")
    run = ledger.studies.enqueue("old", "control", new_run())
    (ledger.home / "reports").mkdir(parents=True)
    (ledger.home / "reports" / "old.html").write_text("page")
    imported_study_mark(ledger, "old").parent.mkdir()
    imported_study_mark(ledger, "old").touch()
    for name, word in (("taken", "taken"), ("a/b", "Names of studies")):
        with pytest.raises(RecordError, match=word):
            rename_study(ledger, "old", name)
    with pytest.raises(RecordError, match="no study"):
        rename_study(ledger, "none", "new")
    rename_study(ledger, "old", "new")
    assert {row.name for row in ledger.studies.all()} == {"new", "taken"}
    assert [cell.run.id for cell in ledger.studies.cells("new")] == [run.id]
    assert ledger.studies.get("new").spec["commands"] == [
        "ablata study run new",
        "ablata study run --recipe x --seeds 3 --name new",
    ]
    assert (ledger.home / "reports" / "new.html").read_text() == "page"
    assert imported_study_mark(ledger, "new").exists()
    assert not imported_study_mark(ledger, "old").exists()


def test_only_a_checkpoint_beside_another_of_a_completed_run_without_students_is_surplus(
    ledger: Ledger, new_run: Build
) -> None:
    both = ("last.safetensors", "best.safetensors")
    teacher = trained(ledger, new_run(seed=0), *both)
    trained(ledger, new_run(seed=1, parent=teacher.id), "last.safetensors")
    free = trained(ledger, new_run(seed=2), *both)
    waiting = ledger.runs.enqueue(new_run(seed=3))
    folder = ledger.runs.folder(waiting)
    folder.mkdir()
    for name in both:
        (folder / name).touch()
    for drop in ("best", "last"):
        found = surplus_checkpoints(ledger, ledger.runs.find(), drop)
        assert [(run.id, file.name, size) for run, file, size in found] == [(free.id, f"{drop}.safetensors", 100)]


@pytest.mark.parametrize("point", ["moved", "deleted", "committed", "settling"])
def test_a_kill_in_the_middle_of_a_removal_leaves_the_run_whole_or_gone(
    ledger: Ledger,
    new_run: Build,
    arms: list[NewArm],
    start_worker: Callable[..., subprocess.Popen[str]],
    point: str,
) -> None:
    ask(ledger, arms, "asked")
    ledger.studies.enqueue("asked", "control", new_run(seed=0))
    runs = [trained(ledger, new_run(seed=seed), "best.safetensors") for seed in range(2)]
    before, there = counted(ledger), folders(ledger)
    process = start_worker("remove_study_until", "asked", point)
    assert process.wait(60) == -signal.SIGKILL
    whole = point in ("moved", "deleted")
    with Ledger(ledger.address, home=ledger.home) as opened:
        assert (counted(opened) == before) == whole
        assert folders(opened) == (there if whole else {runs[1].id})
        assert not (opened.home / ASIDE).exists()
        if whole:
            assert (opened.runs.folder(runs[0]) / "best.safetensors").stat().st_size == 100
            remove(opened, plan_study_removal(opened, "asked"))
        assert [run.id for run in opened.runs.find()] == [runs[1].id]
        assert folders(opened) == {runs[1].id}


def test_a_repair_never_brings_a_removed_run_back(
    tmp_path: Path, new_run: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "lab"
    with Ledger(home=home) as ledger:
        gone, stays = (trained(ledger, new_run(seed=seed)) for seed in (0, 1))
        planned = plan_removal(ledger, [gone])
        with monkeypatch.context() as patch:
            # As after a kill right behind the transaction: the folder has not been deleted.
            patch.setattr("ablata.records.removal.settle", lambda database, home: None)
            remove(ledger, planned)
        assert (home / ASIDE / gone.id).is_dir()
    (home / "ledger.sqlite3").unlink()
    repair_ledger(home)
    with Ledger(home=home) as ledger:
        assert [run.id for run in ledger.runs.find()] == [stays.id]
        assert not (home / ASIDE).exists()


def test_a_folder_that_cannot_be_moved_keeps_every_run(
    ledger: Ledger, new_run: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [trained(ledger, new_run(seed=seed)) for seed in range(3)]
    before, rename = counted(ledger), Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == runs[1].id and ASIDE in str(target):
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RecordError, match="Permission denied"):
        remove(ledger, plan_removal(ledger, runs))
    assert counted(ledger) == before
    assert folders(ledger) == {run.id for run in runs}
    settle(ledger.database, ledger.home)
    assert folders(ledger) == {run.id for run in runs}
