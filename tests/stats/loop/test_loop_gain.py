"""What a loop gained is told by runs that decided nothing, at a cost that is known before."""

from __future__ import annotations

import pytest

from ablata.stats.loop import LoopRule, confirm_runs, honest_gain
from ablata.stats.loop.gain import MOST_CONFIRM_RUNS

RULE = LoopRule(margin=None, higher_is_better=True)


def test_a_gain_has_the_t_interval_of_the_pooled_noise() -> None:
    found = honest_gain(RULE, {1: 1.0, 2: 3.0}, {1: 6.0, 2: 8.0}, pools=[[0.0, 2.0], [5.0]])
    # Noise: variance 2 with 3 degrees of freedom, a little less since older ones count less; t 0.975 is 3.182.
    assert found.effect == 5
    assert found.interval == pytest.approx((5 - 3.182 * 2**0.5, 5 + 3.182 * 2**0.5), abs=0.005)
    assert (found.start_runs, found.best_runs) == (2, 2)
    with pytest.raises(ValueError, match="fresh runs"):
        honest_gain(RULE, {}, {1: 6.0}, pools=[[0.0, 2.0]])
    with pytest.raises(ValueError, match="two of them"):
        honest_gain(RULE, {1: 1.0}, {1: 6.0})


def test_runs_to_confirm_fall_with_the_square_of_the_gain() -> None:
    # 2 (1.96 / (0.1 x 10))^2 = 7.7
    assert [confirm_runs(gain, 1.0) for gain in (20.0, 10.0, 5.0)] == [2, 8, 31]
    assert confirm_runs(-10.0, 1.0) == 8
    assert confirm_runs(0.0, 1.0) == confirm_runs(0.5, 1.0) == MOST_CONFIRM_RUNS
    assert confirm_runs(10.0, 1.0, within=0.2) == 2
