"""Any quantity that runs record can be compared: named, in its direction, with a margin in percent, times fairly."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from ablata.base.errors import RunError, SettingsError
from ablata.base.metric import Metric
from ablata.engine.recipe import Recipe
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.records.questions.judged import COSTS, comparable_in_time, judged_values, recorded_names
from ablata.reports.collect import study_view
from ablata.reports.words import answer, rule_words
from ablata.studies.assess import assess
from ablata.studies.launch import StudyRunner
from ablata.studies.metric import judged_metric, parse_margin
from ablata.studies.study import Study
from ablata.studies.workers.pool import Workers
from ablata.trainers.command import Command

ARMS = {"wide": ("model.width=6",)}


def end(ledger: Ledger, study: Study, times: Mapping[str, list[float]], launches: Mapping[str, str] = {}) -> None:
    """Fill a study with completed runs of given seconds, each arm in a launch of its own name's, or of one launch."""
    runner = StudyRunner(ledger, study.name, Workers(1, 1))
    for row in range(len(next(iter(times.values())))):
        for arm in runner.columns:
            new = replace(runner._identity(arm), seed=row)
            run = ledger.studies.enqueue(study.name, arm.name, new)
            if run.state == "completed":
                continue
            claim = ledger.leases.claim_run(run.id, "tester:0", 60, launches.get(f"{arm.name}{row}", "one"))
            ledger.metrics.log(run.id, claim.attempt, [(3, "train/ce", 10 - times[arm.name][row])])
            cost = {"seconds": times[arm.name][row], "peak_memory_bytes": 2.0**20 * times[arm.name][row]}
            cost |= {"workers": 1.0, "threads": 1.0}
            ledger.leases.finish(run.id, claim.attempt, "completed", scores={"val/plain/top1": 90.0 + row}, cost=cost)


def test_names_stand_for_scores_classes_costs_and_curves_each_in_its_direction(quick: Recipe) -> None:
    expected = {
        None: ("val/plain/top1", True, "%"),
        "top5": ("val/plain/top5", True, "%"),
        "loss": ("val/plain/loss", False, ""),
        "val/plain/loss": ("val/plain/loss", False, ""),
        "val/loss": ("val/plain/loss", False, ""),
        "accuracy/3": ("val/plain/accuracy/3", True, "%"),
        "val/plain/accuracy/3": ("val/plain/accuracy/3", True, "%"),
        "seconds": ("cost/seconds", False, "s"),
        "cost/seconds": ("cost/seconds", False, "s"),
        "images_per_second": ("cost/images_per_second", True, "images/s"),
        "peak_memory": ("cost/peak_memory", False, "MiB"),
        "train/cross_entropy": ("train/cross_entropy", False, ""),
        Metric("f1", higher_is_better=False): ("val/plain/f1", False, "%"),
    }
    for asked, (key, higher, unit) in expected.items():
        found = judged_metric(quick, asked)
        assert (found.key, found.higher_is_better, found.unit) == (key, higher, unit), asked
    assert not judged_metric(quick, "top5", lower=True).higher_is_better
    held_out = load_recipe("digits", ["data.minival=50"])
    assert judged_metric(held_out, "loss").key == "minival/plain/loss"
    assert judged_metric(held_out, "val/plain/loss").key == "val/plain/loss"
    scenes = load_recipe("bisenet_scenes")
    assert judged_metric(scenes, "iou/sky").key == f"val/{scenes.metric().protocol}/iou/sky"
    command = Command.of("train {seed}", scores=["seconds", "val_loss"])
    assert judged_metric(command, "seconds").key == "seconds"
    assert judged_metric(command, "peak_memory").key == "cost/peak_memory"
    assert not judged_metric(command, "val_loss").higher_is_better


def test_a_wrong_name_is_refused_with_the_nearest(quick: Recipe, make_study: Callable[..., Study]) -> None:
    for asked, close in (
        ("val/plain/los", "val/plain/loss"),
        ("peak memory", "peak_memory"),
        ("sconds", "seconds"),
        ("top_1", "top1"),
        ("val/tencrop/top1", "val/plain/top1"),
        ("iou/3", None),
    ):
        with pytest.raises(SettingsError) as caught:
            make_study(metric=asked)
        advice = "name one of these with --metric" if close is None else f"--metric {close}"
        assert caught.value.do == advice, asked
        assert caught.value.found == asked


