"""The boundary F-score against its definition pixel by pixel, and drawings whose score is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ablata.metrics.boundary import BoundaryScores


def fed(predicted: Tensor, labels: Tensor, classes: int, tolerance: float = 0.0075) -> BoundaryScores:
    metric = BoundaryScores(classes, tolerance=tolerance)
    metric.update(predicted, labels)
    return metric


def outline(ids: np.ndarray, valid: np.ndarray, label: int) -> list[tuple[int, int]]:
    """The definition in words, pixel by pixel."""
    height, width = ids.shape
    found = []
    for y in range(height):
        for x in range(width):
            if ids[y, x] != label or not valid[y, x]:
                continue
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                inside = 0 <= y + dy < height and 0 <= x + dx < width
                if inside and valid[y + dy, x + dx] and ids[y + dy, x + dx] != label:
                    found.append((y, x))
                    break
    return found


def brute(guess: np.ndarray, truth: np.ndarray, label: int, tolerance: float) -> float | None:
    valid = truth != 255
    limit = tolerance * math.hypot(*truth.shape)
    guessed, true = outline(guess, valid, label), outline(truth, valid, label)
    if not guessed and not true:
        return None
    if not guessed or not true:
        return 0.0

    def share(points: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        return float(np.mean([min(math.dist(point, other) for other in others) <= limit + 1e-9 for point in points]))

    precision, recall = share(guessed, true), share(true, guessed)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 9999), tolerance=st.sampled_from([0.01, 0.1, 0.15, 0.25]), blocks=st.integers(1, 4))
def test_scores_are_those_of_the_definition(seed: int, tolerance: float, blocks: int) -> None:
    random = np.random.default_rng(seed)
    small = random.integers(0, 3, (2, 2, 4, 5))
    guess, truth = small.repeat(blocks, 2).repeat(blocks, 3)
    truth[random.random(truth.shape) < 0.1] = 255
    metric = fed(torch.from_numpy(guess), torch.from_numpy(truth), 3, tolerance)
    for label in range(3):
        each = [brute(one, other, label, tolerance) for one, other in zip(guess, truth, strict=True)]
        counted = [score for score in each if score is not None]
        expected = 100 * np.mean(counted) if counted else math.nan
        assert float(metric.class_scores()[label]) == pytest.approx(expected, nan_ok=True)


def square(left: int, side: int = 20) -> Tensor:
    image = torch.zeros(1, 60, 80, dtype=torch.int64)
    image[0, 20 : 20 + side, left : left + side] = 1
    return image


@pytest.mark.parametrize("apart", [0, 2, 3])
def test_an_outline_within_the_tolerance_is_found_and_one_beyond_it_is_not(apart: int) -> None:
    # The diagonal is 100 pixels, so a tolerance of 0.02 is 2 pixels.
    score = fed(square(30 + apart), square(30), 2, 0.02).scores()["boundary_f"]
    assert (score == 100) == (apart <= 2)


def test_a_class_that_only_one_side_has_scores_zero_and_one_that_none_has_is_left_out() -> None:
    nothing = torch.zeros(1, 60, 80, dtype=torch.int64)
    metric = fed(nothing, square(30), 3)
    assert metric.class_scores()[:2].tolist() == [0, 0]
    assert metric.class_scores()[2].isnan()
    assert math.isnan(fed(nothing, nothing, 3).scores()["boundary_f"])


def test_the_border_of_ignored_pixels_is_no_boundary() -> None:
    labels = torch.zeros(1, 60, 80, dtype=torch.int64)
    labels[0, 20:40, 30:50] = 255
    assert fed(torch.zeros_like(labels), labels, 2).class_scores().isnan().all()


def test_sums_of_processes_are_those_of_the_joined_inputs() -> None:
    predicted, labels = torch.cat([square(31), square(33)]), torch.cat([square(30), square(30)])
    whole = fed(predicted, labels, 2, 0.02)
    parts = [fed(predicted[rows], labels[rows], 2, 0.02).state() for rows in (slice(1), slice(1, 2))]
    joined = BoundaryScores(2)
    joined.load_state({name: parts[0][name] + parts[1][name] for name in parts[0]})
    torch.testing.assert_close(joined.class_scores(), whole.class_scores())


def test_predictions_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        fed(square(30)[:, :-1], square(30), 2)
