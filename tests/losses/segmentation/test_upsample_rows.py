"""Strips of enlarged logits: the rows of torch's own interpolation, and the gradient that belongs to them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ablata.losses.segmentation.upsample_rows import row_chunk, upsample_rows, upsample_width


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=st.integers(1, 20), height=st.integers(1, 40))
def test_a_chunk_is_so_many_rows_of_the_whole_enlargement(data: st.DataObject, size: int, height: int) -> None:
    first = data.draw(st.integers(0, height - 1))
    rows = data.draw(st.integers(1, height - first))
    logits = torch.randn(2, 3, size, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    whole = F.interpolate(logits, (height, 9), mode="bilinear", align_corners=False)[:, :, first : first + rows]
    taken = row_chunk(first, rows, size, height, logits).upsample(upsample_width(logits, 9))
    torch.testing.assert_close(taken, whole)
    labels = torch.empty(2, rows, 9)
    torch.testing.assert_close(upsample_rows(logits, labels, (first, height)), whole)


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 20), height=st.integers(2, 40), rows=st.integers(1, 7))
def test_what_a_chunk_adds_is_the_gradient_of_upsampling(size: int, height: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, size, 4, dtype=torch.float64, generator=generator).requires_grad_()
    part = row_chunk(height - min(rows, height), min(rows, height), size, height, logits)
    taken = part.upsample(logits)
    slope = torch.randn(taken.shape, dtype=torch.float64, generator=generator)
    (expected,) = torch.autograd.grad(taken, logits, slope)
    found = torch.zeros_like(expected)
    part.add_gradient(slope, found)
    torch.testing.assert_close(found, expected)


def test_a_chunk_of_the_same_size_is_a_copy() -> None:
    logits = torch.zeros(1, 4, 5)
    row_chunk(1, 2, 4, 4, logits).upsample(logits).add_(1)
    assert not logits.any()
