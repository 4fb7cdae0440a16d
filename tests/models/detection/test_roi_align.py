"""Cut-outs of regions: torchvision's values and gradients, on any number of levels."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign

from ablata.models.detection.roi_align import MultiLevelRoiAlign

CANVAS = (96, 128)


def maps_of(levels: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return maps of two images, strides 4, 8, ..., with a gradient."""
    torch.manual_seed(0)
    sizes = [(CANVAS[0] // 4 // 2**level, CANVAS[1] // 4 // 2**level) for level in range(levels)]
    return [torch.randn(2, 8, *size, dtype=dtype).requires_grad_() for size in sizes]


def boxes_of() -> list[Tensor]:
    """Return boxes of all sizes: over the whole image, along its edges, smaller than a cell, outside of it."""
    random = torch.rand(40, 4) * torch.tensor([128.0, 96, 128, 96])
    drawn = torch.cat([torch.minimum(random[:, :2], random[:, 2:]), torch.maximum(random[:, :2], random[:, 2:])], dim=1)
    edges = [[0.0, 0, 128, 96], [120, 90, 128, 96], [0, 0, 0.5, 0.5], [127.5, 95.5, 128, 96], [130, 100, 140, 110]]
    return [torch.cat([drawn, torch.tensor(edges)]), drawn[:3] + 0.25]


def test_values_and_gradients_are_those_of_torchvision(subtests: pytest.Subtests) -> None:
    for (side, samples), levels in itertools.product([(7, 2), (5, 1), (3, 3)], [1, 3, 4]):
        with subtests.test(levels=levels, side=side, samples=samples):
            maps, boxes = maps_of(levels), boxes_of()
            reference = MultiScaleRoIAlign([str(level) for level in range(levels)], side, sampling_ratio=samples)
            expected = reference({str(level): one for level, one in enumerate(maps)}, boxes, [CANVAS] * 2)
            found = MultiLevelRoiAlign(levels, side, samples)(maps, boxes, CANVAS)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
            weights = torch.randn_like(expected)
            wanted = torch.autograd.grad((expected * weights).sum(), maps)
            for one, other in zip(torch.autograd.grad((found * weights).sum(), maps), wanted, strict=True):
                torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-5)


def test_an_image_without_regions_gets_none_and_no_gradient() -> None:
    maps, boxes = maps_of(2), [torch.zeros(0, 4), boxes_of()[1]]
    found = MultiLevelRoiAlign(2, 7, 2)(maps, boxes, CANVAS)
    assert len(found) == 3
    (slope,) = torch.autograd.grad(found.sum(), maps[:1])
    assert float(slope[0].abs().max()) == 0 < float(slope[1].abs().max())
    assert MultiLevelRoiAlign(2, 7, 2)(maps, [torch.zeros(0, 4)] * 2, CANVAS).shape == (0, 8, 7, 7)


def test_maps_of_bf16_give_bf16_within_its_rounding() -> None:
    maps, boxes = maps_of(3), boxes_of()
    exact = MultiLevelRoiAlign(3, 7, 2)(maps, boxes, CANVAS)
    rough = MultiLevelRoiAlign(3, 7, 2)([one.bfloat16() for one in maps], boxes, CANVAS)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), exact, atol=3e-2, rtol=2e-2)


def test_further_maps_are_not_looked_at() -> None:
    maps, boxes = maps_of(4), boxes_of()
    both = [MultiLevelRoiAlign(3, 7, 2)(some, boxes, CANVAS) for some in (maps, maps[:3])]
    torch.testing.assert_close(both[0], both[1], atol=0, rtol=0)
