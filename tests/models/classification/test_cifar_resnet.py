"""ResNet for small images: parameter counts of the literature, shortcuts, initialisation."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ablata.models.classification.small_resnet import CifarResNet


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(
    ("depth", "count"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_parameter_counts_are_those_of_the_paper(depth: int, count: int) -> None:
    assert parameters(CifarResNet(depth=depth).build(10)) == count


def test_option_b_adds_two_projections_and_preactivation_moves_the_norms() -> None:
    plain = parameters(CifarResNet().build(10))
    assert parameters(CifarResNet(shortcut="conv").build(10)) - plain == 16 * 32 + 64 + 32 * 64 + 128
    # The norms come before the convolutions: those of the stem and of two wider stages go, a final one comes.
    assert parameters(CifarResNet(preactivation=True).build(10)) - plain == -32 - 32 - 64 + 128


def test_layers_with_weights_are_as_many_as_the_depth_says() -> None:
    model = CifarResNet(depth=20).build(10)
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules()) == 20


def test_convolutions_start_with_the_variance_of_he() -> None:
    torch.manual_seed(0)
    weight = CifarResNet(depth=8, width=64).build(10).stage3[0].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    assert abs(weight.mean().item()) < 1e-3


def test_without_its_final_norm_a_preactivated_network_has_two_vectors_less() -> None:
    plain = CifarResNet(preactivation=True)
    assert parameters(plain.build(10)) - parameters(plain.model_copy(update={"final_norm": False}).build(10)) == 128


def test_a_final_norm_cannot_be_left_out_where_there_is_none() -> None:
    with pytest.raises(ValidationError, match="preactivation=true"):
        CifarResNet(final_norm=False)


@pytest.mark.parametrize("depth", [18, 21])
def test_a_depth_that_is_not_six_n_plus_two_is_refused_with_its_neighbours(depth: int) -> None:
    with pytest.raises(ValidationError, match="such as 14 or 20" if depth == 18 else "such as 20 or 26"):
        CifarResNet(depth=depth)
