"""Muon: the iteration against the singular value decomposition, and a step against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ablata.engine.optim.muon import COEFFICIENTS, orthogonalize
from ablata.engine.optim.optimisers import Muon
from ablata.engine.optim.parameter_groups import Multiplier, ParameterGroups


def matrix(rows: int, columns: int) -> Tensor:
    return torch.randn(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))


shapes = pytest.mark.parametrize("shape", [(5, 5), (4, 9), (12, 3), (1, 6)])


@shapes
def test_the_convergent_iteration_ends_at_the_polar_factor(shape: tuple[int, int]) -> None:
    found = orthogonalize(matrix(*shape), 40, (15 / 8, -10 / 8, 3 / 8))
    u, _, v = torch.linalg.svd(matrix(*shape), full_matrices=False)
    torch.testing.assert_close(found, u @ v, atol=1e-9, rtol=0)


@shapes
@pytest.mark.parametrize("steps", [0, 1, 3, 5])
def test_each_step_maps_the_singular_values_by_the_polynomial(shape: tuple[int, int], steps: int) -> None:
    u, values, v = torch.linalg.svd(matrix(*shape), full_matrices=False)
    values = values / values.square().sum().sqrt()
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    torch.testing.assert_close(orthogonalize(matrix(*shape), steps), u @ values.diag() @ v, atol=1e-5, rtol=0)


def test_five_steps_bring_all_but_tiny_singular_values_near_one() -> None:
    values = torch.linalg.svdvals(orthogonalize(matrix(64, 200), 5))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_the_size_of_a_matrix_does_not_matter_and_zero_stays_zero() -> None:
    torch.testing.assert_close(orthogonalize(1e3 * matrix(4, 6), 3), orthogonalize(matrix(4, 6), 3), rtol=1e-4, atol=0)
    assert not orthogonalize(torch.zeros(3, 4), 3).any()


class Net(nn.Module):
    """One filter bank, one bias."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        nn.init.normal_(self.conv.weight, generator=torch.Generator().manual_seed(5))


def step_done(settings: Muon, steps: int) -> tuple[Net, list[Tensor]]:
    """Take steps with fixed gradients; return the network and the gradients of its filters."""
    torch.manual_seed(0)
    net = Net()
    optimiser = settings.build(net, 8)
    gradients = []
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        gradients.append(torch.randn(4, 2, 3, 3, generator=generator))
        net.conv.weight.grad = gradients[-1].clone()
        net.conv.bias.grad = torch.full((4,), 0.5)
        optimiser.step()
    return net, gradients


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("keep_norm", [True, False])
def test_filters_take_orthogonal_steps_of_their_momentum(nesterov: bool, keep_norm: bool) -> None:
    net, gradients = step_done(Muon(lr=0.1, momentum=0.6, nesterov=nesterov, keep_norm=keep_norm), 3)
    weight, buffer = Net().conv.weight.detach(), torch.zeros(4, 2, 3, 3)
    for gradient in gradients:
        buffer = 0.6 * buffer + gradient
        update = gradient + 0.6 * buffer if nesterov else buffer
        if keep_norm:
            weight = weight * 2 / weight.norm()
        weight = weight - 0.1 * orthogonalize(update.flatten(1), 3).view(weight.shape)
    # The optimiser iterates in 16 bits.
    torch.testing.assert_close(net.conv.weight.detach(), weight, atol=0.01, rtol=0)


def test_others_take_the_steps_of_torchs_sgd_at_their_own_rate() -> None:
    settings = Muon(
        other_lr=0.3,
        other_momentum=0.7,
        weight_decay=0.01,
        groups=ParameterGroups(multipliers=(Multiplier(pattern="conv.bias", lr=2),)),
    )
    net, _ = step_done(settings, 4)
    torch.manual_seed(0)
    expected = Net().conv.bias
    sgd = torch.optim.SGD([expected], lr=0.6, momentum=0.7, nesterov=True, weight_decay=0.01)
    for _ in range(4):
        expected.grad = torch.full((4,), 0.5)
        sgd.step()
    torch.testing.assert_close(net.conv.bias, expected)


def test_every_parameter_is_in_one_group_and_the_groups_say_which_rate_they_have() -> None:
    groups = Muon(lr=0.24, other_lr=0.06).build(Net(), 8).param_groups
    assert [(group["name"], group["orthogonal"], group["lr"]) for group in groups] == [
        ("decay, filters", True, 0.24),
        ("decay", False, pytest.approx(0.06)),
    ]
    assert [group["lr_scale"] for group in groups] == pytest.approx([1, 0.25])
