"""Batches of images with objects keep their rows together."""

from __future__ import annotations

import pytest
import torch

from ablata.structures.batch import Rows
from ablata.structures.detection import DetectionBatch, Objects, Rle, joined, no_objects


def objects(count: int) -> Objects:
    masks = tuple(Rle((4, 4), bytes([number])) for number in range(count))
    boxes = torch.arange(count * 4, dtype=torch.float32).view(count, 4)
    return Objects(boxes, torch.arange(count), masks, torch.arange(count), torch.arange(count) % 2 == 1)


def batch(rows: int) -> DetectionBatch:
    sizes = torch.arange(2 * rows).view(rows, 2)
    images = torch.arange(rows, dtype=torch.uint8)[:, None, None, None].expand(rows, 3, 4, 4)
    return DetectionBatch(images, sizes, sizes + 1, tuple(map(objects, range(rows))), torch.arange(rows), Rows(10, 20))


def test_micro_batches_hold_every_row_once_and_know_their_place() -> None:
    whole = batch(5)
    parts = whole.chunk(3)
    for name in ("images", "sizes", "originals", "index"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    assert [len(one) for part in parts for one in part.objects] == list(range(5))
    assert [(part.rows.first, len(part)) for part in parts] == [(10, 1), (11, 2), (13, 2)]


@pytest.mark.parametrize("parts", [0, 6])
def test_more_parts_than_rows_are_refused(parts: int) -> None:
    with pytest.raises(ValueError, match="in \\[1, 5\\]"):
        batch(5).chunk(parts)


def test_objects_are_chosen_with_their_masks_by_flags_and_by_numbers() -> None:
    whole = objects(4)
    for rows in (whole.crowd, torch.tensor([1, 3])):
        chosen = whole.at(rows)
        assert chosen.labels.tolist() == chosen.ids.tolist() == [1, 3]
        assert isinstance(chosen.masks, tuple)
        assert [mask.counts for mask in chosen.masks] == [b"\x01", b"\x03"]
    assert len(no_objects().at(torch.zeros(0, dtype=torch.bool))) == 0


def test_images_of_several_sizes_lie_at_the_upper_left_of_one_batch() -> None:
    inputs = [torch.ones(3, 5, 7), torch.full((3, 6, 2), 2.0)]
    images, sizes = joined(inputs, stride=4)
    assert images.shape == (2, 3, 8, 8)
    assert sizes.tolist() == [[5, 7], [6, 2]]
    for image, sample in zip(images, inputs, strict=True):
        assert image.sum() == sample.sum()
        assert torch.equal(image[:, : sample.shape[1], : sample.shape[2]], sample)
