from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from ablata.data.classification.digits import _shipped


def test_the_shipped_file_holds_what_the_library_returns() -> None:
    pixels, labels = _shipped()
    expected_pixels, expected_labels = load_digits(return_X_y=True)
    np.testing.assert_array_equal(pixels, expected_pixels)
    np.testing.assert_array_equal(labels, expected_labels)
    assert (pixels.dtype, labels.dtype) == (np.float64, np.int64)
