"""The momentum of batch normalisation's running statistics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablata.engine.batch_norm import BnMomentum, set_bn_momentum


@pytest.mark.parametrize(("rule", "momentum"), [(0.01, 0.01), ("inverse_square", 1 / 256**2), ("cumulative", None)])
def test_every_batch_norm_gets_the_momentum(rule: BnMomentum, momentum: float | None) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)))
    set_bn_momentum(model, rule, 256)
    assert [model[1].momentum, model[2][1].momentum] == [momentum, momentum]


def test_cumulative_statistics_are_the_mean_over_all_batches() -> None:
    norm = nn.BatchNorm2d(2)
    set_bn_momentum(norm, "cumulative", 8)
    batches = [torch.randn(8, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) + seed for seed in range(4)]
    for batch in batches:
        norm(batch)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches])
    torch.testing.assert_close(norm.running_mean, means.mean(0))
