"""The loop's duties: accumulation, clipping, lengths, averages, the rhythm of evaluations, what is reported."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ablata.base.errors import SettingsError
from ablata.engine.hardware.process_group import ProcessGroup
from ablata.engine.reporting import Reporter
from ablata.engine.task import RunContext
from ablata.engine.train_state import TrainState

PLAIN = ("model.norm=none", "optim.weight_decay=0", "optim.momentum=0", "schedule=constant")


def test_four_parts_of_sixteen_train_like_one_of_sixty_four(digits: Callable, training: Callable) -> None:
    recipe = ("data.val=1500", "train.batch=64", "model.norm=none", "train.epochs=3", "data.augment.mix=mixup")
    whole = training(digits(*recipe), "whole")
    parts = training(digits(*recipe, "train.accumulate=4"), "parts")
    for name, tensor in whole.last().groups["model"].items():
        torch.testing.assert_close(parts.last().groups["model"][name], tensor, rtol=0, atol=1e-6)
    for step, value in whole.listener.curve("train/cross_entropy").items():
        assert parts.listener.curve("train/cross_entropy")[step] == pytest.approx(value, abs=1e-6)


def test_a_batch_that_its_parts_do_not_divide_is_refused() -> None:
    assert ProcessGroup(world_size=2).local_batch_size(64, 4) == 32
    with pytest.raises(SettingsError) as caught:
        ProcessGroup(world_size=2).local_batch_size(60, 8)
    assert "processes x train.accumulate = 2 x 8" in str(caught.value)
    assert "train.batch=60, not divisible by 16" in str(caught.value)
    assert "for example train.batch=64" in str(caught.value)


@pytest.mark.parametrize("clip", [0.05, 1e6])
def test_an_update_is_as_long_as_the_clipped_gradient(digits: Callable, training: Callable, clip: float) -> None:
    recipe = ("train.epochs=null", f"train.clip={clip}", *PLAIN)
    one = training(digits(*recipe, "train.steps=1"), "one")
    two = training(digits(*recipe, "train.steps=2"), "two")
    before, after = one.last().groups["model"], two.last().groups["model"]
    moved = math.sqrt(sum(float((after[name] - before[name]).square().sum()) for name in before))
    norm = two.listener.curve("train/gradient_norm")[2]
    assert norm > 0.05
    assert moved == pytest.approx(0.05 * min(norm, clip), rel=1e-4)


@pytest.mark.parametrize(("rule", "share"), [("null", 0.1), ("0.01", 0.01), ("inverse_square", 1 / 256)])
def test_running_statistics_take_the_momentum_of_the_settings(
    digits: Callable, training: Callable, rule: str, share: float
) -> None:
    one = ("train.epochs=null", "train.steps=1")
    whole = training(digits(*one, "train.bn_momentum=1.0"), "whole").last().groups["model"]
    part = training(digits(*one, f"train.bn_momentum={rule}"), "part").last().groups["model"]
    torch.testing.assert_close(part["stem.norm.running_mean"], share * whole["stem.norm.running_mean"])


def test_a_warm_up_on_top_lengthens_the_training(digits: Callable, training: Callable) -> None:
    warm = ("schedule.warmup.length=1", "schedule.warmup.placement=on_top", "schedule.warmup.start=0.2")
    done = training(digits(*warm))
    assert done.listener.facts["total"] == 18 + 9
    rates = done.listener.curve("train/lr")
    assert list(rates) == list(range(1, 28))
    assert rates[1] == pytest.approx(0.05 * 0.2)
    assert rates[10] == pytest.approx(0.05)
    assert training(digits(), "plain").listener.facts["total"] == 18


def test_every_group_has_its_own_share_of_the_rate(digits: Callable, training: Callable) -> None:
    frozen = 'optim.groups.multipliers=[{"pattern": "stem.*", "lr": 0.0}]'
    short = ("train.epochs=null", "optim.weight_decay=0")
    early = training(digits(*short, frozen, "train.steps=1"), "early").last().groups["model"]
    late = training(digits(*short, frozen, "train.steps=9"), "late").last().groups["model"]
    assert torch.equal(early["stem.conv.weight"], late["stem.conv.weight"])
    assert not torch.equal(early["classifier.weight"], late["classifier.weight"])


def test_the_raw_and_the_averaged_model_are_both_scored(digits: Callable, training: Callable) -> None:
    with_average = training(digits("ema.decay=0.95", "model.norm=none"), "average").outcome.scores
    without = training(digits("model.norm=none"), "plain").outcome.scores
    assert {name for name in with_average if name.startswith("raw/")} == {f"raw/{name}" for name in without}
    assert {name: with_average[f"raw/{name}"] for name in without} == without
    assert with_average["val/plain/loss"] != without["val/plain/loss"]


def test_an_average_without_memory_scores_like_the_model(digits: Callable, training: Callable) -> None:
    scores = training(digits("ema.decay=0.0", "ema.warmup=none")).outcome.scores
    assert scores["val/plain/loss"] == scores["raw/val/plain/loss"]


@pytest.mark.parametrize(
    ("every", "expected"),
    [
        ("0", [22]),
        ("1", [9, 18, 22]),
        ("0.5", [4, 8, 12, 16, 20, 22]),
        ("1.7", [15, 22]),
        ("0.01", list(range(1, 23))),
        ("100", [22]),
    ],
)
def test_evaluations_come_in_their_rhythm_and_after_the_last_step(
    digits: Callable, training: Callable, every: str, expected: list[int]
) -> None:
    done = training(digits("train.epochs=2.45", f"train.evaluate_every={every}", "data.minival=0"))
    assert done.listener.facts["total"] == 22
    assert list(done.listener.curve("val/plain/top1")) == expected


@pytest.mark.parametrize("every", ["0", "1", "0.5", "1.7", "0.01", "100"])
def test_the_evaluations_foretold_are_those_that_come(
    digits: Callable, every: str, tmp_path: Path, shared_cache: Path
) -> None:
    recipe = digits("train.epochs=2.45", f"train.evaluate_every={every}")
    session = TrainState(recipe, 3, tmp_path, RunContext(torch.device("cpu"), shared_cache), Reporter())
    for start in range(session.total):
        session.step = start
        foretold, came = session.evaluations_left(), 0
        while session.step < session.total:
            session.step += 1
            came += session.evaluation_due()
        assert foretold == came, start


def test_losses_are_reported_as_means_of_a_log_interval(digits: Callable, training: Callable) -> None:
    each = training(digits(), "each").listener.curve("train/cross_entropy")
    some = training(digits("train.log_every=4"), "some").listener.curve("train/cross_entropy")
    assert list(some) == [4, 8, 12, 16, 18]
    assert some[8] == pytest.approx(sum(each[step] for step in (5, 6, 7, 8)) / 4, rel=1e-6)
    assert some[18] == pytest.approx((each[17] + each[18]) / 2, rel=1e-6)


def test_the_reporter_hears_what_a_person_wants_to_know(digits: Callable, training: Callable) -> None:
    done = training(digits("optim.scaling=linear", "optim.reference_batch=64"))
    facts = done.listener.facts
    assert facts["learning_rate"] == "learning rate 0.0125 = 0.05 x linear scale of batch 16 / reference batch 64"
    assert (facts["device"], facts["processes"], facts["steps_per_epoch"]) == ("cpu", 1, 9)
    assert facts["precision"] == "fp32 (as the recipe says)"
    assert facts["parameters"] == done.outcome.cost["parameters"] == digits().complexity().parameters
    assert done.listener.curve("train/lr")[1] == pytest.approx(0.0125)
    assert (done.folder / "recipe.txt").read_text().startswith('task = "classify"\n')


def test_a_training_learns(digits: Callable, training: Callable) -> None:
    scores = training(digits("data.val=500", "model.width=16", "train.epochs=5", "train.batch=64")).outcome.scores
    assert scores["val/plain/top1"] > 80


@pytest.mark.slow
def test_a_compiled_training_follows_the_plain_one(digits: Callable, training: Callable) -> None:
    plain = training(digits(), "plain")
    compiled = training(digits("compute.compile=true"), "compiled")
    expected, found = (done.listener.curve("train/cross_entropy") for done in (plain, compiled))
    assert found.keys() == expected.keys()
    assert found != {}
    for step in expected:
        assert found[step] == pytest.approx(expected[step], abs=1e-4)
    assert compiled.last().groups["model"].keys() == plain.last().groups["model"].keys()
