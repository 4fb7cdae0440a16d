"""Batches of images with label maps keep their rows together."""

from __future__ import annotations

import pytest
import torch

from ablata.structures.batch import Rows
from ablata.structures.segmentation import SegmentationBatch


def _batch(rows: int = 5) -> SegmentationBatch:
    images = torch.arange(rows, dtype=torch.uint8)[:, None, None, None].expand(rows, 3, 4, 6)
    sizes = torch.tensor([[4, 6]]).expand(rows, 2)
    return SegmentationBatch(images, images[:, 0], sizes, torch.arange(rows), Rows(10, 20))


def test_micro_batches_hold_every_row_once_and_know_their_place() -> None:
    whole = _batch()
    parts = whole.chunk(3)
    for name in ("images", "labels", "sizes", "index"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert [(part.rows.first, len(part), part.rows.total) for part in parts] == [(10, 1, 20), (11, 2, 20), (13, 2, 20)]


@pytest.mark.parametrize("parts", [0, 6])
def test_more_parts_than_rows_are_refused(parts: int) -> None:
    with pytest.raises(ValueError, match=f"got {parts}"):
        _batch().chunk(parts)


def test_moving_keeps_types_and_place() -> None:
    moved = _batch().to("cpu")
    assert (moved.labels.dtype, moved.sizes.dtype, moved.rows) == (torch.uint8, torch.int64, Rows(10, 20))
