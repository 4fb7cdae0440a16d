"""Normalisation folded into convolutions: exact where it can be, left alone where it cannot."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from ablata.nn.folded_norms import fold_norms


def trained(network: nn.Module) -> nn.Module:
    """Give every normalisation statistics of its own."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | FrozenBatchNorm2d):
            for name in ("running_mean", "bias"):
                getattr(module, name).data.normal_(generator=generator)
            for name in ("running_var", "weight"):
                getattr(module, name).data.uniform_(0.5, 2.0, generator=generator)
    return network.eval()


def run(network: nn.Module) -> Tensor:
    output: Tensor = network(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    return output


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_all_normalisations_of_a_network_are_folded_and_outputs_stay(name: str) -> None:
    network = trained(timm.create_model(name, num_classes=5))
    with torch.no_grad():
        found = fold_norms(network, run)
        assert found.count == found.norms > 5
        assert not any(isinstance(module, nn.BatchNorm2d) for module in found.network.modules())
        torch.testing.assert_close(run(found.network), run(network), rtol=1e-4, atol=1e-4)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules()), "the network itself is as it was"


def test_frozen_statistics_of_detectors_are_folded_too() -> None:
    network = trained(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), FrozenBatchNorm2d(4), nn.ReLU()))
    found = fold_norms(network, run)
    assert (found.count, found.norms) == (1, 1)


class _Shared(nn.Module):
    """A convolution used twice, with a normalisation for each use."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(self.conv(self.first(self.conv(images))))


class _Forked(nn.Module):
    """A convolution whose output is used beside its normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        values = self.conv(images)
        return self.norm(values) + values


@pytest.mark.parametrize("kind", [_Shared, _Forked])
def test_what_would_change_the_outputs_is_left_alone(kind: type[nn.Module]) -> None:
    network = trained(kind())
    found = fold_norms(network, run)
    assert found.count == 0
    assert found.network is network
