"""Contrast of pixels: against its formula written out, and what it must never do."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablata.losses.contrastive.memory_bank import MemoryBank, SemiHard
from ablata.losses.contrastive.pixel_contrast import (
    PixelContrast,
    choose_hard,
    contrast,
    gather_unit_vectors,
    resize_nearest,
)
from ablata.losses.contrastive.weight_schedule import ConstantWeight, PolyWeight, WeightSchedule, WeightWarmUp
from ablata.nn.projection import Projection

WORKED = torch.tensor([(1, 0), (0.8, 0.6), (0, 1), (-0.6, 0.8)])


def vectors(count: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=torch.float64), dim=1)


def written_out(keys: Tensor, labels: list[int], anchors: int, tau: float, base: float) -> float:
    """The formula with loops and plain exponentials; the first keys are the anchors."""
    losses = []
    for i in range(anchors):
        similar = [math.exp(float(keys[i] @ key) / tau) for key in keys]
        against = sum(s for s, label in zip(similar, labels, strict=True) if label != labels[i])
        own = [p for p, label in enumerate(labels) if label == labels[i] and p != i]
        if own:
            losses.append(-sum(math.log(similar[p] / (similar[p] + against)) for p in own) / len(own))
    return tau / base * sum(losses) / len(losses) if losses else 0.0


def test_worked_value() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert contrast(WORKED, labels, 0.1, 0.07).item() == pytest.approx(0.091114, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=2, max_size=12),
    later=st.lists(st.integers(0, 3), max_size=6),
    seed=st.integers(0, 999),
    tau=st.sampled_from([0.07, 0.1, 0.4]),
)
def test_contrast_is_its_formula_with_and_without_further_keys(
    labels: list[int], later: list[int], seed: int, tau: float
) -> None:
    every = [*labels, *later]
    keys = vectors(len(every), 5, seed)
    truth, count = torch.tensor(every), len(labels)
    found = contrast(keys[:count], truth[:count], tau, 0.07, keys[count:], truth[count:])
    assert found.item() == pytest.approx(written_out(keys, every, count, tau, 0.07), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mining", [None, SemiHard(fraction=0.5, positives=3, negatives=5)])
def test_a_contrast_in_parts_is_that_of_all_at_once_in_value_and_gradient(
    mining: SemiHard | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, labels = vectors(30, 4, 0), torch.arange(30) % 3
    found = []
    for products in (2**23, 75):
        monkeypatch.setattr("ablata.losses.contrastive.pixel_contrast._PRODUCTS", products)
        torch.manual_seed(0)
        x = keys[:12].clone().requires_grad_()
        value = contrast(x, labels[:12], 0.1, 0.07, keys[12:], labels[12:], mining)
        found.append((value, torch.autograd.grad(value, x)[0]))
    if mining is None:
        torch.testing.assert_close(found[1], found[0])
    assert all(tensor.isfinite().all() for tensor in found[1])


def test_rows_that_do_not_count_change_nothing() -> None:
    keys, labels = vectors(6, 4, 0), torch.tensor([0, 0, 1, 1, -1, -2])
    found = contrast(keys[:5], labels[:5], 0.1, 0.07, keys[5:], labels[5:])
    torch.testing.assert_close(found, contrast(keys[:4], labels[:4], 0.1, 0.07))


def test_its_gradient_is_that_of_finite_differences() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: contrast(x, labels, 0.4, 0.07), vectors(5, 3, 0).requires_grad_())


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0], [-1, -1, -1], [0, 0, -1]])
def test_missing_positives_or_negatives_give_a_finite_loss_and_gradient(labels: list[int]) -> None:
    x = vectors(3, 4, 0).requires_grad_()
    truth = torch.tensor(labels)
    loss = contrast(x, truth, 0.1, 0.07)
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert torch.equal(x.grad, torch.zeros_like(x))


def test_large_similarities_do_not_overflow() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    found = contrast(WORKED, labels, 1e-3, 1e-3)
    assert found.isfinite()


def batch(
    seed: int = 0, memory: MemoryBank | None = None, **fields: object
) -> tuple[PixelContrast, Tensor, Tensor, Tensor]:
    """Return settings, embedding [2, 8, 6, 5], logits [2, 3, 6, 5] and labels [2, 24, 20]."""
    generator = torch.Generator().manual_seed(seed)
    made = PixelContrast(max_views=4, samples=40, memory=memory, projection=Projection(width=8)).model_copy(
        update=fields
    )
    embedding, logits = (torch.randn(2, c, 6, 5, generator=generator) for c in (8, 3))
    labels = torch.randint(3, (2, 24, 20), generator=generator)
    return made, embedding, logits, labels.masked_fill(torch.rand(labels.shape, generator=generator) < 0.1, 255)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_gradient_reaches_the_drawn_pixels_alone_on_one_process(layout: torch.memory_format) -> None:
    made, embedding, logits, labels = batch()
    x = embedding.contiguous(memory_format=layout).requires_grad_()
    made.build_contrast(3)(x, logits, labels).backward()
    assert x.grad is not None
    reached = x.grad.abs().sum(1) > 0
    assert 0 < int(reached.sum()) <= 24
    assert not (reached & (resize_nearest(labels, (6, 5)) == 255)).any()
    assert x.grad.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_gather_takes_the_pixels_vectors_and_gives_them_their_gradient(layout: torch.memory_format) -> None:
    x = batch()[1].double().contiguous(memory_format=layout).requires_grad_()
    rows = torch.tensor([0, 31, 59, 31])
    flat = x.permute(0, 2, 3, 1).reshape(-1, 8)
    torch.testing.assert_close(gather_unit_vectors(x, rows), F.normalize(flat[rows].float(), dim=1))
    expected = torch.autograd.grad(F.normalize(flat[rows].float(), dim=1)[:, 0].sum(), x)[0]
    torch.testing.assert_close(torch.autograd.grad(gather_unit_vectors(x, rows)[:, 0].sum(), x)[0], expected)


@pytest.mark.parametrize(
    ("weight_schedule", "done", "share"),
    [
        (ConstantWeight(), 0.0, 1.0),
        (WeightWarmUp(length=0.2), 0.19, 0.0),
        (WeightWarmUp(length=0.2), 0.2, 1.0),
        (WeightWarmUp(length=0.2, form="linear"), 0.05, 0.25),
        (WeightWarmUp(length=0), 0.0, 1.0),
        (PolyWeight(power=2), 0.5, 0.25),
        (PolyWeight(power=2, direction="falling"), 0.25, 0.5625),
    ],
)
def test_the_course_scales_the_gradient_and_leaves_the_value(
    weight_schedule: WeightSchedule, done: float, share: float
) -> None:
    def run(chosen: WeightSchedule) -> tuple[Tensor, Tensor]:
        made, embedding, logits, labels = batch(weight_schedule=chosen)
        torch.manual_seed(0)
        x = embedding.requires_grad_()
        value = made.build_contrast(3)(x, logits, labels, done)
        value.backward()
        assert x.grad is not None
        return value.detach(), x.grad

    full, gradient = run(ConstantWeight())
    value, scaled = run(weight_schedule)
    torch.testing.assert_close(value, full)
    torch.testing.assert_close(scaled, share * gradient)


def test_a_batch_without_labels_gives_zero_and_a_zero_gradient() -> None:
    made, embedding, logits, labels = batch(memory=MemoryBank(pixels=3, regions=2))
    x = embedding.requires_grad_()
    loss = made.build_contrast(3)(x, logits, labels.fill_(255))
    loss.backward()
    assert loss.item() == 0
    assert x.grad is not None
    assert not x.grad.any()


def test_wrongly_predicted_pixels_are_half_of_the_anchors_where_there_are_enough() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    labels[:, 4:] = 1
    logits = F.one_hot(torch.arange(8) % 2, 2).T[None, :, None].expand(1, 2, 8, 8).float()
    x = torch.randn(1, 4, 8, 8).requires_grad_()
    PixelContrast(max_views=6, projection=Projection(width=4)).build_contrast(2)(x, logits, labels).backward()
    assert x.grad is not None
    reached = (x.grad.abs().sum(1) > 0)[0]
    wrong = logits.argmax(1)[0] != labels[0]
    assert int((reached & wrong).sum()) == int((reached & ~wrong).sum()) == 6


def test_without_mining_a_memory_is_all_used_and_mining_draws_from_its_difficult_part() -> None:
    torch.manual_seed(0)
    scores = torch.rand(3, 50)
    among = torch.rand(3, 50) < 0.6
    chosen = choose_hard(scores, among, 0.2, 4)
    for row, allowed, picked in zip(scores, among, chosen, strict=True):
        best = row.masked_fill(~allowed, -1).topk(math.ceil(0.2 * int(allowed.sum()))).indices
        assert int(picked.sum()) == min(4, len(best))
        assert set(picked.nonzero().flatten().tolist()) <= set(best.tolist())
    assert torch.equal(choose_hard(scores, among, 1.0, 50), among)
    assert not choose_hard(scores, torch.zeros_like(among), 0.5, 5).any()


def test_mining_with_room_for_all_is_no_mining() -> None:
    keys, labels = vectors(12, 4, 0), torch.tensor([0, 1, 2] * 4)
    every = SemiHard(fraction=1.0, positives=100, negatives=100)
    found = contrast(keys[:5], labels[:5], 0.1, 0.07, keys[5:], labels[5:], every)
    torch.testing.assert_close(found, contrast(keys[:5], labels[:5], 0.1, 0.07, keys[5:], labels[5:]))


def test_labels_are_taken_where_a_strided_convolution_has_its_centre() -> None:
    labels = torch.arange(64).view(1, 8, 8)
    assert resize_nearest(labels, (2, 4)).tolist() == [[[0, 2, 4, 6], [32, 34, 36, 38]]]
    expected = F.interpolate(labels[None].float(), size=(3, 5), mode="nearest")[0].long()
    assert torch.equal(resize_nearest(labels, (3, 5)), expected)
