"""Average precision of single images: that of the whole evaluation of each image alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ablata.metrics.average_precision import COCO_THRESHOLDS, DetectionScores
from ablata.metrics.detection_items import image_precisions

_spec = importlib.util.spec_from_file_location("ap", Path(__file__).with_name("test_average_precision.py"))
assert _spec is not None
assert _spec.loader is not None
_ap = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_ap)


def test_each_image_has_what_the_evaluation_gives_it_alone() -> None:
    for seed, thresholds, most in ((0, COCO_THRESHOLDS, 100), (1, (0.5,), 3)):
        truth, found = _ap.random_set(seed, images=20)
        scores = DetectionScores(_ap.CLASSES, [(_ap.SIZE, objects) for objects in truth])
        for place, one in enumerate(found):
            scores.update(place, one)
        values = image_precisions(scores, truth, thresholds, most)
        expected = []
        for objects, one in zip(truth, found, strict=True):
            alone = DetectionScores(_ap.CLASSES, [(_ap.SIZE, objects)])
            alone.update(0, one)
            # A class of crowds alone has no object, and counts for nothing.
            expected.append(alone.score("box", thresholds, most).mean())
        np.testing.assert_allclose(values, expected, atol=1e-9)
        assert np.isnan(values).any()
        assert 0 < np.nanmean(values) < 100
    assert np.isnan(image_precisions(DetectionScores(1, []), [], (0.5,))).all()


def test_what_is_found_first_counts_most() -> None:
    truth = [(0, 0, False), (0, 5, False)]
    for found, value in (
        ([(0, 0, 0.9), (0, 5, 0.8), (0, 9, 0.7)], 100.0),
        ([(0, 9, 0.9), (0, 0, 0.8), (0, 5, 0.7)], 100 * 2 / 3),
        ([(0, 9, 0.9)], 0.0),
        ([], 0.0),
    ):
        scores = _ap.scored(truth, found)
        objects = [one for _, one in scores._images]
        assert image_precisions(scores, objects, (0.5,)).tolist() == pytest.approx([value])
