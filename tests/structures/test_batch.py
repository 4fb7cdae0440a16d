"""Batches keep their rows, labels and mixing together."""

from __future__ import annotations

import pytest
import torch

from ablata.structures.batch import ImageBatch, Mixing, Rows


def _batch(rows: int, first: int = 0, mixed: bool = True) -> ImageBatch:
    index = torch.arange(first, first + rows)
    mixing = Mixing(index % 3, index.flip(0), torch.linspace(0, 1, rows), "labels") if mixed else None
    return ImageBatch(
        torch.randint(0, 256, (rows, 3, 4, 4), dtype=torch.uint8), index % 5, index, Rows(first, 40), mixing
    )


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_chunks_are_even_and_join_to_the_batch(parts: int) -> None:
    batch = _batch(7, first=14)
    chunks = batch.chunk(parts)
    lengths = [len(chunk) for chunk in chunks]
    assert len(chunks) == parts
    assert max(lengths) - min(lengths) <= 1
    assert torch.equal(torch.cat([chunk.images for chunk in chunks]), batch.images)
    assert torch.equal(torch.cat([chunk.labels for chunk in chunks]), batch.labels)
    assert [chunk.rows.first for chunk in chunks] == [int(chunk.index[0]) for chunk in chunks]
    assert batch.mixing is not None
    joined = torch.cat([chunk.mixing.lam for chunk in chunks if chunk.mixing])
    assert torch.equal(joined, batch.mixing.lam)


def test_a_batch_splits_into_no_more_parts_than_rows() -> None:
    with pytest.raises(ValueError, match="`n` must be in"):
        _batch(3).chunk(4)


def test_a_batch_that_waits_for_mixing_is_not_split() -> None:
    batch = _batch(4, mixed=False)
    waiting = ImageBatch(batch.images, batch.labels, batch.index, Rows(0, 4, keep=(0, 2)))
    with pytest.raises(ValueError, match="must be augmented"):
        waiting.chunk(2)


def test_moving_a_batch_moves_every_tensor() -> None:
    moved = _batch(4).to("meta", non_blocking=True)
    assert moved.mixing is not None
    tensors = [moved.images, moved.labels, moved.index, moved.mixing.lam, moved.mixing.labels_b]
    assert all(tensor.device.type == "meta" for tensor in tensors)


def test_mixed_targets_weigh_both_labels() -> None:
    mixing = Mixing(torch.tensor([2, 1]), torch.tensor([1, 0]), torch.tensor([0.75, 0.4]), "labels")
    expected = torch.tensor([[0.75, 0, 0.25], [0, 1, 0]])
    assert torch.allclose(mixing.targets(torch.tensor([0, 1]), 3), expected)
