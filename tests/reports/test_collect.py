"""A study is written to a real ledger, judged, and read back as a view."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablata.base.errors import RecordError
from ablata.records import Ledger, NewArm, NewRun
from ablata.records.rows import SEVERAL
from ablata.records.run_folder.evaluations import StoredEvaluation, write_evaluation
from ablata.reports.collect import study_view
from ablata.reports.collect_runs import compare_view, run_views
from ablata.reports.console import plain_lines
from ablata.reports.html import compare_page, study_page
from ablata.reports.markdown import study_markdown
from ablata.reports.terminal import runs_table, study_report
from ablata.reports.view import StudyView
from ablata.stats import RULE_VERSION, Rule, calibrate, procedure_of, replay

KEY = "val/plain/top1"
SCORES = {
    "control": (90.0, 90.2, 89.9, 90.1, 90.0),
    "bigger": (92.0, 92.1, 92.0, None, None),
    "same": (90.05, 90.15, 89.95, 90.1, 90.02),
    "wild": (90.5, None, None, 91.0, 89.8),
}
ARMS = tuple(name for name in SCORES if name != "control")
RULE = Rule(margin=0.5)
MACHINES = {
    "m1": {
        "host": "secret-name",
        "processor": "Xeon",
        "libraries": {"torch": "2.6", "timm": None},
        "memory_bytes": 2**34,
    },
    "m2": {"processor": "Epyc"},
}


def recipe(arm: str) -> dict[str, Any]:
    return {"kind": "digits", "optim": {"lr": 0.1 if arm == "control" else 0.2}, "name": arm, "layers": [{"width": 3}]}


def new_run(arm: str, seed: int, machine: str = "m1") -> NewRun:
    return NewRun(
        recipe_name="digits",
        recipe=recipe(arm),
        recipe_hash=f"hash-{arm}",
        code="c0de",
        data="da7a",
        seed=seed,
        environment=machine,
    )


def finish(
    ledger: Ledger,
    arm: str,
    seed: int,
    score: float | None,
    machine: str = "m1",
    threads: float = 1.0,
    code: str = "c0de",
    launch: str | None = "l1",
    data: str = "da7a",
) -> str:
    """Enqueue, claim and end one run; a score of None diverges, more threads make it faster."""
    run = ledger.studies.enqueue("parts", arm, replace(new_run(arm, seed, machine), code=code, data=data))
    claim = ledger.leases.claim("worker", 60.0, launch=launch)
    assert claim is not None
    assert claim.run.id == run.id
    steps = range(0, 1000, 2) if score is not None else range(0, 100, 2)
    rows = [(step, "train/cross_entropy", math.exp(-step / 300)) for step in steps] + [(0, "train/lr", 0.1)]
    rows += [(step, KEY, 90.0) for step in (500, 998)] if score is not None else []
    ledger.metrics.log(run.id, claim.attempt, rows)
    seconds = (10.0 if arm == "control" else 15.0) / threads
    cost = {"seconds": seconds, "threads": threads, "peak_memory_bytes": 2e9, "flops": 100, "parameters": 50}
    if score is None:
        ledger.leases.finish(run.id, claim.attempt, "diverged", error="loss is not finite\nmore", cost={"seconds": 1.0})
    else:
        ledger.leases.finish(run.id, claim.attempt, "completed", scores={KEY: score}, cost=cost)
    return run.id


@pytest.fixture
def version() -> int:
    """Version of the rule that the study is made with; a test may parametrize it."""
    return RULE_VERSION


@pytest.fixture
def ledger(tmp_path: Path, version: int) -> Iterator[Ledger]:
    with Ledger(home=tmp_path) as opened:
        metric = {
            "key": KEY,
            "name": "top1",
            "split": "val",
            "protocol": "plain",
            "unit": "%",
            "higher_is_better": True,
        }
        spec = {"metric": metric, "rule": RULE.to_json(), "mode": "claim", "fixed": False, "first_seed": 0}
        spec["rule_version"] = version
        arms = []
        for name in SCORES:
            change = [] if name == "control" else ["optim.lr: 0.1 -> 0.2"]
            made = {"recipe_name": "digits", "recipe": recipe(name), "recipe_hash": f"hash-{name}", "change": change}
            arms.append(NewArm(name=name, is_control=name == "control", **made))
        opened.studies.create("parts", "Which parts help?", spec, arms)
        for machine, description in MACHINES.items():
            opened.environments.record(machine, description)
        yield opened


@pytest.fixture
def judged(ledger: Ledger, version: int) -> Ledger:
    """All seeds are run and the study is judged; the arm `same` is unpaired at seed 0."""
    for seed in range(RULE.seeds):
        for arm, scores in SCORES.items():
            if arm == "bigger" and seed > 2:
                continue
            finish(ledger, arm, seed, scores[seed], "m2" if (arm, seed) == ("same", 0) else "m1")
    procedure = procedure_of({"rule_version": version})
    calibration = procedure.calibrate(len(ARMS), RULE)
    ledger.calibrations.put(procedure.calibration_key(len(ARMS), RULE), calibration.to_json())
    rows = range(RULE.seeds)
    table = [[math.nan if (score := SCORES[arm][seed]) is None else score for arm in SCORES] for seed in rows]
    lost = [[arm == "wild" and SCORES[arm][seed] is None for arm in SCORES] for seed in rows]
    apart = [[(arm, seed) == ("same", 0) for arm in ARMS] for seed in rows]
    made = replay(table, RULE, calibration, diverged=lost, unpaired=apart)
    ledger.studies.add_look("parts", RULE.seeds, {"arms": list(ARMS), "replay": made.to_json()})
    ledger.studies.finish("parts")
    return ledger


def arm(view: StudyView, name: str) -> Any:
    return next(one for one in view.arms if one.name == name)


def test_a_judged_study_is_read_with_its_verdicts_effects_and_reasons(judged: Ledger) -> None:
    view = study_view(judged, "parts")
    verdicts = {one.name: one.verdict for one in view.arms}
    assert verdicts["control"] is None
    assert verdicts["bigger"] == "better"
    assert verdicts["wild"] == "unstable"
    bigger = arm(view, "bigger")
    assert bigger.effect.value == pytest.approx(2.0)
    assert bigger.effect.low < 2.0 < bigger.effect.high
    assert bigger.reason.startswith("better after 3 seeds")
    assert (bigger.done, bigger.planned) == (3, 3)
    assert [seed.state for seed in bigger.seeds] == ["completed"] * 3 + ["closed"] * 2
    assert [(change.key, change.old, change.new) for change in bigger.changes] == [("optim.lr", "0.1", "0.2")]
    assert bigger.seeds[0].difference == pytest.approx(2.0)
    assert not any(one.open for one in view.arms)


def test_diverged_and_unpaired_seeds_are_shown(judged: Ledger) -> None:
    view = study_view(judged, "parts")
    wild, same = arm(view, "wild"), arm(view, "same")
    assert (wild.done, wild.diverged, wild.planned) == (1, 2, 3)
    assert any("some runs diverged" in note for note in wild.notes)
    assert [seed.paired for seed in same.seeds] == [False] + [True] * 4
    assert any("machines or versions differ" in note for note in same.notes)
    assert [(one.name, one.runs) for one in view.environments] == [("m1", 14), ("m2", 1)]


@pytest.mark.parametrize("version", [1, RULE_VERSION])
def test_metric_rule_plan_and_means_come_from_the_ledger(judged: Ledger) -> None:
    view = study_view(judged, "parts")
    assert (view.metric.name, view.metric.protocol, view.metric.split, view.margin) == ("top1", "plain", "val", 0.5)
    assert (view.rule.seeds, view.rule.first_look, view.rule.alpha) == (5, 3, 0.05)
    assert view.plan.noise is not None
    assert view.plan.detectable is not None
    assert view.plan.smallest_margin is not None
    assert arm(view, "control").mean.value == pytest.approx(90.04)
    assert view.state == "finished"
    assert view.finished >= view.created > "2020"


def test_costs_are_means_of_completed_runs(judged: Ledger) -> None:
    view = study_view(judged, "parts")
    assert arm(view, "wild").cost.seconds == 15.0
    assert arm(view, "bigger").cost.ratios(arm(view, "control").cost).seconds == pytest.approx(1.5)
    assert arm(view, "control").cost.parameters == 50


def test_the_time_of_a_run_with_other_threads_does_not_count(ledger: Ledger) -> None:
    finish(ledger, "control", 0, 90.0, threads=2.0)
    finish(ledger, "control", 1, 90.0)
    finish(ledger, "bigger", 0, 90.0)
    view = study_view(ledger, "parts")
    assert arm(view, "control").cost.seconds == 10.0
    assert arm(view, "bigger").cost.ratios(arm(view, "control").cost).seconds == pytest.approx(1.5)


def test_times_are_compared_within_one_launch_and_the_others_are_named(ledger: Ledger) -> None:
    for seed in range(2):
        finish(ledger, "control", seed, 90.0, launch="earlier")
        finish(ledger, "bigger", seed, 90.0)
        finish(ledger, "same", seed, 90.0)
    view = study_view(ledger, "parts")
    assert (arm(view, "control").cost.seconds, arm(view, "control").cost.memory) == (10.0, 2e9)
    assert arm(view, "bigger").cost.ratios(arm(view, "control").cost).seconds is None
    (note,) = view.caveats
    assert note.startswith(
        "The times of bigger, same cannot be compared with the others: these runs were trained in an"
    )
    for shown in (study_page(view), study_markdown(view), plain_lines(study_report(view, plain=True), 400)):
        assert "cannot be compared with the others" in shown
    finish(ledger, "control", 2, 90.0)
    view = study_view(ledger, "parts")
    assert arm(view, "bigger").cost.ratios(arm(view, "control").cost).seconds == pytest.approx(1.5)
    assert view.caveats == ()


@pytest.mark.parametrize("launch", [None, SEVERAL])
def test_times_of_unknown_or_several_launches_are_compared_with_none(ledger: Ledger, launch: str | None) -> None:
    runs = [finish(ledger, name, 0, 90.0, launch=launch) for name in ("control", "bigger")]
    view = study_view(ledger, "parts")
    assert [one.cost.seconds for one in view.arms] == [None] * 4
    assert view.caveats[0].startswith("The times of the runs cannot be compared: ")
    compared = compare_view(ledger, *runs)
    pairs = {pair.name: pair for pair in compared.scores}
    assert (pairs["seconds"].first, pairs["seconds"].difference) == (10.0, None)
    assert pairs["flops"].difference == 0
    assert any("Times are not compared" in note for note in compared.notes)


def test_curves_are_those_of_the_score_and_the_loss(judged: Ledger) -> None:
    view = study_view(judged, "parts")
    assert [curve.name for curve in view.curves] == [KEY, "train/cross_entropy"]
    loss = view.curves[1]
    assert [one.arm for one in loss.arms] == list(SCORES)
    states = [one.state for one in loss.arms[3].series]
    assert states == ["completed", "diverged", "diverged"]
    longest = max(len(one.x) for one in loss.arms[0].series)
    assert longest == 400
    assert loss.arms[0].series[0].x[-1] == 998.0


def test_the_machines_own_name_is_not_shown(judged: Ledger) -> None:
    source = study_page(study_view(judged, "parts"))
    assert "secret-name" not in source
    assert ("memory", "16 GiB") in study_view(judged, "parts").environments[0].items
    assert "timm" not in dict(study_view(judged, "parts").environments[0].items)


def test_a_study_from_the_ledger_has_a_page_and_a_document(judged: Ledger) -> None:
    view = study_view(judged, "parts", home="../")
    assert "<strong>bigger</strong> is better by 2.00 points" in study_page(view)
    assert "**bigger** is better by 2.00 points" in study_markdown(view)
    assert 'href="../runs/' in study_page(view)


def test_before_any_look_there_are_plain_means_and_no_verdict(ledger: Ledger) -> None:
    for name in SCORES:
        finish(ledger, name, 0, 90.0)
    ledger.studies.enqueue("parts", "control", new_run("control", 1))
    view = study_view(ledger, "parts")
    assert all(one.verdict is None and one.effect is None for one in view.arms)
    assert arm(view, "bigger").mean.value == 90.0
    assert arm(view, "bigger").mean.low is None
    assert arm(view, "bigger").open
    assert (view.progress.done, view.progress.planned) == (4, 20)
    assert view.progress.seconds_left == pytest.approx(16 * 13.75)
    assert view.finished == ""
    study_page(view)


def test_a_study_without_runs_can_be_shown(ledger: Ledger) -> None:
    view = study_view(ledger, "parts")
    assert view.runs == view.curves == view.environments == ()
    study_page(view)


def test_an_unknown_study_is_an_error_in_words(ledger: Ledger) -> None:
    with pytest.raises(RecordError):
        study_view(ledger, "none")


def test_commands_are_the_callers_or_the_one_that_runs_the_study(ledger: Ledger) -> None:
    assert study_view(ledger, "parts").commands == ("ablata study run parts",)
    assert study_view(ledger, "parts", commands=("x",)).commands == ("x",)


def test_two_runs_are_compared_by_setting_score_cost_and_curve(ledger: Ledger) -> None:
    first, second = finish(ledger, "control", 0, 90.0), finish(ledger, "bigger", 1, 92.0, "m2")
    view = compare_view(ledger, first, second)
    assert [(change.key, change.old, change.new) for change in view.changes] == [
        ("optim.lr", "0.1", "0.2"),
        ("name", '"control"', '"bigger"'),
    ]
    assert {pair.name: pair.difference for pair in view.scores}[KEY] == pytest.approx(2.0)
    assert {pair.name: pair.difference for pair in view.scores}["seconds"] == pytest.approx(5.0)
    assert "train/cross_entropy" in [curve.name for curve in view.curves]
    assert len(view.notes) == 2
    assert "optim.lr" in compare_page(view)


def test_later_scores_are_compared_too_but_not_those_of_two_versions_of_the_evaluation(ledger: Ledger) -> None:
    runs = [finish(ledger, "control", 0, 90.0), finish(ledger, "bigger", 1, 92.0)]
    for run, version, protocol in ((0, 1.0, "ap50"), (1, 2.0, "ap50"), (0, 1.0, "coco"), (1, 1.0, "coco")):
        scores, row = {"AP": 10.0 + run, "evaluator": version}, ledger.runs.get(runs[run])
        stored = StoredEvaluation("last", "eval", 6, "val", protocol, scores, "now", row.data)
        write_evaluation(ledger.runs.folder(row), stored)
    view = compare_view(ledger, *runs)
    pairs = {pair.name: pair for pair in view.scores}
    assert (pairs["val/ap50/AP"].first, pairs["val/ap50/AP"].second) == (10.0, 11.0)
    assert pairs["val/ap50/AP"].difference is None
    assert pairs["val/coco/AP"].difference == pytest.approx(1.0)
    assert pairs[KEY].difference == pytest.approx(2.0)
    assert [note for note in view.notes if "evaluators of val/ap50 differ: versions 1 and 2" in note]
    assert not any("val/coco" in note for note in view.notes)


def test_a_run_beside_itself_differs_in_nothing(ledger: Ledger) -> None:
    run = finish(ledger, "control", 0, 90.0)
    view = compare_view(ledger, run, run)
    assert view.changes == view.notes == ()
    compare_page(view)


def test_runs_are_listed_newest_first_with_the_first_line_of_their_error(ledger: Ledger) -> None:
    finish(ledger, "control", 0, 90.0)
    lost = finish(ledger, "wild", 0, None)
    rows = run_views(ledger)
    assert [row.state for row in rows] == ["diverged", "completed"]
    assert rows[0].id == lost
    assert rows[0].error == "loss is not finite"
    assert rows[1].scores == ((KEY, 90.0),)
    assert run_views(ledger, ledger.runs.find(state="completed")) == (replace(rows[1], settings=()),)


def test_the_newest_look_counts_and_open_arms_stay_open(ledger: Ledger) -> None:
    table = [[90.0, 92.0, 90.2, 91.5], [90.2, 92.1, 90.7, 91.6], [89.9, 92.0, 90.7, 91.4]]
    for seed, row in enumerate(table):
        for name, score in zip(SCORES, row, strict=True):
            finish(ledger, name, seed, score)
    calibration = calibrate(len(ARMS), RULE)
    for seeds in (2, 3):
        made = replay(table[:seeds], RULE, calibration)
        ledger.studies.add_look("parts", seeds, {"arms": list(ARMS), "replay": made.to_json()})
    view = study_view(ledger, "parts")
    assert arm(view, "bigger").verdict == "better"
    assert not arm(view, "bigger").open
    assert arm(view, "same").open
    assert (arm(view, "same").planned, arm(view, "bigger").planned) == (5, 3)
    assert view.progress.done == 12
    assert "still open" in study_page(view)
    ledger.studies.finish("parts")
    assert not arm(study_view(ledger, "parts"), "same").open


def test_an_arm_of_other_data_than_the_controls_is_named(ledger: Ledger) -> None:
    for name, data in (("control", "d1"), ("same", "d1"), ("bigger", "d2")):
        finish(ledger, name, 0, 90.0, data=data)
    (note,) = study_view(ledger, "parts").caveats
    assert note.startswith("The data of bigger differ from those of control: ")


def test_runs_that_differ_in_code_are_told_ours_and_the_users_apart(ledger: Ledger) -> None:
    def notes() -> str:
        return " ".join(study_view(ledger, "parts").code_notes)

    for arm, code in (("control", "c0de"), ("bigger", "c0de-aa")):
        finish(ledger, arm, 0, 90.0, code=code)
    assert notes() == ""
    finish(ledger, "bigger", 1, 90.0, code="c0de-bb")
    assert notes() == "The runs of bigger were made with 2 different versions of its own files."
    finish(ledger, "control", 1, 90.0, code="0ther")
    assert notes().startswith("The runs were made with 2 different versions of ablata's code. The runs of bigger were")
    said = plain_lines(study_report(study_view(ledger, "parts"), plain=True))
    assert notes() in said.replace("\n", " ")
    assert "**Warning:** The runs were made with 2 different versions of ablata's code." in study_markdown(
        study_view(ledger, "parts")
    )


@pytest.mark.parametrize("factor", [1, 20])
def test_fresh_seeds_settle_an_arm_unless_a_noisy_neighbour_is_to_blame(ledger: Ledger, factor: int) -> None:
    own = (
        (0.1, -0.2, 0.3, -0.1, -0.1),
        (0.5, 0.0, 0.2, 0.4, 0.1),
        (-0.2, 0.2, 0.1, -0.1, 0.0),
        (0.2, -0.1, -0.3, 0.1, 0.1),
    )
    scale = (1, 1, 1, factor)
    table = [[90 + times * column[seed] for times, column in zip(scale, own, strict=True)] for seed in range(5)]
    for seed, row in enumerate(table):
        for name, score in zip(SCORES, row, strict=True):
            finish(ledger, name, seed, score)
    made = replay(table, replace(RULE, futility=False), calibrate(len(ARMS), RULE))
    ledger.studies.add_look("parts", 5, {"arms": list(ARMS), "replay": made.to_json()})
    ledger.studies.finish("parts")
    bigger, loud = arm(study_view(ledger, "parts"), "bigger"), arm(study_view(ledger, "parts"), ARMS[-1])
    assert bigger.verdict == "undecided"
    advice = f"arm {ARMS[-1]} varies" in " ".join(bigger.notes)
    assert (advice, "To settle it" in bigger.reason) == ((False, True) if factor == 1 else (True, False))
    assert factor > 1 or "fresh seeds (--first-seed 5" in bigger.reason
    assert "ask without it" not in " ".join(loud.notes)


def test_runs_of_one_recipe_are_told_apart_by_the_settings_in_which_they_differ(ledger: Ledger) -> None:
    finish(ledger, "control", 0, 90.0)
    alone = run_views(ledger)
    assert alone[0].settings == ()
    finish(ledger, "bigger", 0, 91.0)
    rows = run_views(ledger)
    assert [row.settings[0] for row in rows] == ["optim.lr=0.2", "optim.lr=0.1"]
    listed = plain_lines(runs_table(rows, plain=True))
    assert "optim.lr=0.2" in listed
    assert "layers" not in listed
