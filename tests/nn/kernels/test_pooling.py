"""The mean over places: torch's mean is the reference."""

from __future__ import annotations

import pytest
import torch

from ablata.nn.kernels.pooling import global_average


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (5, 7)])
def test_values_and_gradients_are_those_of_the_mean(height: int, width: int, layout: torch.memory_format) -> None:
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    maps = maps.to(memory_format=layout).requires_grad_()
    found = global_average(maps)
    torch.testing.assert_close(found, maps.mean((2, 3)))
    found.square().sum().backward()
    expected = (2 * maps.mean((2, 3)) / (height * width))[:, :, None, None].expand_as(maps)
    torch.testing.assert_close(maps.grad, expected)


def test_half_precision_is_summed_in_single() -> None:
    maps = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    assert global_average(maps).item() == 1
    assert global_average(maps).dtype == torch.bfloat16
