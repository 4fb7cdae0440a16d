"""Curves as the board draws them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ablata.board.curves import smoothed, thinned


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(2, 50))
def test_thinning_keeps_the_least_and_the_greatest_in_order(values: list[float], points: int) -> None:
    kept = thinned(range(len(values)), values, points)
    assert len(kept) <= max(points, 2)
    assert (min(y for _, y in kept), max(y for _, y in kept)) == (min(values), max(values))
    places = [x for x, _ in kept]
    assert places == sorted(set(places))
    assert all(values[int(x)] == y for x, y in kept)


def test_smoothing_is_the_corrected_average_of_the_past() -> None:
    values, weight = [3.0, 1.0, 4.0, 1.0, 5.0], 0.9
    wanted = []
    for end in range(1, len(values) + 1):
        shares = np.array([weight ** (end - 1 - at) for at in range(end)])
        wanted.append(float(shares @ np.array(values[:end]) / shares.sum()))
    assert np.allclose(smoothed(values, weight), wanted)
    assert smoothed(values, 0.0) == tuple(values)
