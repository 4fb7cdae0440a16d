"""Attention with a backward pass of its own: the plain formula, and what autograd makes of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ablata.models.detection.relations.geometric_attention import FAINT, geometric_attention

B, H, R, S, D, E = 2, 3, 5, 4, 6, 7


def inputs(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    shapes = ((B, H, R, S), (B, H, R, D), (B, H, S, D), (B, H, S, E))
    return [torch.randn(shape, generator=random, dtype=torch.float64).to(dtype).requires_grad_() for shape in shapes]


def flags(share: float) -> Tensor:
    return torch.rand(B, R, S, generator=torch.Generator().manual_seed(1)) < share


def plain(strength: Tensor, queries: Tensor, keys: Tensor, values: Tensor, allowed: Tensor) -> Tensor:
    shown = strength.clamp(min=FAINT) * allowed[:, None]
    weights = shown * (queries @ keys.transpose(2, 3)).exp()
    return weights / weights.sum(3, keepdim=True) @ values


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_values_and_gradients_are_those_of_the_formula(share: float) -> None:
    allowed = flags(share)
    allowed[:, :, 0] = True
    given, others = inputs(), inputs()
    found, expected = geometric_attention(*given, allowed), plain(*others, allowed)
    torch.testing.assert_close(found, expected)
    slope = torch.randn_like(found)
    found.backward(slope)
    expected.backward(slope)
    for one, other in zip(given, others, strict=True):
        torch.testing.assert_close(one.grad, other.grad)


def test_gradients_are_differences_of_the_values() -> None:
    assert torch.autograd.gradcheck(lambda *given: geometric_attention(*given, flags(0.8)), inputs())


def test_where_nothing_is_allowed_values_are_averaged() -> None:
    strength, queries, keys, values = inputs()
    out = geometric_attention(torch.ones_like(strength), queries * 0, keys, values, flags(0.0))
    torch.testing.assert_close(out, values.mean(2, keepdim=True).expand_as(out))


def test_a_strength_below_the_least_gets_no_gradient() -> None:
    strength, *rest = inputs()
    geometric_attention(strength, *rest, flags(1.0)).square().sum().backward()
    assert strength.grad is not None
    assert not strength.grad[strength <= FAINT].any()
    assert strength.grad[strength > FAINT].all()


def test_in_half_precision_gradients_come_near_those_of_double() -> None:
    given, others = inputs(torch.bfloat16), inputs()
    allowed = flags(1.0)
    geometric_attention(*given, allowed).square().sum().backward()
    geometric_attention(*others, allowed).square().sum().backward()
    for one, other in zip(given, others, strict=True):
        assert one.grad is not None
        assert one.grad.dtype == torch.bfloat16
        assert (one.grad - other.grad).abs().max() < 0.05 * other.grad.abs().max()
