"""Cross-entropy against torch's and against its formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ablata.losses.classification.cross_entropy import CrossEntropy


def batch(classes: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, classes, generator=generator, dtype=torch.float64) * 3
    labels, partner = (torch.randint(classes, (6,), generator=generator) for _ in range(2))
    return logits, labels, partner, torch.rand(6, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_give_torchs_loss(smoothing: float) -> None:
    logits, labels, *_ = batch()
    loss = CrossEntropy(smoothing=smoothing).build()(logits, labels)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_smoothing_puts_s_over_classes_off_the_label_and_the_rest_on_it() -> None:
    logits, labels, *_ = batch()
    s = 0.2
    target = torch.full((6, 5), s / 5, dtype=torch.float64)
    target[torch.arange(6), labels] = 1 - s + s / 5
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(CrossEntropy(smoothing=s).build()(logits, labels), expected)


@given(smoothing=st.floats(0, 0.9), classes=st.integers(2, 8))
def test_both_forms_of_two_labels_agree_in_value_and_gradient(smoothing: float, classes: int) -> None:
    logits, labels, partner, weight = batch(classes)
    loss = CrossEntropy(smoothing=smoothing).build()
    values, gradients = [], []
    for form in ("labels", "losses"):
        x = logits.clone().requires_grad_()
        values.append(loss(x, labels, partner, weight, mix_target=form))
        values[-1].backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


def test_two_labels_weigh_as_their_shares_also_where_they_are_equal() -> None:
    logits, labels, partner, weight = batch()
    partner[0] = labels[0]
    target = torch.zeros(6, 5, dtype=torch.float64)
    for row in range(6):
        target[row, labels[row]] += weight[row]
        target[row, partner[row]] += 1 - weight[row]
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(CrossEntropy().build()(logits, labels, partner, weight), expected)


@pytest.mark.parametrize("form", ["labels", "losses"])
def test_a_share_of_one_is_the_loss_without_partner(form: str) -> None:
    logits, labels, partner, _ = batch()
    loss = CrossEntropy(smoothing=0.1).build()
    mixed = loss(logits, labels, partner, torch.ones(6), mix_target=form)
    torch.testing.assert_close(mixed, loss(logits, labels))


def test_logits_of_sixteen_bits_are_summed_in_thirty_two() -> None:
    logits, labels, partner, weight = batch()
    loss = CrossEntropy().build()
    for arguments in ((labels,), (labels, partner, weight)):
        found = loss(logits.bfloat16(), *arguments)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, loss(logits.bfloat16().float(), *arguments))


def test_a_partner_without_its_share_is_refused() -> None:
    logits, labels, partner, _ = batch()
    with pytest.raises(ValueError, match="together"):
        CrossEntropy().build()(logits, labels, partner)


NOTED = [(0.9, 0.0001), (0.95, 0.00005), (0.9, 0.00005)]


@pytest.mark.parametrize(("on", "off"), NOTED)
def test_a_pair_is_the_target_on_the_label_and_off_it_whatever_it_adds_up_to(on: float, off: float) -> None:
    logits, labels, partner, weight = batch(10)
    pair = CrossEntropy(on=on, off=off)
    target = torch.full((6, 10), off, dtype=torch.float64)
    target[torch.arange(6), labels] = on
    torch.testing.assert_close(pair.build().target(labels, 10, dtype=torch.float64), target)
    assert target.sum(1)[0] != 1
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(pair.build()(logits, labels), expected)
    torch.testing.assert_close(expected, F.cross_entropy(logits, target))
    other = torch.full((6, 10), off, dtype=torch.float64)
    other[torch.arange(6), partner] = on
    both = weight[:, None] * target + (1 - weight[:, None]) * other
    mixed = pair.build()(logits, labels, partner, weight)
    torch.testing.assert_close(mixed, F.cross_entropy(logits, both))


def test_a_pair_with_the_values_of_the_smoothing_is_the_smoothing() -> None:
    logits, labels, *_ = batch()
    pair = CrossEntropy(on=0.92, off=0.02).build()(logits, labels)
    torch.testing.assert_close(pair, CrossEntropy(smoothing=0.1).build()(logits, labels))


@settings(max_examples=25)
@given(
    fields=st.sampled_from([{}, {"smoothing": 0.1}, *({"on": on, "off": off} for on, off in NOTED)]),
    mixed=st.booleans(),
    alpha=st.floats(0.1, 1),
)
def test_kl_is_cross_entropy_less_the_entropy_of_the_target_with_the_same_gradient(
    fields: dict[str, float], mixed: bool, alpha: float
) -> None:
    logits, labels, partner, _ = batch()
    weight = torch.linspace(0, alpha, 6, dtype=torch.float64)
    arguments = (labels, partner, weight) if mixed else (labels,)
    values, gradients = [], []
    for divergence in ("cross_entropy", "kl"):
        loss = CrossEntropy(divergence=divergence, **fields).build()
        x = logits.clone().requires_grad_()
        values.append(loss(x, *arguments))
        values[-1].backward()
        gradients.append(x.grad)
    target = loss.target(labels, 5, *arguments[1:], dtype=torch.float64)
    entropy = -torch.xlogy(target, target).sum(1).mean()
    torch.testing.assert_close(values[0] - values[1], entropy)
    torch.testing.assert_close(*gradients)


def test_kl_is_torchs_and_zero_where_the_network_says_the_target() -> None:
    logits, labels, partner, weight = batch()
    loss = CrossEntropy(smoothing=0.2, divergence="kl").build()
    target = loss.target(labels, 5, partner, weight, torch.float64)
    expected = F.kl_div(logits.log_softmax(1), target, reduction="batchmean")
    torch.testing.assert_close(loss(logits, labels, partner, weight), expected)
    assert loss(target.log(), labels, partner, weight).item() == pytest.approx(0, abs=1e-12)


def test_mixed_losses_of_kl_have_the_gradient_of_mixed_labels_and_another_value() -> None:
    logits, labels, partner, weight = batch()
    loss = CrossEntropy(smoothing=0.1, divergence="kl").build()
    values, gradients = [], []
    for form in ("labels", "losses"):
        x = logits.clone().requires_grad_()
        values.append(loss(x, labels, partner, weight, mix_target=form))
        values[-1].backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients)
    assert values[1] > values[0]


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"on": 0.9}, "together"), ({"off": 0.1}, "together"), ({"on": 0.9, "off": 0.1, "smoothing": 0.1}, "smoothing=0")],
)
def test_a_pair_is_whole_and_stands_alone(fields: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CrossEntropy(**fields)


def test_class_weights_are_torchs_weighted_mean_and_follow_mixed_labels() -> None:
    logits, labels, partner, lam = batch()
    weights = torch.tensor([0.5, 2.0, 1.0, 0.0, 3.0], dtype=torch.float64)
    loss = CrossEntropy(weights=tuple(weights.tolist())).build()
    torch.testing.assert_close(loss(logits, labels), F.cross_entropy(logits, labels, weights))
    one = torch.ones_like(lam)
    torch.testing.assert_close(loss(logits, labels, partner, one), loss(logits, labels))
    torch.testing.assert_close(loss(logits, labels, partner, 0 * one, "losses"), loss(logits, partner))
    even = CrossEntropy(weights=(1.0,) * 5).build()
    torch.testing.assert_close(even(logits, labels, partner, lam), CrossEntropy().build()(logits, labels, partner, lam))
    with pytest.raises(ValueError, match="numbers in the order"):
        CrossEntropy(weights="sqrt").build()
