"""Activations against torch's own, and the funnel by hand."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from ablata.nn.activations import ActivationChoice, FReLU, LeanSiLU, make_channel_activation


def test_the_lean_silu_has_the_values_and_gradients_of_silu() -> None:
    x = torch.linspace(-30, 30, 2001, requires_grad=True)
    y = torch.linspace(-30, 30, 2001, requires_grad=True)
    weight = torch.randn(2001, generator=torch.Generator().manual_seed(0))
    (LeanSiLU()(x) * weight).sum().backward()
    (F.silu(y) * weight).sum().backward()
    torch.testing.assert_close(LeanSiLU()(x), F.silu(y), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(x.grad, y.grad, rtol=1e-6, atol=1e-6)


def test_the_lean_silu_has_the_gradient_of_its_values_also_twice() -> None:
    x = torch.randn(7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert torch.autograd.gradcheck(LeanSiLU(), (x,))
    assert torch.autograd.gradgradcheck(LeanSiLU(), (x,))


def test_the_lean_silu_keeps_its_input_and_nothing_else() -> None:
    kept: list[torch.Tensor] = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    x = torch.randn(4, 5, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        LeanSiLU()(x)
    assert len(kept) == 1
    assert kept[0].data_ptr() == x.data_ptr()


def test_frelu_is_the_larger_of_x_and_its_normalised_surroundings() -> None:
    torch.manual_seed(0)
    funnel, x = FReLU(3), torch.randn(2, 3, 5, 5)
    surroundings = F.conv2d(F.pad(x, (1, 1, 1, 1)), funnel.conv.weight, groups=3)
    mean, variance = surroundings.mean((0, 2, 3)), surroundings.var((0, 2, 3), correction=0)
    by_hand = (surroundings - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    torch.testing.assert_close(funnel(x), torch.maximum(x, by_hand))


def test_every_choice_keeps_shape_and_sign_of_large_values(subtests: pytest.Subtests) -> None:
    for name in get_args(ActivationChoice):
        with subtests.test(name=name):
            activation = make_channel_activation(name, 3).eval()
            out = activation(torch.full((2, 3, 4, 4), 5.0))
            assert out.shape == (2, 3, 4, 4)
            assert (out > 4.9).all()


def test_without_leave_an_activation_does_not_overwrite_its_input(subtests: pytest.Subtests) -> None:
    for name in get_args(ActivationChoice):
        with subtests.test(name=name):
            x = torch.randn(2, 3, 4, 4)
            before = x.clone()
            make_channel_activation(name, 3, inplace=False)(x)
            assert torch.equal(x, before)
