"""Losses against labels: against their formulas, each other and other people's code."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from timm.loss import BinaryCrossEntropy as TimmBinary

from ablata.losses.classification.any import AnyLabelLoss
from ablata.losses.classification.binary_cross_entropy import BinaryCrossEntropy
from ablata.losses.classification.bootstrap import Bootstrap
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.losses.classification.logit_penalty import LogitPenalty

Arguments = tuple[torch.Tensor, ...]


def batch(classes: int = 7, mixed: bool = True, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, Arguments]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, classes, generator=generator, dtype=dtype) * 3
    labels, partner = (torch.randint(classes, (6,), generator=generator) for _ in range(2))
    weight = torch.rand(6, generator=generator, dtype=dtype)
    return logits, (labels, partner, weight) if mixed else (labels,)


def value_and_gradient(
    loss: AnyLabelLoss, logits: torch.Tensor, arguments: Arguments, form: str = "labels"
) -> tuple[torch.Tensor, torch.Tensor]:
    x = logits.clone().requires_grad_()
    value = loss.build()(x, *arguments, mix_target=form)
    value.backward()
    assert x.grad is not None
    return value.detach(), x.grad


@settings(max_examples=20)
@given(
    fields=st.sampled_from(
        [{}, {"smoothing": 0.1}, {"on": 0.9, "off": 0.0001}, {"smoothing": 0.3, "divergence": "kl"}]
    ),
    mixed=st.booleans(),
    form=st.sampled_from(["labels", "losses"]),
    classes=st.integers(2, 1000),
)
def test_three_implementations_agree_in_value_and_gradient_to_a_millionth(
    fields: dict[str, float], mixed: bool, form: str, classes: int
) -> None:
    logits, arguments = batch(classes, mixed, torch.float32)
    fused, autograd, custom = (
        value_and_gradient(CrossEntropy(implementation=name, **fields), logits, arguments, form)
        for name in ("fused", "autograd", "custom")
    )
    for other in (autograd, custom):
        torch.testing.assert_close(other[0], fused[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(other[1], fused[1], rtol=1e-6, atol=1e-6)


def test_the_gradient_by_hand_is_that_of_finite_differences() -> None:
    logits, arguments = batch()
    loss = CrossEntropy(smoothing=0.1, implementation="custom").build()
    assert torch.autograd.gradcheck(lambda x: loss(x, *arguments), logits.requires_grad_())


@pytest.mark.parametrize("mixed", [False, True])
def test_bootstrapping_corrects_the_target_by_the_prediction(mixed: bool) -> None:
    logits, arguments = batch(mixed=mixed)
    target = CrossEntropy(smoothing=0.1).build().target(arguments[0], 7, *arguments[1:], dtype=torch.float64)
    p = logits.softmax(1)
    soft = Bootstrap(form="soft", beta=0.95, smoothing=0.1).build()(logits, *arguments)
    torch.testing.assert_close(soft, -((0.95 * target + 0.05 * p) * p.log()).sum(1).mean())
    hard = Bootstrap(smoothing=0.1).build()(logits, *arguments)
    likeliest = -p.amax(1).log().mean()
    torch.testing.assert_close(hard, -0.8 * (target * p.log()).sum(1).mean() + 0.2 * likeliest)


def test_soft_bootstrapping_lowers_the_entropy_of_the_prediction_too() -> None:
    logits, arguments = batch(mixed=False)
    x = logits.clone().requires_grad_()
    p = x.softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    (0.95 * F.cross_entropy(x, arguments[0]) + 0.05 * entropy).backward()
    _, gradient = value_and_gradient(Bootstrap(form="soft", beta=0.95), logits, arguments)
    torch.testing.assert_close(gradient, x.grad)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_penalty_adds_the_squared_logits(mixed: bool) -> None:
    logits, arguments = batch(mixed=mixed)
    plain = CrossEntropy(smoothing=0.1).build()(logits, *arguments)
    found = LogitPenalty(smoothing=0.1, weight=0.01).build()(logits, *arguments)
    torch.testing.assert_close(found, plain + 0.01 * logits.square().sum() / len(logits))


@pytest.mark.parametrize("threshold", [None, 0.2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_binary_cross_entropy_is_timms(threshold: float | None, reduction: str) -> None:
    logits, (labels,) = batch(mixed=False)
    reference = TimmBinary(smoothing=0.1, target_threshold=threshold, sum_classes=reduction == "sum")
    found = BinaryCrossEntropy(smoothing=0.1, threshold=threshold, reduction=reduction).build()
    torch.testing.assert_close(found(logits, labels), reference(logits, labels))


def test_binary_cross_entropy_of_mixed_images_is_against_both_labels() -> None:
    logits, (labels, partner, weight) = batch()
    target = torch.zeros(6, 7, dtype=torch.float64)
    for row in range(6):
        target[row, labels[row]] += weight[row]
        target[row, partner[row]] += 1 - weight[row]
    expected = F.binary_cross_entropy_with_logits(logits, target)
    torch.testing.assert_close(BinaryCrossEntropy().build()(logits, labels, partner, weight), expected)
    whole = F.binary_cross_entropy_with_logits(logits, (target > 0).double())
    torch.testing.assert_close(BinaryCrossEntropy(threshold=0).build()(logits, labels, partner, weight), whole)


LINEAR = [Bootstrap(), Bootstrap(form="soft"), LogitPenalty(weight=0.1), BinaryCrossEntropy(smoothing=0.1)]


@pytest.mark.parametrize("loss", LINEAR, ids=lambda loss: f"{loss.kind}-{getattr(loss, 'form', '')}")
def test_both_forms_of_two_labels_agree_where_the_loss_is_linear_in_its_target(loss: AnyLabelLoss) -> None:
    logits, arguments = batch()
    for one, other in zip(
        value_and_gradient(loss, logits, arguments, "labels"),
        value_and_gradient(loss, logits, arguments, "losses"),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("loss", [Bootstrap(beta=1), Bootstrap(beta=1, form="soft"), LogitPenalty(weight=0)])
def test_switched_off_they_are_cross_entropy(loss: AnyLabelLoss) -> None:
    logits, arguments = batch()
    for one, other in zip(
        value_and_gradient(loss, logits, arguments),
        value_and_gradient(CrossEntropy(), logits, arguments),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


def test_a_threshold_below_the_smoothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="threshold >= smoothing"):
        BinaryCrossEntropy(smoothing=0.1, threshold=0)
