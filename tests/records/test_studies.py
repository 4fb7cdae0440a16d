from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewArm, NewRun

Build = Callable[..., NewRun]
SPEC = {"margin": 0.01, "metric": "mean_iou", "rule": {"alpha": 0.05}}


def test_a_study_keeps_its_question_and_its_arms_in_order(ledger: Ledger, arms: list[NewArm]) -> None:
    created = ledger.studies.create("upsampling", "does nearest help?", SPEC, arms)
    assert ledger.studies.get("upsampling") == created
    assert (created.question, created.spec, created.state) == ("does nearest help?", SPEC, "open")
    control, nearest = ledger.studies.arms("upsampling")
    assert (control.name, control.is_control, control.change, control.state) == ("control", True, [], "open")
    assert (nearest.name, nearest.is_control, nearest.change) == ("nearest", False, ["model.upsample=nearest"])
    assert nearest.recipe == {"name": "nearest"}


def test_the_same_study_is_created_once_and_another_of_its_name_is_refused(ledger: Ledger, arms: list[NewArm]) -> None:
    first = ledger.studies.create("s", "?", SPEC, arms)
    assert ledger.studies.create("s", "?", dict(reversed(SPEC.items())), arms) == first
    variants = {
        "its question": ("!", SPEC, arms),
        "spec.margin": ("?", {**SPEC, "margin": 0.02}, arms),
        "spec.split": ("?", {**SPEC, "split": "val"}, arms),
        "names of its arms": ("?", SPEC, arms[:1]),
        "arm 'nearest'": ("?", SPEC, [arms[0], replace(arms[1], recipe_hash="other")]),
    }
    for part, (question, spec, variant) in variants.items():
        with pytest.raises(RecordError, match=part):
            ledger.studies.create("s", question, spec, variant)
    assert ledger.studies.all() == [first]


def test_a_study_has_one_control_and_arms_of_different_names(ledger: Ledger, arms: list[NewArm]) -> None:
    with pytest.raises(RecordError, match="control"):
        ledger.studies.create("s", "?", {}, arms[1:])
    with pytest.raises(RecordError, match="different names"):
        ledger.studies.create("s", "?", {}, [*arms, arms[1]])
    assert ledger.studies.all() == []


def test_an_absent_study_or_arm_is_named_with_the_nearest(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    ledger.studies.create("upsampling", "?", {}, arms)
    with pytest.raises(RecordError, match="there is 'upsampling'"):
        ledger.studies.get("upsamplng")
    with pytest.raises(RecordError, match="control, nearest"):
        ledger.studies.enqueue("upsampling", "bilinear", new_run())
    assert ledger.runs.find() == []


def test_cells_come_by_arm_and_seed_with_their_runs(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    ledger.studies.create("s", "?", {}, arms)
    for seed in (1, 0):
        ledger.studies.enqueue("s", "nearest", new_run(seed=seed, recipe="nearest"))
        ledger.studies.enqueue("s", "control", new_run(seed=seed))
    cells = ledger.studies.cells("s")
    assert [(cell.arm, cell.seed) for cell in cells] == [("control", 0), ("control", 1), ("nearest", 0), ("nearest", 1)]
    assert all(cell.run == ledger.runs.get(cell.run.id) and cell.run.seed == cell.seed for cell in cells)


def test_a_run_is_shared_between_studies(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    for name in ("one", "two"):
        ledger.studies.create(name, "?", {}, arms)
        ledger.studies.enqueue(name, "control", new_run())
    assert ledger.studies.cells("one") == ledger.studies.cells("two")
    assert len(ledger.runs.find()) == 1


def test_a_cell_is_filled_anew_by_attaching_another_run(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    ledger.studies.create("s", "?", {}, arms)
    failed = ledger.studies.enqueue("s", "control", new_run())
    claim = ledger.leases.claim("worker", 60)
    assert claim is not None
    ledger.leases.finish(failed.id, claim.attempt, "failed")
    fresh = ledger.studies.enqueue("s", "control", new_run())
    assert [cell.run.id for cell in ledger.studies.cells("s")] == [fresh.id] != [failed.id]
    ledger.studies.attach("s", "control", 0, failed.id)
    assert [cell.run.id for cell in ledger.studies.cells("s")] == [failed.id]


def test_stopping_an_arm_cancels_what_only_it_waits_for(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    for name in ("one", "two"):
        ledger.studies.create(name, "?", {}, arms)
    shared, own, running = (new_run(seed=seed, recipe="nearest", priority=seed) for seed in range(3))
    for run in (shared, own, running):
        ledger.studies.enqueue("one", "nearest", run)
    ledger.studies.enqueue("two", "nearest", shared)
    ledger.leases.claim("worker", 60)
    assert ledger.studies.stop_arm("one", "nearest", "worse", "its interval lies below the margin") == 1
    assert {run.seed: run.state for run in ledger.runs.find()} == {0: "waiting", 1: "cancelled", 2: "running"}
    arm = ledger.studies.arms("one")[1]
    assert (arm.state, arm.verdict, arm.reason) == ("stopped", "worse", "its interval lies below the margin")
    assert ledger.leases.open_count(study="one") == 0
    assert ledger.leases.open_count(study="two") == 1


def test_a_finished_study_needs_no_runs(ledger: Ledger, arms: list[NewArm], new_run: Build) -> None:
    ledger.studies.create("s", "?", {}, arms)
    ledger.studies.enqueue("s", "control", new_run())
    assert ledger.studies.finish("s") == 1
    finished = ledger.studies.get("s")
    assert finished.state == "finished"
    assert ledger.studies.finish("s") == 0
    assert ledger.studies.get("s") == finished


def test_looks_are_kept_in_order_and_an_equal_one_once(ledger: Ledger, arms: list[NewArm]) -> None:
    ledger.studies.create("s", "?", {}, arms)
    results: list[tuple[int, dict[str, Any]]] = [
        (2, {"nearest": "undecided"}),
        (3, {"nearest": "better", "p": float("nan")}),
    ]
    for seeds, result in [*results, results[-1]]:
        look = ledger.studies.add_look("s", seeds, result)
    looks = ledger.studies.looks("s")
    assert repr([(item.seeds, item.result) for item in looks]) == repr(results)
    assert repr(look) == repr(looks[-1])


def test_two_studies_of_one_recipe_keep_each_where_its_data_lie(ledger: Ledger, arms: list[NewArm]) -> None:
    def placed(root: str) -> list[NewArm]:
        return [replace(arm, recipe={**arm.recipe, "root": root}) for arm in arms]

    for name, root in (("here", "/a"), ("there", "/b")):
        ledger.studies.create(name, "?", {}, placed(root))
    roots = [arm.recipe["root"] for name in ("here", "there") for arm in ledger.studies.arms(name)]
    assert roots == ["/a", "/a", "/b", "/b"]
    ledger.studies.create("here", "?", {}, placed("/moved"))
    assert [arm.recipe["root"] for arm in ledger.studies.arms("here")] == ["/moved", "/moved"]
    assert [arm.recipe["root"] for arm in ledger.studies.arms("there")] == ["/b", "/b"]
