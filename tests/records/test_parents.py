"""Runs that start from another run: handed out once that has ended, kept while they are needed, moved together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewArm, NewRun
from ablata.records.moving.exporting import export_study
from ablata.records.moving.importing import import_study
from ablata.records.rows import EndState, RunRow

Build = Callable[..., NewRun]
SPEC = {"metric": {"key": "top1"}}


def finish(ledger: Ledger, run: RunRow, state: EndState = "completed") -> None:
    claim = ledger.leases.claim_run(run.id, "worker", 60)
    ledger.leases.finish(run.id, claim.attempt, state)


def claimed(ledger: Ledger, **which: str) -> str | None:
    claim = ledger.leases.claim("worker", 60, **which)  # type: ignore[arg-type]
    return claim.run.id if claim else None


@pytest.fixture
def chain(ledger: Ledger, new_run: Build) -> list[RunRow]:
    """A teacher, its student, and the student's student."""
    runs: list[RunRow] = []
    for name in ("teacher", "student", "grandchild"):
        parent = runs[-1].id if runs else None
        runs.append(ledger.runs.enqueue(new_run(recipe=name, parent=parent)))
    return runs


def test_a_student_can_be_claimed_once_its_teacher_has_completed(ledger: Ledger, chain: list[RunRow]) -> None:
    teacher, student, grandchild = chain
    assert ledger.leases.waiting_count() == 1
    assert claimed(ledger) == teacher.id
    assert claimed(ledger) is None
    with pytest.raises(RecordError, match="is waiting"):
        ledger.leases.claim_run(student.id, "worker", 60)
    ledger.leases.finish(teacher.id, 1, "completed")
    assert claimed(ledger) == student.id
    ledger.leases.finish(student.id, 1, "completed")
    assert claimed(ledger) == grandchild.id


def test_a_student_whose_teacher_diverged_is_handed_out_to_be_told_so(ledger: Ledger, chain: list[RunRow]) -> None:
    finish(ledger, chain[0], "diverged")
    assert claimed(ledger) == chain[1].id


def test_a_student_whose_teacher_failed_waits_until_that_is_put_back(ledger: Ledger, chain: list[RunRow]) -> None:
    finish(ledger, chain[0], "failed")
    assert claimed(ledger) is None
    ledger.runs.requeue(chain[0].id)
    assert claimed(ledger) == chain[0].id


def test_a_student_that_waits_goes_over_to_a_new_teacher(ledger: Ledger, chain: list[RunRow], new_run: Build) -> None:
    finish(ledger, chain[0], "failed")
    again = ledger.runs.enqueue(new_run(recipe="teacher"))
    assert again.id != chain[0].id
    assert ledger.runs.enqueue(new_run(recipe="student", parent=again.id)).parent == again.id


@pytest.fixture
def study(ledger: Ledger, arms: list[NewArm], new_run: Build, chain: list[RunRow]) -> str:
    """A study whose arm is the student of a run that fills no cell."""
    ledger.studies.create("asked", "?", SPEC, arms)
    ledger.studies.enqueue("asked", "control", new_run(recipe="base"))
    ledger.studies.enqueue("asked", "nearest", new_run(recipe="grandchild", parent=chain[1].id))
    return "asked"


def test_a_study_s_worker_trains_the_teachers_of_its_cells_too(
    ledger: Ledger, study: str, chain: list[RunRow], new_run: Build
) -> None:
    ledger.runs.enqueue(new_run(recipe="stranger"))
    assert [run.id for run in ledger.studies.parents(study)] == [chain[0].id, chain[1].id]
    assert ledger.leases.open_count(study=study) == 4
    assert claimed(ledger, study=study) == chain[0].id
    assert ledger.runs.get(str(claimed(ledger, study=study))).recipe_name == "base"


def test_a_stopped_arm_s_teachers_are_cancelled_unless_they_are_needed(
    ledger: Ledger, study: str, chain: list[RunRow], arms: list[NewArm], new_run: Build
) -> None:
    ledger.studies.create("other", "?", SPEC, arms)
    ledger.studies.enqueue("other", "nearest", new_run(recipe="student", parent=chain[0].id))
    assert ledger.studies.stop_arm(study, "nearest", "worse", "") == 1
    assert [ledger.runs.get(run.id).state for run in chain] == ["waiting", "waiting", "cancelled"]
    ledger.studies.finish("other")
    assert [ledger.runs.get(run.id).state for run in chain] == ["cancelled"] * 3


def test_teachers_move_with_their_study(
    ledger: Ledger, study: str, chain: list[RunRow], tmp_path: Path, fresh_address: Callable[[str], str]
) -> None:
    for run in chain:
        finish(ledger, run)
    export_study(ledger, study, tmp_path / "study.ablata")
    with Ledger(fresh_address("elsewhere"), home=tmp_path / "elsewhere") as there:
        import_study(there, tmp_path / "study.ablata")
        moved = there.runs.get(chain[2].id)
        assert there.runs.get(str(moved.parent)).parent == chain[0].id
        assert there.runs.get(chain[0].id).state == "completed"


def test_an_imported_student_knows_its_teacher_under_the_name_it_has_here(
    ledger: Ledger, study: str, chain: list[RunRow], new_run: Build, tmp_path: Path, fresh_address: Callable[[str], str]
) -> None:
    for run in chain:
        finish(ledger, run)
    export_study(ledger, study, tmp_path / "study.ablata")
    with Ledger(fresh_address("elsewhere"), home=tmp_path / "elsewhere") as there:
        own = there.runs.enqueue(new_run(recipe="teacher"))
        finish(there, own)
        import_study(there, tmp_path / "study.ablata")
        assert there.runs.get(chain[1].id).parent == own.id
