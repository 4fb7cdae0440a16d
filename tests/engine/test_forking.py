"""A fork ends, to the bit, as if it had been trained from its first step; what acts earlier is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from ablata.base.errors import CheckpointError
from ablata.engine.checkpoints import Checkpoint
from ablata.engine.forking import acts_from, beginning
from ablata.tasks.classification.task import Classify

STEPS = ("schedule=step", "schedule.milestones=[0.5,0.8]")
MIX = "data.augment.mix=mixup"


def assert_same_end(found: Checkpoint, expected: Checkpoint) -> None:
    for group, tensors in expected.groups.items():
        assert found.groups[group].keys() == tensors.keys()
        different = [name for name, tensor in tensors.items() if not torch.equal(found.groups[group][name], tensor)]
        assert not different, f"{group}: {different}"


def test_it_is_known_from_which_step_settings_act(digits: Callable[..., Classify]) -> None:
    control = digits(*STEPS)
    cases: list[tuple[tuple[str, ...], int]] = [
        (("schedule.milestones=[0.5]",), 14),
        (("schedule.milestones=[0.5,0.9]",), 14),
        (("schedule.gamma=0.2",), 9),
        (("ema=ema", "ema.copy_steps=12"), 12),
        (("ema=ema", "ema.copy_steps=12", "schedule.milestones=[0.5]"), 12),
        (("ema=ema",), 0),
        (("optim.lr=0.1",), 0),
        (("train.epochs=3",), 0),
        (("data.augment.pad=2",), 0),
        (("train.precise_bn={}",), 8),
        ((), 18),
    ]
    for overrides, steps in cases:
        assert acts_from(control, digits(*STEPS, *overrides), 9) == steps, overrides
    averaged = ("ema=ema", "ema.warmup=none", "ema.copy_steps=6")
    assert acts_from(digits(*averaged, "ema.decay=0.9"), digits(*averaged, "ema.decay=0.8"), 9) == 6
    assert acts_from(digits(*averaged, "ema.decay=0.9"), digits(*averaged, "ema.decay=0.8", "ema.every=2"), 9) == 6
    assert acts_from(digits(MIX), digits(MIX, "data.augment.mix.until_epoch=1"), 9) == 9


@pytest.mark.parametrize(
    "arm", [("schedule.milestones=[0.5]",), ("ema=ema", "ema.decay=0.9", "ema.copy_steps=14"), (),
            ("data.augment.mix.until_epoch=1",)],
)  # fmt: skip
def test_a_fork_ends_as_a_full_training_does(
    arm: tuple[str, ...], digits: Callable[..., Classify], training: Callable
) -> None:
    control, changed = digits(*STEPS, MIX), digits(*STEPS, MIX, *arm)
    step = min(acts_from(control, changed, 9), 14)
    training(beginning(control, step, 9), "begun")
    whole = training(changed, "whole")
    forked = training(changed, "forked", fork="begun", stop_after=16)
    assert forked.outcome is None
    forked = training(changed, "forked", fork="begun")
    assert forked.listener.facts["step"] == 16
    assert_same_end(forked.last(), whole.last())
    assert forked.outcome.scores == whole.outcome.scores
    assert forked.outcome.cost["first_step"] == step
    assert "first_step" not in whole.outcome.cost


def test_what_acts_earlier_is_refused(digits: Callable[..., Classify], training: Callable) -> None:
    control = digits(*STEPS)
    training(beginning(control, 14, 9), "begun")
    for arm, seed in ((digits(*STEPS, "schedule.gamma=0.2"), 3), (control, 4)):
        with pytest.raises(CheckpointError, match="same training until where it begins"):
            training(arm, "forked", seed=seed, fork="begun")
