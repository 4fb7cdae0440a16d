"""Lengths that are not known before: minutes, and patience with a score."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from ablata.engine.length import LENGTH
from ablata.engine.recipe import Train

STANDING = ("optim.lr=1e-12", "optim.momentum=0", "train.patience=2", "train.evaluate_every=0.5", "train.epochs=4")


def test_a_score_that_stands_ends_the_training_and_a_resumed_one_ends_alike(
    digits: Callable, training: Callable
) -> None:
    recipe = digits(*STANDING)
    whole = training(recipe, "whole")
    ended = whole.last().facts["step"]
    scored = [step for step, name, _ in whole.listener.rows if name == "val/plain/top1"]
    assert len(scored) == 3, "the first score is the best, and two later ones are not better"
    assert ended == scored[-1] < whole.listener.facts["total"]
    assert whole.outcome.cost["steps"] == ended
    assert any(name.startswith("val/plain/accuracy/") for _, name, _ in whole.listener.rows)
    for after in (1, scored[1]):
        training(recipe, f"cut{after}", stop_after=after)
        again = training(recipe, f"cut{after}")
        assert again.last().facts["step"] == ended
        assert again.outcome.scores == whole.outcome.scores
    assert training(recipe, "whole").outcome.scores == whole.outcome.scores, "it has ended, and goes on no further"


def test_minutes_are_measured_once_and_kept_with_the_run(digits: Callable, training: Callable) -> None:
    recipe = digits("train.minutes=0.02", "train.evaluate_every=1")
    first = training(recipe, "run", stop_after=1)
    kept = json.loads((first.folder / LENGTH).read_text())
    assert kept["steps"] == first.listener.facts["total"] >= 1
    kept |= {"steps": 3, "seconds": 1000}
    (first.folder / LENGTH).write_text(json.dumps(kept))
    other = training(recipe, "other", stop_after=1)
    (other.folder / "last.safetensors").unlink()
    (other.folder / LENGTH).write_text(json.dumps(kept))
    assert training(recipe, "other").last().facts["step"] == 3


def test_a_training_that_became_slow_ends_with_its_time_scored_and_stays_ended(
    digits: Callable, training: Callable
) -> None:
    recipe = digits("train.minutes=0.02", "train.evaluate_every=0")
    begun = training(recipe, "run", stop_after=1)
    kept = json.loads((begun.folder / LENGTH).read_text()) | {"steps": 100_000, "seconds": 1.0}
    slow = training(recipe, "slow", stop_after=1)
    (slow.folder / "last.safetensors").unlink()
    (slow.folder / LENGTH).write_text(json.dumps(kept))
    first = training(recipe, "slow")
    ended = first.last().facts["step"]
    assert 1 <= ended < 100_000
    assert first.outcome.scores
    assert any("are over after step" in text for _, kind, text in first.listener.events if kind == "time")
    assert training(recipe, "slow").last().facts["step"] == ended


def test_one_length_is_given_and_patience_needs_evaluations() -> None:
    with pytest.raises(ValidationError, match=r"exactly one of train\.epochs, train\.steps and train\.minutes"):
        Train(epochs=1, minutes=2)
    with pytest.raises(ValidationError, match=r"train\.evaluate_every above 0"):
        Train(epochs=1, patience=2, evaluate_every=0)
