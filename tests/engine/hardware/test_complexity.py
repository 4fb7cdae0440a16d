"""Counts against formulas and published networks; counting leaves no trace."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from torch import nn

from ablata.engine.hardware.complexity import Complexity, count


def test_a_small_network_has_the_counts_of_its_formula() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8, stride=2, padding=1)
    )
    net.append(nn.Flatten())
    net.append(nn.Linear(8 * 4 * 4, 5))
    counts = count(net, torch.empty(1, 3, 8, 8))
    parameters = 8 * 27 + 16 + (8 * 9 + 8) + (128 * 5 + 5)
    flops = 64 * 8 * 27 + 16 * 8 * 9 + 128 * 5
    assert counts == Complexity(parameters, flops, 8 * 64 + 8 * 16 + 5)
    assert counts.as_dict() == {"parameters": parameters, "flops": flops, "activations": 8 * 64 + 8 * 16 + 5}


@pytest.mark.parametrize(
    ("name", "parameters", "flops", "activations"),
    [
        ("resnet50", 25_557_032, 4.089e9, 11.1e6),
        ("regnet_y_1_6gf", 11_202_430, 1.612e9, 8.0e6),
    ],
)
def test_published_networks_have_their_published_counts(
    name: str, parameters: int, flops: float, activations: float
) -> None:
    counts = count(getattr(torchvision.models, name)(), torch.empty(1, 3, 224, 224))
    assert counts.parameters == parameters
    assert counts.flops == pytest.approx(flops, rel=5e-3)
    assert counts.activations == pytest.approx(activations, rel=1e-2)


def test_counting_changes_neither_generators_nor_buffers_nor_modes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5))
    net[1].eval()
    before, generator = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    count(net, torch.empty(1, 3, 8, 8))
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert [module.training for module in net] == [True, False, True]
    assert not net[0]._forward_hooks


def test_a_shared_layer_counts_its_parameters_once_and_its_work_each_time() -> None:
    layer = nn.Linear(4, 4, bias=False)
    assert count(nn.Sequential(layer, layer), torch.empty(1, 4)) == Complexity(16, 32, 8)
