"""A training that was interrupted ends bit for bit like one that was not."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ablata.base.errors import LeaseLostError
from ablata.engine.checkpoints import BEST, LAST, Attempt, Checkpoint, load_checkpoint
from ablata.engine.reporting import MetricRow, Reporter
from ablata.engine.train import train
from ablata.recipes.index import load_recipe
from ablata.records import Ledger
from ablata.tasks.classification.task import Classify

EVERYTHING = (
    "ema.decay=0.98",
    "ema.every=2",
    "optim.lookahead.steps=4",
    "train.clip=1.5",
    "train.accumulate=2",
    "train.evaluate_every=0.5",
)


def assert_equal(found: Checkpoint, expected: Checkpoint) -> None:
    assert found.groups.keys() == expected.groups.keys()
    for group, tensors in expected.groups.items():
        assert found.groups[group].keys() == tensors.keys()
        different = [name for name, tensor in tensors.items() if not torch.equal(found.groups[group][name], tensor)]
        assert not different, f"{group}: {different}"
    who_and_when = dict.fromkeys(("run", "attempt", "seconds"))
    assert {**found.facts, **who_and_when} == {**expected.facts, **who_and_when}


@pytest.fixture(params=["digits", "streets"])
def full_recipe(request: pytest.FixtureRequest) -> Classify:
    """Return a recipe with everything that has a state: averages, slow weights, momentum, randomness."""
    if request.param == "digits":
        late = ("freeze=stem.*", "freeze_epochs=1")
        mixed = ("data.augment.mix=both", "model.dropout=0.3", "optim.nesterov=true", "schedule.warmup.length=1", *late)
        return request.getfixturevalue("digits")(*EVERYTHING, *mixed)
    mixed = ("data.augment.mix=mixup", "data.augment.cutout=4", "optim=adamw", "optim.lr=0.01", "data.minival=12")
    return request.getfixturevalue("streets")(*EVERYTHING, *mixed)


def test_steps_equal_some_steps_an_interruption_and_the_others(full_recipe: Classify, training: Callable) -> None:
    whole = training(full_recipe, "whole")
    total = whole.listener.facts["total"]
    assert total >= 10
    for after in range(1, total, 3 if total > 12 else 2):
        first = training(full_recipe, f"cut{after}", stop_after=after)
        assert first.outcome is None
        assert first.last().facts["step"] == after
        second = training(full_recipe, f"cut{after}")
        assert second.listener.facts["step"] == after
        assert_equal(second.last(), whole.last())
        assert_equal(second.best(), whole.best())
        assert second.outcome.scores == whole.outcome.scores
        assert second.outcome.best == whole.outcome.best
        assert first.listener.rows + second.listener.rows == whole.listener.rows


def test_a_training_interrupted_at_every_step_ends_the_same(full_recipe: Classify, training: Callable) -> None:
    whole = training(full_recipe, "whole")
    for step in range(1, whole.listener.facts["total"] + 1):
        attempt = training(full_recipe, "pieces", stop_after=step)
    assert_equal(attempt.last(), whole.last())
    assert attempt.outcome.scores == whole.outcome.scores


def test_another_seed_ends_elsewhere(digits: Callable, training: Callable) -> None:
    one, other = training(digits(), "one", seed=3).last(), training(digits(), "other", seed=4).last()
    assert not torch.equal(one.groups["model"]["stem.conv.weight"], other.groups["model"]["stem.conv.weight"])


def test_a_finished_training_is_not_trained_again(digits: Callable, training: Callable) -> None:
    first = training(digits())
    again = training(digits())
    assert again.listener.rows == []
    assert again.outcome.scores == first.outcome.scores
    assert_equal(again.last(), first.last())


def test_a_run_that_another_worker_took_writes_nothing_more(
    digits: Callable, training: Callable, tmp_path: Path
) -> None:
    with pytest.raises(LeaseLostError, match="another worker"):
        training(digits("train.evaluate_every=0"), stop_after=5, reason="lost")
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize("writes", range(5))
def test_nothing_is_put_into_place_once_another_worker_has_the_run(
    digits: Callable, tmp_path: Path, shared_cache: Path, writes: int
) -> None:
    left = iter(range(writes))

    @contextmanager
    def held() -> Iterator[None]:
        if next(left, None) is None:
            raise LeaseLostError("taken by another worker")
        yield

    recipe = digits("train.checkpoint_seconds=1e-9", "train.evaluate_every=0.5")
    with pytest.raises(LeaseLostError, match="taken by another"):
        train(recipe, 3, tmp_path / "run", shared_cache, attempt=Attempt("mine", 1, held))
    found = {path.name for path in (tmp_path / "run").glob("*")}
    # The first turn is the drafts of earlier attempts; the others are files, of which the first is the settings.
    assert found <= {"recipe.txt", LAST, BEST}
    assert len(found) == min(2, max(0, writes - 1))
    if LAST in found:
        assert load_checkpoint(tmp_path / "run" / LAST).facts["step"] == writes - 2


def ablata(home: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ablata", "train", *arguments, "--json"]
    environment = os.environ | {"ABLATA_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(home: Path, process: subprocess.Popen[str], moment: float) -> Path:
    """Kill a training some seconds after its first new checkpoint; return the run's folder."""
    known = {path: path.stat().st_mtime_ns for path in home.glob(f"runs/*/{LAST}")}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        new = [path for path in home.glob(f"runs/*/{LAST}") if known.get(path) != path.stat().st_mtime_ns]
        if new:
            time.sleep(moment)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return new[0].parent
        time.sleep(0.005)
    pytest.fail(f"no checkpoint before the training ended: {process.communicate()}")


