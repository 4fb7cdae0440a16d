"""Batch-hard triplets against loops over all pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablata.losses.embedding.triplet import Triplet


def batch(labels: list[int], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), 3, generator=generator, dtype=torch.float64), torch.tensor(labels)


def by_loops(features: torch.Tensor, labels: torch.Tensor, margin: float | None) -> float:
    losses = []
    for anchor in range(len(labels)):
        positives, negatives = [], []
        for other in range(len(labels)):
            distance = math.dist(features[anchor].tolist(), features[other].tolist())
            if labels[other] != labels[anchor]:
                negatives.append(distance)
            elif other != anchor:
                positives.append(distance)
        if positives and negatives:
            gap = max(positives) - min(negatives)
            losses.append(math.log1p(math.exp(gap)) if margin is None else max(gap + margin, 0.0))
    return sum(losses) / max(len(losses), 1)


@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=12), margin=st.sampled_from([None, 0.3, 2.0]))
def test_the_loss_is_that_of_loops_over_all_pairs(labels: list[int], margin: float | None) -> None:
    features, targets = batch(labels)
    loss = Triplet(margin=margin).build()(features, targets)
    assert loss.item() == pytest.approx(by_loops(features, targets, margin))


@pytest.mark.parametrize("margin", [None, 0.5])
def test_the_gradient_is_that_of_the_formula(margin: float | None) -> None:
    features, labels = batch([0, 0, 1, 1, 1, 2])
    loss = Triplet(margin=margin).build()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), features.requires_grad_())


def test_an_anchor_without_a_partner_or_a_stranger_does_not_count() -> None:
    features, labels = batch([0, 0, 1])
    with_stranger = Triplet().build()(features, labels)
    expected = [by_loops(features, labels, None)]
    assert with_stranger.item() == pytest.approx(expected[0])
    assert Triplet().build()(*batch([0, 0, 0])).item() == 0
    assert Triplet().build()(*batch([0, 1, 2])).item() == 0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 1, 2, 3], [0, 0, 0, 0]])
def test_gradients_are_finite_where_all_features_are_one_point(labels: list[int]) -> None:
    features = torch.ones(4, 3, requires_grad=True)
    Triplet().build()(features, torch.tensor(labels)).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_a_collapsed_network_pays_ln_two_or_the_margin() -> None:
    features, labels = torch.ones(6, 2), torch.tensor([0, 0, 1, 1, 2, 2])
    assert Triplet().build()(features, labels).item() == pytest.approx(math.log(2))
    assert Triplet(margin=0.3).build()(features, labels).item() == pytest.approx(0.3)


def test_distances_are_taken_in_thirty_two_bits_under_autocast() -> None:
    features, labels = batch([0, 0, 1, 1, 2, 2])
    features = features.float() + 100
    plain = Triplet().build()(features, labels)
    with torch.autocast("cpu", torch.bfloat16):
        found = Triplet().build()(features, labels)
        rounded = Triplet().build()(features.bfloat16(), labels)
    assert found.dtype == rounded.dtype == torch.float32
    assert found.item() == plain.item()