def test_a_class_that_the_data_do_not_have_is_refused_before_anything_is_trained(
    ledger: Ledger, recorded: Callable[..., Study]
) -> None:
    assert recorded(metric="accuracy/9").judged.key == "val/plain/accuracy/9"
    with pytest.raises(SettingsError, match="The class of a metric"):
        recorded(name="other", metric="accuracy/10")
    assert ledger.runs.find() == []


def test_a_margin_is_a_number_or_a_share_of_the_controls_mean(make_study: Callable[..., Study]) -> None:
    assert parse_margin(None) == (None, None)
    assert parse_margin(0.5) == parse_margin("0.5") == (0.5, None)
    assert parse_margin("10%") == parse_margin(" 10 %") == (None, 10.0)
    for wrong in ("-1", "0%", "ten", "%", "nan", math.inf):
        with pytest.raises(SettingsError, match="margin"):
            parse_margin(wrong)
    asked = make_study(metric="seconds", margin="10%")
    assert (asked.rule().margin, asked.spec()["margin_percent"]) == (None, 10.0)
    assert "margin_percent" not in make_study(margin="0.5").spec()
    assert make_study(margin="0.5").spec() == make_study(margin=0.5).spec()
    with pytest.raises(SettingsError) as caught:
        make_study(margin="0.5%")
    assert caught.value.do == "margin 0.5, for a difference of 0.5 points"


def test_a_study_of_times_is_judged_by_them_and_its_margin_stays_that_of_the_first_look(
    ledger: Ledger, recorded: Callable[..., Study]
) -> None:
    study = recorded(metric="seconds", margin="10%", arms=ARMS)
    assert study_view(ledger, study.name).margin is None
    assert "10% of the control's mean" in rule_words(study_view(ledger, study.name))
    end(ledger, study, {"control": [2.0, 2.1, 1.9], "wide": [2.9, 3.1, 3.0]})
    judged = assess(ledger, study.name)
    assert judged.margin == pytest.approx(0.2)
    assert judged.outcomes()["wide"].verdict == "worse"
    assert judged.outcomes()["wide"].last.effect == pytest.approx(1.0)
    ledger.studies.add_look(study.name, judged.rows, judged.as_look())
    view = study_view(ledger, study.name)
    assert view.margin == pytest.approx(0.2)
    assert (view.metric.unit, view.metric.higher_is_better) == ("s", False)
    assert "±0.20 s (10% of the control's mean over its first 3 seeds)" in rule_words(view)
    later = recorded(name="later", metric="seconds", margin="10%", arms={"slow": ("optim.lr=0.01",)}, futility=False)
    end(ledger, later, {"control": [2.0, 2.1, 1.9, 9.0], "slow": [2.1, 3.0, 1.0, 9.0]})
    assert assess(ledger, later.name).rows == 4
    assert assess(ledger, later.name).margin == pytest.approx(0.2)


def test_memory_curves_and_classes_are_judged_as_recorded(ledger: Ledger, recorded: Callable[..., Study]) -> None:
    study = recorded(metric="peak_memory", arms=ARMS)
    end(ledger, study, {"control": [2.0, 2.1, 1.9], "wide": [2.9, 3.1, 3.0]})
    runs = [cell.run for cell in ledger.studies.cells(study.name)]
    assert sorted(judged_values(ledger, "cost/peak_memory", runs).values()) == [1.9, 2.0, 2.1, 2.9, 3.0, 3.1]
    assert sorted(judged_values(ledger, "train/ce", runs).values()) == pytest.approx([6.9, 7.0, 7.1, 7.9, 8.0, 8.1])
    assert judged_values(ledger, "val/plain/none", runs) == {}
    assert recorded_names(ledger, runs[0]) == ["val/plain/top1", "seconds", "peak_memory", "train/ce"]
    for metric, verdict in (("peak_memory", "worse"), ("train/ce", "better")):
        asked = recorded(name=metric.replace("/", "-"), metric=metric, arms=ARMS)
        for cell in ledger.studies.cells(study.name):
            ledger.studies.attach(asked.name, cell.arm, cell.seed, cell.run.id)
        assert assess(ledger, asked.name).outcomes()["wide"].verdict == verdict