class Rows(Reporter):
    """Keeps the points of every curve."""

    def __init__(self) -> None:
        self.rows: list[MetricRow] = []

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        self.rows += rows


def survive(tmp_path: Path, shared_cache: Path, name: str, overrides: list[str], moments: list[float]) -> int:
    """Kill one training at each of the moments, let it end, compare weights, scores and every point of every curve.

    Returns:
        How many kills came before the end.
    """
    home, recipe, listener = tmp_path / "home", load_recipe(name, overrides), Rows()
    whole = train(recipe, 5, tmp_path / "whole", shared_cache, listener)
    arguments, kills = [name, *overrides, "--seed", "5"], 0
    for moment in moments:
        process = ablata(home, *arguments)
        folder = killed(home, process, moment)
        kills += process.returncode == -signal.SIGKILL
        arguments = ["--resume", folder.name]
    out, err = (process := ablata(home, *arguments)).communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["scores"] == whole.scores
    for name in (LAST, BEST):
        assert_equal(load_checkpoint(folder / name), load_checkpoint(tmp_path / "whole" / name))
    with Ledger(home=home) as ledger:
        curves = ledger.metrics.of_runs([folder.name])
    points = {(curve.name, *point) for curve in curves for point in zip(curve.steps, curve.values, strict=True)}
    assert points == {(name, step, value) for step, name, value in listener.rows}
    return kills


STEADY = ["ema.decay=0.99", "model.dropout=0.2", "data.augment.mix=mixup", "optim.lookahead.steps=5", "train.clip=2"]


@pytest.mark.slow
def test_a_training_killed_at_any_moment_ends_the_same_after_resume(tmp_path: Path, shared_cache: Path) -> None:
    overrides = [*STEADY, "train.epochs=6", "train.checkpoint_seconds=1e-6"]
    assert survive(tmp_path, shared_cache, "digits", overrides, [random.uniform(0, 0.3)]) == 1


@pytest.mark.slow
def test_a_training_killed_ten_times_ends_the_same(tmp_path: Path, shared_cache: Path) -> None:
    overrides = [*STEADY, "train.epochs=60", "train.checkpoint_seconds=1e-6"]
    assert survive(tmp_path, shared_cache, "digits", overrides, [random.uniform(0, 0.6) for _ in range(10)]) >= 8


@pytest.mark.slow
@pytest.mark.realdata
def test_resnet20_on_cifar10_resumes_exactly(
    training: Callable, data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATA_DATA", str(data_home))
    recipe = load_recipe("resnet20_cifar10", ["train.epochs=null", "train.steps=9", "train.evaluate_every=0"])
    whole = training(recipe, "whole")
    for after in (1, 4, 8):
        training(recipe, f"cut{after}", stop_after=after)
        assert_equal(training(recipe, f"cut{after}").last(), whole.last())


@pytest.mark.slow
@pytest.mark.realdata
def test_resnet20_on_cifar10_killed_ten_times_ends_the_same(
    tmp_path: Path, shared_cache: Path, data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATA_DATA", str(data_home))
    overrides = ["train.epochs=null", "train.steps=300", "train.evaluate_every=0", "train.checkpoint_seconds=1e-6"]
    overrides += ["compute.threads=1", "train.batch=64"]
    moments = [random.uniform(0, 2) for _ in range(10)]
    assert survive(tmp_path, shared_cache, "resnet20_cifar10", overrides, moments) >= 8
