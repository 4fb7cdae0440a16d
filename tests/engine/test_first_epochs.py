"""What is only done at the start: layers computed from images, parameters trained for the first epochs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ablata.data.synthetic.scenes import Scenes, Streets
from ablata.data.transforms.classification import Augment
from ablata.engine.checkpoints import Checkpoint
from ablata.engine.optim.optimisers import Muon, Sgd
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups
from ablata.models.classification.airbench import Airbench, whitening_filters
from ablata.tasks.classification.task import Classify

FIRST = ParameterGroups(multipliers=(Multiplier(pattern="stem.conv.weight", epochs=1.0),))
BIAS = ParameterGroups(multipliers=(Multiplier(pattern="whiten.bias", epochs=1.0),))


@pytest.fixture
def short(digits: Callable) -> Classify:
    """Return a training of two epochs of nine steps; the stem learns in the first."""
    return digits().model_copy(update={"optim": Sgd(lr=0.05, weight_decay=1e-3, groups=FIRST)})


@pytest.fixture
def fast(streets: Callable) -> Classify:
    """Return a training as of cifar10_fast, of two epochs of six steps, on synthetic images of 16 x 16."""
    changed = {
        "data": Scenes(
            train=100,
            val=40,
            streets=Streets(height=16, width=16),
            augment=Augment(flip=True, flip_mode="alternating", pad=2, pad_mode="reflect"),
        ),
        "model": Airbench(widths=(8, 8, 8), whitening_images=30),
        "optim": Muon(other_lr=0.1, groups=BIAS),
        "protocols": ("mirror_translate", "plain"),
    }
    return streets().model_copy(update=changed)


def weight(checkpoint: Checkpoint, name: str) -> Tensor:
    return checkpoint.groups["model"][name]


def test_a_group_of_the_first_epoch_moves_and_then_stays(short: Classify, training: Callable) -> None:
    early, turn, end = (
        training(short, f"to{stop}", stop_after=stop).last() if stop else training(short).last() for stop in (3, 9, 0)
    )
    stem, classifier = "stem.conv.weight", "classifier.weight"
    assert not torch.equal(weight(early, stem), weight(turn, stem))
    assert torch.equal(weight(turn, stem), weight(end, stem))
    assert not torch.equal(weight(turn, classifier), weight(end, classifier))


@pytest.mark.parametrize("after", [4, 9, 13])
def test_it_resumes_exactly_and_nobody_misses_the_gradient(short: Classify, training: Callable, after: int) -> None:
    whole = training(short, "whole")
    training(short, "cut", stop_after=after)
    resumed = training(short, "cut")
    assert resumed.listener.said("no_gradient") == []
    for name, value in whole.last().groups["model"].items():
        assert torch.equal(value, weight(resumed.last(), name))


def test_the_first_layer_whitens_images_from_all_over_the_training_set(fast: Classify, training: Callable) -> None:
    done = training(fast)
    data = fast.data.build(done.folder)
    images = next(iter(data.eval_loader("train", 100))).images[[100 * number // 30 for number in range(30)]]
    filters = whitening_filters(images, 2, fast.model.whitening_eps)
    assert torch.equal(weight(done.last(), "whiten.weight"), torch.cat((filters, -filters)))
    assert done.listener.said("no_gradient") == []


@pytest.mark.parametrize("after", [1, 6, 8, 11])
def test_a_fast_training_resumes_exactly(fast: Classify, training: Callable, after: int) -> None:
    whole = training(fast, "whole")
    training(fast, "cut", stop_after=after)
    resumed = training(fast, "cut")
    assert resumed.outcome.scores == whole.outcome.scores
    for group, tensors in whole.last().groups.items():
        assert resumed.last().groups[group].keys() == tensors.keys()
        assert [
            name for name, value in tensors.items() if not torch.equal(resumed.last().groups[group][name], value)
        ] == []


def test_scores_come_under_every_protocol_and_the_first_one_decides(fast: Classify, training: Callable) -> None:
    done = training(fast)
    assert {name.rsplit("/", 1)[0] for name in done.outcome.scores} == {"val/mirror_translate", "val/plain"}
    assert done.outcome.best["key"] == fast.metric().key == "val/mirror_translate/top1"
