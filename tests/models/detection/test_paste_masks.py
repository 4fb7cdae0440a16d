"""Masks put into their images: only their boxes are computed, and nothing is missed."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from ablata.models.detection.base import paste_masks


def test_masks_are_those_of_a_computation_over_the_whole_image() -> None:
    torch.manual_seed(0)
    boxes = torch.rand(30, 4) * torch.tensor([50.0, 40, 50, 40])
    boxes[:, 2:] += boxes[:, :2]
    extremes = [
        [-5.0, -3, 80, 70], [10.2, 10.4, 10.6, 10.9], [0, 0, 60, 50], [70, 60, 90, 80], [-30, -30, -9, -9],
        [20, 20, 20, 20],
    ]  # fmt: skip
    boxes = torch.cat([boxes, torch.tensor(extremes)])
    masks = torch.rand(len(boxes), 7, 7)
    rows, columns = torch.arange(50) + 0.5, torch.arange(60) + 0.5
    found = paste_masks(masks, boxes, 50, 60)
    for mask, (left, top, right, bottom), one in zip(masks, boxes.tolist(), found, strict=True):
        if right == left:
            assert not one.any()
            continue
        x, y = (columns - left) / (right - left) * 2 - 1, (rows - top) / (bottom - top) * 2 - 1
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
        whole = F.grid_sample(mask[None, None], grid[None], align_corners=False)[0, 0] >= 0.5
        assert torch.equal(one, whole)
    assert found.any(2).any(1).sum() > 25
