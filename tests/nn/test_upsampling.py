"""Enlargement: torch's interpolation, learned kernels that begin as it, any wanted size."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F

from ablata.base.errors import SettingsError
from ablata.nn.upsampling import Bilinear, Nearest, Transposed


@pytest.mark.parametrize("corners", [False, True])
def test_bilinear_is_torchs(corners: bool) -> None:
    x = torch.randn(2, 3, 4, 5)
    expected = F.interpolate(x, (31, 40), mode="bilinear", align_corners=corners)
    assert torch.equal(Bilinear(align_corners=corners).build(3, 8)(x, (31, 40)), expected)


def test_nearest_repeats_each_value() -> None:
    x = torch.randn(2, 3, 4, 5)
    expected = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert torch.equal(Nearest().build(3, 4)(x, (16, 20)), expected)


@pytest.mark.parametrize("factor", [2, 8, 16])
def test_a_transposed_convolution_begins_as_bilinear_enlargement_away_from_the_border(factor: int) -> None:
    x = torch.randn(1, 3, 6, 7)
    size = (6 * factor, 7 * factor)
    ours = Transposed(init="bilinear").build(3, factor)(x, size)
    expected = Bilinear().build(3, factor)(x, size)
    inner = slice(factor, -factor)
    torch.testing.assert_close(ours[..., inner, inner], expected[..., inner, inner])


def test_doubling_takes_a_4x4_kernel_a_step() -> None:
    model = Transposed(steps="doubling").build(5, 8)
    assert [tuple(weight.shape) for weight in model.parameters()] == [(5, 5, 4, 4)] * 3
    assert [tuple(weight.shape) for weight in Transposed().build(5, 8).parameters()] == [(5, 5, 16, 16)]


@pytest.mark.parametrize("steps", ["one", "doubling"])
@pytest.mark.parametrize("size", [(32, 40), (27, 33)])
def test_what_goes_past_the_wanted_size_is_cut_off(steps: Literal["one", "doubling"], size: tuple[int, int]) -> None:
    model, x = Transposed(steps=steps).build(2, 8), torch.randn(1, 2, 4, 5)
    full = model(x, (32, 40))
    assert full.shape == (1, 2, 32, 40)
    assert torch.equal(model(x, size), full[:, :, : size[0], : size[1]])


def test_the_rest_of_a_factor_is_bilinear_behind_the_learned_part() -> None:
    model, whole, x = Transposed(rest=8).build(2, 32), Transposed().build(2, 4), torch.randn(1, 2, 3, 4)
    whole.load_state_dict(model.state_dict())
    expected = F.interpolate(whole(x, (12, 16)), (96, 128), mode="bilinear", align_corners=False)
    torch.testing.assert_close(model(x, (96, 128)), expected)
    torch.testing.assert_close(model(x, (90, 101)), expected[..., :90, :101])


def test_a_rest_that_leaves_nothing_to_learn_is_refused_in_words() -> None:
    with pytest.raises(SettingsError, match="rest=8 for maps that are 8 times smaller"):
        Transposed(rest=8).build(2, 8)


@pytest.mark.parametrize("factor", [1, 3, 12])
def test_a_factor_that_is_no_power_of_two_is_refused(factor: int) -> None:
    with pytest.raises(ValueError, match=f"found {factor}"):
        Transposed().build(2, factor)
