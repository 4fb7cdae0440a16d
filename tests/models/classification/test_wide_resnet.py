"""Wide ResNet: the paper's parameter counts, and one network for two ways to count its layers."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ablata.base.settings import expand, restore, settings_hash
from ablata.models.classification.small_resnet import WideResNet


def parameters(settings: WideResNet, classes: int = 10) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in settings.build(classes).parameters())


def test_parameter_counts_are_those_of_the_paper(subtests: pytest.Subtests) -> None:
    for depth, factor, millions in [
        (40, 1, 0.6),
        (40, 2, 2.2),
        (40, 4, 8.9),
        (40, 8, 35.7),
        (28, 10, 36.5),
        (28, 12, 52.5),
        (22, 8, 17.2),
        (22, 10, 26.8),
        (16, 8, 11.0),
        (16, 10, 17.1),
    ]:
        with subtests.test(depth=depth, factor=factor, millions=millions):
            assert round(parameters(WideResNet(depth=depth, factor=factor)) / 1e6, 1) == millions


def test_another_number_of_classes_changes_the_classifier_alone() -> None:
    assert parameters(WideResNet(), 100) - parameters(WideResNet(), 10) == 90 * 641


def test_convolutions_with_those_of_the_shortcuts_are_as_many_as_the_depth_says() -> None:
    with torch.device("meta"):
        model = WideResNet(depth=16, factor=2).build(10)
    assert sum(isinstance(module, nn.Conv2d) for module in model.modules()) == 16


def test_a_depth_with_the_classifier_counted_is_the_same_network() -> None:
    by_other_count = WideResNet(depth=29)
    assert by_other_count == WideResNet(depth=28)
    assert settings_hash(by_other_count) == settings_hash(WideResNet())
    assert restore(WideResNet, expand(by_other_count), source="test") == WideResNet()


@pytest.mark.parametrize("depth", [26, 27, 30])
def test_a_depth_that_is_not_six_n_plus_four_is_refused_with_its_neighbours(depth: int) -> None:
    with pytest.raises(ValidationError, match="such as 28 or 34" if depth == 30 else "such as 22 or 28"):
        WideResNet(depth=depth)
