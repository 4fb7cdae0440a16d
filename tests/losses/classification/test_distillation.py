"""Distillation against plain formulas, its gradients, and what label and teacher come to together."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ablata.losses.classification.distillation import Distillation, DistillationLoss


def loss(**settings: object) -> DistillationLoss:
    return Distillation(**settings).build()  # type: ignore[arg-type]


def drawn(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Student logits, the teacher's distribution, and one-hot labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(6, 5, generator=generator, dtype=torch.float64)
    teacher = torch.randn(6, 5, generator=generator, dtype=torch.float64).softmax(1)
    labels = torch.randint(5, (6,), generator=generator)
    return logits, teacher, F.one_hot(labels, 5).double()


def gradient(criterion: DistillationLoss, logits: Tensor, teacher: Tensor, target: Tensor | None = None) -> Tensor:
    leaf = logits.clone().requires_grad_()
    torch.stack(list(criterion(leaf, teacher, target).values())).sum().backward()
    assert leaf.grad is not None
    return leaf.grad


def test_kl_is_torch_s_kl_divergence() -> None:
    logits, teacher, _ = drawn()
    expected = F.kl_div(logits.log_softmax(1), teacher, reduction="batchmean")
    torch.testing.assert_close(loss()(logits, teacher)["distillation"], expected)


def test_cross_entropy_is_kl_and_the_teacher_s_entropy() -> None:
    logits, teacher, _ = drawn()
    entropy = -(teacher * teacher.log()).sum(1).mean()
    found = loss(divergence="cross_entropy")(logits, teacher)["distillation"]
    torch.testing.assert_close(found, F.cross_entropy(logits, teacher))
    torch.testing.assert_close(found, loss()(logits, teacher)["distillation"] + entropy)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_a_student_equal_to_its_teacher_has_the_teacher_s_entropy_and_no_gradient(temperature: float) -> None:
    logits, _, _ = drawn()
    teacher = (logits / temperature).softmax(1)
    entropy = -(teacher * teacher.log()).sum(1).mean()
    for divergence, expected in (("kl", 0.0 * entropy), ("cross_entropy", temperature**2 * entropy)):
        criterion = loss(divergence=divergence, temperature=temperature)
        torch.testing.assert_close(criterion(logits, teacher)["distillation"], expected, atol=1e-12, rtol=1e-9)
        assert gradient(criterion, logits, teacher).abs().max() < 1e-12


def test_the_temperature_softens_both_and_its_square_keeps_the_gradient_s_size() -> None:
    logits, teacher_logits = drawn()[0], drawn(1)[0]
    soft = (teacher_logits / 3).softmax(1)
    by_hand = 9 * F.kl_div((logits / 3).log_softmax(1), soft, reduction="batchmean")
    torch.testing.assert_close(loss(temperature=3.0)(logits, soft)["distillation"], by_hand)
    hot = 1000.0
    # Hinton et al. 2015, equation 4: at a high temperature, centred logits are matched, each with a weight of 1 / K.
    centred = (logits - logits.mean(1, keepdim=True)) - (teacher_logits - teacher_logits.mean(1, keepdim=True))
    found = gradient(loss(temperature=hot), logits, (teacher_logits / hot).softmax(1))
    torch.testing.assert_close(found, centred / 5 / 6, rtol=1e-2, atol=1e-4)


def test_sharpening_changes_what_the_teacher_is_asked_for_alone() -> None:
    assert loss(temperature=2.0, sharpening=0.5).teacher_temperature == 1.0
    assert loss(sharpening=0.25).teacher_temperature == 0.25


@pytest.mark.parametrize("divergence", ["kl", "cross_entropy"])
def test_sums_of_labels_and_of_losses_have_one_gradient_at_temperature_one(divergence: str) -> None:
    logits, teacher, target = drawn()
    grads = [
        gradient(loss(label_weight=0.3, combine=combine, divergence=divergence), logits, teacher, target)
        for combine in ("labels", "losses")
    ]
    torch.testing.assert_close(*grads)
    values = [
        sum(loss(label_weight=0.3, combine=combine, divergence="cross_entropy")(logits, teacher, target).values())
        for combine in ("labels", "losses")
    ]
    torch.testing.assert_close(*values)


def test_sums_of_labels_and_of_losses_differ_at_another_temperature() -> None:
    logits, teacher, target = drawn()
    first, second = (
        gradient(loss(label_weight=0.3, combine=combine, temperature=2.0), logits, teacher, target)
        for combine in ("labels", "losses")
    )
    assert (first - second).abs().max() > 1e-3


def test_gradients_of_both_divergences_agree() -> None:
    logits, teacher, target = drawn()
    for combine, temperature in itertools.product(("labels", "losses"), (1.0, 3.0)):
        found = [
            gradient(
                loss(divergence=one, label_weight=0.4, combine=combine, temperature=temperature),
                logits,
                teacher,
                target,
            )
            for one in ("kl", "cross_entropy")
        ]
        torch.testing.assert_close(*found)


def test_no_gradient_reaches_the_teacher() -> None:
    logits, teacher, _ = drawn()
    asked = teacher.clone().requires_grad_()
    assert not loss()(logits, asked)["distillation"].requires_grad


def test_half_precision_logits_are_compared_in_single_precision() -> None:
    logits, teacher, _ = drawn()
    assert loss()(logits.bfloat16(), teacher.float())["distillation"].dtype == torch.float32


def test_a_label_s_weight_needs_labels() -> None:
    logits, teacher, _ = drawn()
    with pytest.raises(ValueError, match="target"):
        loss(label_weight=0.5)(logits, teacher)
