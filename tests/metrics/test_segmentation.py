"""Scores of segmentations against numpy.bincount, scikit-learn and brute force over pixels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score
from torch import Tensor

from ablata.base.errors import DataError
from ablata.metrics.segmentation import SegmentationScores


def inputs(classes: int, seed: int = 0, count: int = 3, ignore: int = 255) -> tuple[Tensor, Tensor]:
    """Return predictions and labels [count, 6, 7], about a fifth of the labels ignored."""
    generator = torch.Generator().manual_seed(seed)
    predicted, labels = (torch.randint(classes, (count, 6, 7), generator=generator) for _ in range(2))
    return predicted, labels.masked_fill(torch.rand(labels.shape, generator=generator) < 0.2, ignore)


def fed(predicted: Tensor, labels: Tensor, classes: int, ignore: int = 255) -> SegmentationScores:
    metric = SegmentationScores(classes, ignore)
    metric.update(predicted, labels)
    return metric


@settings(deadline=None, max_examples=40)
@given(classes=st.integers(2, 8), seed=st.integers(0, 1000), ignore=st.sampled_from([255, -1, 0, 1, -100, 65535]))
def test_counts_are_those_of_numpy_and_scores_those_of_scikit_learn(classes: int, seed: int, ignore: int) -> None:
    predicted, labels = inputs(classes, seed, ignore=ignore)
    metric = fed(predicted, labels, classes, ignore)
    kept = (labels != ignore).numpy()
    truth, guess = labels.numpy()[kept], predicted.numpy()[kept]
    expected = np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)
    assert metric.confusion().dtype == torch.int64
    assert np.array_equal(metric.confusion(), expected)
    seen = np.union1d(truth, guess)
    each = 100 * jaccard_score(truth, guess, labels=seen, average=None)
    np.testing.assert_allclose(metric.class_iou().numpy()[seen], each)
    assert metric.absent() == [c for c in range(classes) if c not in seen]
    assert metric.scores()["miou"] == pytest.approx(each.mean())
    assert metric.scores()["pixel_accuracy"] == pytest.approx(100 * (truth == guess).mean())
    accuracies = [100 * (guess[truth == c] == c).mean() for c in np.unique(truth)]
    assert metric.scores()["mean_accuracy"] == pytest.approx(np.mean(accuracies))


def test_every_integer_type_and_number_of_classes_counts_alike(subtests: pytest.Subtests) -> None:
    for classes, dtype in itertools.product([5, 200], [torch.uint8, torch.int16, torch.int32, torch.int64]):
        with subtests.test(dtype=dtype, classes=classes):
            predicted, labels = inputs(classes)
            metric = fed(predicted.to(dtype), labels.to(dtype), classes)
            kept = labels != 255
            codes = (labels * classes + predicted)[kept].numpy()
            assert np.array_equal(metric.confusion().flatten(), np.bincount(codes, minlength=classes**2))


def test_a_class_of_neither_truth_nor_prediction_is_nan_and_listed_and_not_in_the_mean() -> None:
    metric = fed(torch.tensor([[[0, 1, 1, 3]]]), torch.tensor([[[0, 0, 1, 1]]]), 4)
    assert metric.class_iou()[2].isnan()
    assert metric.class_iou()[3] == 0
    assert metric.absent() == [2]
    assert metric.scores()["miou"] == pytest.approx(100 * (1 / 2 + 1 / 3 + 0) / 3)


def test_sums_of_processes_are_the_sums_of_the_joined_inputs() -> None:
    predicted, labels = inputs(5)
    whole = fed(predicted, labels, 5)
    parts = [fed(predicted[rows], labels[rows], 5).state() for rows in (slice(1), slice(1, 3))]
    joined = SegmentationScores(5)
    joined.load_state({name: parts[0][name] + parts[1][name] for name in parts[0]})
    assert torch.equal(joined.confusion(), whole.confusion())
    assert joined.scores() == whole.scores()


def test_the_state_that_was_loaded_is_not_changed_by_later_inputs() -> None:
    metric, other = fed(*inputs(5), 5), SegmentationScores(5)
    before = metric.confusion()
    other.load_state(metric.state())
    other.update(*inputs(5, 1))
    assert torch.equal(metric.confusion(), before)


def test_nothing_that_counts_is_nan_and_lists_every_class() -> None:
    predicted, labels = inputs(3)
    for metric in (SegmentationScores(3), fed(predicted, labels.fill_(255), 3)):
        assert all(np.isnan(value) for value in metric.scores().values())
        assert metric.absent() == [0, 1, 2]


@pytest.mark.parametrize("odd", [3, 254, -1, 65536, 2**40, -(2**33)])
def test_ids_that_are_no_class_are_refused(odd: int) -> None:
    predicted, labels = inputs(3, count=1)
    labels[0, 0, 0], predicted[0, 1, 1], labels[0, 1, 1] = odd, 0, 0
    with pytest.raises(DataError, match="1 pixels with another label, 0 with another prediction"):
        fed(predicted, labels, 3).scores()
    labels[0, 0, 0], predicted[0, 1, 1] = 0, odd
    with pytest.raises(DataError, match="0 pixels with another label, 1 with another prediction"):
        fed(predicted, labels, 3).scores()


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        SegmentationScores(3).update(torch.zeros(1, 2, 3, dtype=torch.int64), torch.zeros(1, 4, 6, dtype=torch.int64))


def test_images_larger_than_a_piece_and_empty_batches_are_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    predicted, labels = (torch.randint(3, (2, 211, 307), generator=generator) for _ in range(2))
    metric = fed(predicted, labels, 3)
    metric.update(predicted[:0], labels[:0])
    assert np.array_equal(metric.confusion().flatten(), np.bincount((labels * 3 + predicted).flatten()))


def test_an_ignored_label_that_needs_too_long_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`ignore` must be in \[-256, 65535\]"):
        SegmentationScores(3, ignore=2**20)
