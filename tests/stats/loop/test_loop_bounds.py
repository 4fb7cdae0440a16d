"""The lines of a loop's rule: levels by recursive integration equal brute force and the tables of the books."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.loop.bounds import BOUNDS, SCALES, Bounds, constant_for, course, level_at, scale_of
from ablata.stats.loop.noise import information
from ablata.stats.loop.rule import LEVELS, MOST_RUNS, LoopMode

ENDLESS = 10**9


@pytest.mark.parametrize(("looks", "constant"), [(5, 2.040), (10, 2.087)])
def test_without_lower_line_and_slope_the_constants_are_those_of_obrien_and_fleming(
    looks: int, constant: float
) -> None:
    # Jennison and Turnbull 2000, table 2.3: 2.5% a side; of five looks the first keeps next to nothing.
    plain = Bounds(ENDLESS, ENDLESS, 0.0, 0.0, 0.0, 0.0, 0.0)
    found = course(plain, constant * looks**0.5, looks, drops=False)
    assert found.kept.sum() == pytest.approx(0.025, abs=1e-4)


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_a_course_is_what_many_proposals_drawn_run_by_run_do(drift: float) -> None:
    bounds, looks, paths = BOUNDS[LoopMode.PROGRESS], 6, 40_000
    rng = np.random.default_rng(4)
    kept, reached, live = np.zeros(looks), np.zeros(looks), np.ones(paths, dtype=bool)
    total, before = np.zeros(paths), 0.0
    for look in range(looks):
        beside = bounds.baseline_for(look + 1) if look else bounds.base_runs
        info = float(information(look + 1, beside))
        total += drift * (info - before) + np.sqrt(info - before) * rng.standard_normal(paths)
        before, reached[look] = info, live.mean()
        up = live & (total >= bounds.keep(info, 2.0)) & (look > 0)
        kept[look] = up.mean()
        live &= ~up & (total > bounds.drop(info, look + 1))
    found = course(bounds, 2.0, looks, drift=drift)
    assert found.kept == pytest.approx(kept, abs=0.006)
    assert found.reached == pytest.approx(reached, abs=0.008)
    assert found.kept[0] == 0, "one run keeps nothing"


def test_constants_and_levels_are_inverse_and_hold_for_every_size_of_the_baseline() -> None:
    for mode in LoopMode:
        bounds, most = BOUNDS[mode], MOST_RUNS[mode]
        constants = constant_for(bounds, [0.2, 0.035, 1e-3, 1e-6], most)
        assert (np.diff(constants) > 0).all()
        for level, constant in zip((0.035, 1e-3), constants[1:3], strict=True):
            assert level_at(bounds, float(constant), most) == pytest.approx(level, rel=1e-6)
            for baseline in (bounds.base_runs, 9, bounds.base_most):
                kept = course(bounds, float(constant), most, baseline=baseline).kept.sum()
                assert kept <= 1.03 * level
        assert constant_for(bounds, 0.035, most, drops=False) > constants[1], "giving up early pays for the rest"


def test_a_useless_proposal_costs_two_runs_and_a_helpful_one_is_found_in_half_of_cases() -> None:
    bounds, most = BOUNDS[LoopMode.PROGRESS], MOST_RUNS[LoopMode.PROGRESS]
    constant = float(constant_for(bounds, LEVELS[LoopMode.PROGRESS], most))
    useless, helpful, harmful = (course(bounds, constant, most, drift=drift) for drift in (0.0, 1.0, -1.0))
    assert useless.runs < 2
    assert harmful.runs < 1.15
    assert harmful.kept.sum() < 2e-4
    assert 0.4 < helpful.kept.sum() < 0.7
    assert course(bounds, constant, most, drift=2.0).kept.sum() > 0.9


def test_a_margin_above_the_noise_sets_the_effect_that_is_sought() -> None:
    cases = ((None, 1.0, 1.0), (0.5, 1.0, 1.0), (1.3, 1.0, 1.25), (100.0, 1.0, SCALES[-1]), (1.0, 0.0, 1.0))
    for margin, sd, scale in cases:
        assert scale_of(margin, sd) == scale
    bounds, most = BOUNDS[LoopMode.PROGRESS], MOST_RUNS[LoopMode.PROGRESS]
    small, large = (float(constant_for(bounds, 0.035, most, scale=scale)) for scale in (1.0, SCALES[-1]))
    # An effect of one standard deviation, where nearly four are sought: given up soon.
    few = course(bounds, large, most, drift=1 / SCALES[-1], scale=SCALES[-1]).runs
    assert few < 0.6 * course(bounds, small, most, drift=1.0).runs
