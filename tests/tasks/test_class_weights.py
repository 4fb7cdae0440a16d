"""Class weights of classifiers: by name, by number, or from the images of each class."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.base.errors import SettingsError
from ablata.losses.classification.binary_cross_entropy import BinaryCrossEntropy
from ablata.losses.classification.cross_entropy import CrossEntropy
from ablata.tasks.class_weights import with_label_weights

CLASSES, LABELS = ("ant", "bee", "fly"), np.array([0] * 8 + [1] * 2 + [-1])


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (None, None),
        ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0)),
        ({"bee": 4.0}, (1.0, 4.0, 1.0)),
        ("inverse", (0.4, 1.6, 0.0)),
        ("sqrt", (2 / 3, 4 / 3, 0.0)),
    ],
)
def test_weights_become_numbers_in_the_order_of_the_classes(given: object, made: object) -> None:
    loss = with_label_weights(CrossEntropy(weights=given), CLASSES, LABELS)
    assert loss.weights == (made if made is None else pytest.approx(made))
    assert with_label_weights(BinaryCrossEntropy(), CLASSES, LABELS) == BinaryCrossEntropy()


def test_weights_of_other_classes_are_refused() -> None:
    with pytest.raises(SettingsError, match="did you mean bee"):
        with_label_weights(CrossEntropy(weights={"be": 1.0}), CLASSES, LABELS)
    with pytest.raises(SettingsError, match="one weight for each class"):
        with_label_weights(CrossEntropy(weights=(1.0, 2.0)), CLASSES, LABELS)