def test_a_metric_that_no_run_records_ends_the_study_in_words(ledger: Ledger, recorded: Callable[..., Study]) -> None:
    study = recorded(metric="train/cee", arms=ARMS)
    end(ledger, study, {"control": [2.0], "wide": [3.0]})
    with pytest.raises(RunError) as caught:
        StudyRunner(ledger, study.name, Workers(1, 1))._advance()
    assert "train/ce" in str(caught.value.found)
    assert ledger.studies.looks(study.name) == []


def test_times_of_two_launches_are_never_compared(ledger: Ledger, recorded: Callable[..., Study]) -> None:
    study = recorded(metric="seconds", arms=ARMS, seeds=5, futility=False)
    times = {"control": [2.0, 2.1, 1.9, 2.0, 2.0], "wide": [2.0, 2.9, 3.1, 3.0, 3.0]}
    end(ledger, study, times, {"control0": "earlier"})
    judged = assess(ledger, study.name)
    assert judged.apart == (0,)
    assert judged.outcomes()["wide"].verdict == "worse"
    assert judged.outcomes()["wide"].seeds == judged.rows - 1
    ledger.studies.add_look(study.name, judged.rows, judged.as_look())
    ledger.studies.finish(study.name)
    view = study_view(ledger, study.name)
    assert view.treatments[0].seeds[0].difference is None
    assert any("1 of 5 seeds (0) are left out" in note and "--first-seed 5" in note for note in view.caveats)
    assert not view.incomparable


def test_the_time_of_a_run_that_went_on_after_an_interruption_is_not_compared(
    ledger: Ledger, recorded: Callable[..., Study]
) -> None:
    study = recorded(metric="seconds", arms=ARMS, seeds=3, futility=False)
    end(ledger, study, {"control": [2.0, 2.1, 1.9], "wide": [2.9, 3.1, 3.0]})
    run = ledger.studies.cells(study.name)[0].run
    assert comparable_in_time([run], study.judged.key)
    assert not comparable_in_time([replace(run, attempt=2)], study.judged.key)
    assert comparable_in_time([replace(run, attempt=2)], "val/plain/top1")


def test_a_study_whose_runs_cannot_be_compared_in_time_says_so_instead_of_a_verdict(
    ledger: Ledger, recorded: Callable[..., Study]
) -> None:
    study = recorded(metric="seconds", arms=ARMS, seeds=3)
    times = {"control": [2.0, 2.1, 1.9], "wide": [2.9, 3.1, 3.0]}
    end(ledger, study, times, {f"control{row}": "earlier" for row in range(3)})
    judged = assess(ledger, study.name)
    assert (judged.rows, judged.replay, judged.apart) == (3, None, (0, 1, 2))
    assert StudyRunner(ledger, study.name, Workers(1, 1))._advance()
    ledger.studies.finish(study.name)
    view = study_view(ledger, study.name)
    assert "".join(piece.text for piece in answer(view)).startswith("Nothing can be decided: the times")
    assert view.treatments[0].verdict is None
    # The same runs answer for their scores.
    same = recorded(name="scores", arms=ARMS, seeds=3)
    for cell in ledger.studies.cells(study.name):
        ledger.studies.attach(same.name, cell.arm, cell.seed, cell.run.id)
    assert assess(ledger, same.name).apart == ()


def test_every_cost_that_can_be_judged_is_recorded_by_a_training(quick: Recipe, ledger: Ledger) -> None:
    import ablata

    longer = ablata.train(
        quick.model_copy(update={"train": quick.train.model_copy(update={"steps": 10})}), ledger=ledger
    )
    missing = {name for name, cost in COSTS.items() if cost.recorded not in longer.cost}
    assert missing <= {"peak_gpu_memory"}, "which is recorded where there is a GPU"
    rate = longer.cost["images_per_second"] * longer.cost["seconds_per_epoch"]
    assert rate == pytest.approx(1280, rel=0.01)
    curves = {row["name"]: row["value"] for row in longer.curves()}
    classes = [curves[f"val/plain/accuracy/{digit}"] for digit in range(10)]
    assert 0 <= min(classes) <= curves["val/plain/top1"] <= max(classes) <= 100
