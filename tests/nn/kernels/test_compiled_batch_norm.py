"""Batch normalisation by moments: torch's own is the reference."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ablata.nn.kernels.compiled_batch_norm import MomentNorm, convert_moment_norm


def pair(channels: int = 5) -> tuple[nn.BatchNorm2d, MomentNorm]:
    plain = nn.BatchNorm2d(channels, eps=1e-4, momentum=0.3)
    for parameter in plain.parameters():
        nn.init.normal_(parameter)
    other = nn.Sequential(copy.deepcopy(plain))
    convert_moment_norm(other)
    assert isinstance(other[0], MomentNorm)
    return plain, other[0]


def inputs(seed: int, offset: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(4, 5, 6, 3, generator=random) * 2 + offset).to(dtype)


def test_values_gradients_and_averages_are_those_of_torch() -> None:
    plain, other = pair()
    for seed in range(3):
        first, second = (inputs(seed, offset=3.0).requires_grad_() for _ in range(2))
        expected, found = plain(first), other.by_moments(second)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        slope = inputs(seed + 10)
        expected.backward(slope)
        found.backward(slope)
        torch.testing.assert_close(second.grad, first.grad, rtol=1e-4, atol=1e-5)
    for one, two in zip(other.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(other.state_dict(), plain.state_dict(), rtol=1e-5, atol=1e-5)


def test_values_far_from_zero_do_not_cancel() -> None:
    plain, other = pair()
    far = inputs(0, offset=10_000.0)
    exact = copy.deepcopy(plain).double()(far.double())
    assert (other.by_moments(far) - exact).abs().max() < 3e-3


def test_half_precision_comes_out_as_it_went_in() -> None:
    plain, other = pair()
    values = inputs(0, dtype=torch.bfloat16)
    found = other.by_moments(values)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, plain(values), rtol=1e-2, atol=1e-2)


def test_uncompiled_and_in_evaluation_it_is_torchs_own() -> None:
    plain, other = pair()
    assert torch.equal(other(inputs(0)), plain(inputs(0)))
    plain.eval()
    other.eval()
    assert torch.equal(other(inputs(1)), plain(inputs(1)))


def test_one_value_a_channel_is_refused() -> None:
    with pytest.raises(ValueError, match="more than one value"):
        pair()[1].by_moments(torch.ones(1, 5, 1, 1))


def test_only_plain_norms_with_all_their_parts_are_converted() -> None:
    class Other(nn.BatchNorm2d):
        pass

    model = nn.Sequential(
        nn.BatchNorm2d(2),
        Other(2),
        nn.BatchNorm2d(2, track_running_stats=False),
        nn.BatchNorm2d(2, momentum=None),
        nn.BatchNorm2d(2, affine=False),
    )
    kept = list(model)
    convert_moment_norm(model)
    assert [type(module) for module in model] == [MomentNorm, Other, *[nn.BatchNorm2d] * 3]
    assert all(one is other for one, other in zip(model, kept, strict=True))
