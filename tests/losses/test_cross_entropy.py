"""Cross-entropy against torch's and against its formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ablata.losses.cross_entropy import CrossEntropy


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
        values.append(loss(x, labels, partner, weight, form=form))
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
    mixed = loss(logits, labels, partner, torch.ones(6), form=form)
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
