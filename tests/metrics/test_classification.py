"""Classification scores against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, top_k_accuracy_score
from torch import Tensor

from ablata.metrics.classification import ClassificationScores


def data(count: int, classes: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, classes, generator=generator) * 2, torch.randint(classes, (count,), generator=generator)


def fed(logits: Tensor, labels: Tensor, parts: int = 1, **options) -> ClassificationScores:
    metric = ClassificationScores(logits.shape[1], **options)
    for some, their in zip(logits.chunk(parts), labels.chunk(parts), strict=True):
        metric.update(some, their)
    return metric


@settings(deadline=None)
@given(count=st.integers(1, 60), classes=st.integers(3, 9), seed=st.integers(0, 1000))
def test_scores_are_those_of_scikit_learn(count: int, classes: int, seed: int) -> None:
    logits, labels = data(count, classes, seed)
    scores = fed(logits, labels, ks=(1, 2, 5)).scores()
    names = np.arange(classes)
    for k in (1, 2, 5):
        if k < classes:
            expected = 100 * top_k_accuracy_score(labels, logits, k=k, labels=names)
            assert scores[f"top{k}"] == pytest.approx(expected)
    probabilities = logits.double().softmax(1)
    expected = log_loss(labels, probabilities / probabilities.sum(1, keepdim=True), labels=names)
    assert fed(logits.double(), labels, ks=(1,)).scores()["loss"] == pytest.approx(expected, rel=1e-9)
    # A loss near 0 is log(1 + small): float32 rounds the 1 + small, so the error is absolute.
    assert scores["loss"] == pytest.approx(expected, rel=1e-5, abs=2 * torch.finfo(torch.float32).eps)


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    logits, labels = data(200, 6)
    metric = fed(logits, labels, parts=3)
    assert np.array_equal(metric.confusion(), confusion_matrix(labels, logits.argmax(1)))


def test_class_accuracy_is_the_recall_and_an_absent_class_is_nan_and_listed() -> None:
    logits, labels = data(100, 5)
    kept = (labels != 1) & (labels != 3)
    metric = fed(logits[kept], labels[kept])
    accuracy = metric.class_accuracy()
    assert metric.absent() == [1, 3]
    assert accuracy.isnan().nonzero().flatten().tolist() == [1, 3]
    for c in (0, 2, 4):
        mine = labels == c
        assert accuracy[c].item() == pytest.approx(100 * (logits[mine].argmax(1) == c).double().mean().item())


@given(parts=st.integers(1, 10))
def test_the_batch_size_does_not_matter(parts: int) -> None:
    logits, labels = data(60, 6)
    whole, split = fed(logits, labels), fed(logits, labels, parts)
    assert torch.equal(whole.confusion(), split.confusion())
    assert whole.scores() == pytest.approx(split.scores(), rel=1e-12)


def test_states_of_two_processes_add_up_to_that_of_the_joined_data() -> None:
    logits, labels = data(70, 6)
    first, second, joined = fed(logits[:50], labels[:50]), fed(logits[50:], labels[50:]), ClassificationScores(6)
    joined.load_state({name: value + second.state()[name] for name, value in first.state().items()})
    assert joined.scores() == pytest.approx(fed(logits, labels).scores(), rel=1e-12)
    assert {value.dtype for value in joined.state().values()} == {torch.int64, torch.float64}


def test_a_million_small_losses_do_not_vanish_beside_a_large_one() -> None:
    metric = ClassificationScores(2)
    metric.load_state(metric.state() | {"loss": torch.tensor(1e9, dtype=torch.float64)})
    metric.update(torch.zeros(2, 2), torch.tensor([0, 1]))
    assert metric.state()["loss"].item() - 1e9 == pytest.approx(2 * math.log(2), rel=1e-6)


def test_counting_a_batch_reads_no_value_from_the_device() -> None:
    # Meta tensors have no values, so whatever would wait for one raises.
    metric = ClassificationScores(6, device="meta")
    metric.update(torch.empty(8, 6, device="meta"), torch.empty(8, dtype=torch.int64, device="meta"))
    with pytest.raises((RuntimeError, NotImplementedError)):
        metric.scores()


def test_ks_above_the_number_of_classes_are_left_out() -> None:
    assert list(fed(*data(10, 3)).scores()) == ["top1", "loss"]


def test_without_samples_the_scores_are_nan() -> None:
    metric = ClassificationScores(6)
    metric.update(torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))
    assert all(math.isnan(value) for value in metric.scores().values())


def test_logits_that_are_all_nan_score_no_better_than_chance() -> None:
    labels = torch.arange(10).repeat(10)
    scores = fed(torch.full((100, 10), math.nan), labels).scores()
    assert scores["top1"] == 10
    assert math.isnan(scores["loss"])
