"""Stochastic depth leaves out whole branches, keeps the mean, and rests outside training."""

from __future__ import annotations

import pytest
import torch

from ablata.nn.drop_path import drop_path, linear_drop_rates


def test_a_branch_is_left_out_whole_or_enlarged() -> None:
    torch.manual_seed(0)
    x = torch.rand(4000, 2, 3) + 1
    out = drop_path(0.25)(x)
    left_out = (out == 0).all((1, 2))
    torch.testing.assert_close(out[~left_out], x[~left_out] / 0.75)
    assert left_out.double().mean().item() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("drop_prob", "training"), [(0.5, False), (0.0, True)])
def test_nothing_changes_and_nothing_is_drawn_outside_training_or_at_0(drop_prob: float, training: bool) -> None:
    before, x = torch.get_rng_state(), torch.ones(4, 2)
    assert drop_path(drop_prob).train(training)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_shares_rise_evenly_from_zero() -> None:
    assert linear_drop_rates(0.3, 4) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert linear_drop_rates(0.3, 1) == [0]
