"""Curves as the board draws them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ablata.board.curves import CurveChoice, curves_section, smoothed, thinned
from ablata.reports.run_views import ArmCurves, CurveView, SeriesView


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


def test_a_spike_of_one_step_among_many_is_drawn_smoothed_by_its_whole_past() -> None:
    steps = 5000
    values = tuple(100.0 if step == 3333 else 1.0 + 0.01 * (step % 7) for step in range(steps))
    line = SeriesView(seed=0, x=tuple(map(float, range(steps))), y=values, state="completed")
    curve = CurveView(name="train/loss", arms=(ArmCurves(arm="a", series=(line,)),))
    for smooth, greatest in ((0.0, 100.0), (0.9, max(smoothed(values, 0.9)))):
        section = curves_section([curve], CurveChoice(smooth=smooth), action="/", seconds={})
        assert section is not None
        assert section.values[0][-1] == f"{greatest:.5g}"
    assert max(y for _, y in thinned(line.x, line.y, 400)) == 100.0


def test_figures_that_are_none_do_not_hide_the_extremes() -> None:
    values = (1.0, float("nan"), 5.0, -2.0, float("nan"), 3.0)
    assert [y for _, y in thinned(range(6), values, 2)] == [5.0, -2.0]
