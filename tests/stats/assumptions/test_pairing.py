"""How far runs of the same seed move together."""

import numpy as np
import pytest

from ablata.stats import draw_many
from ablata.stats.assumptions.pairing import measured_pairing


def test_one_arms_pairing_is_the_correlation_with_fishers_interval():
    table = np.random.default_rng(0).standard_normal((12, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    found = measured_pairing(table)
    r = np.corrcoef(table.T)[0, 1]
    assert found.correlation == pytest.approx(r)
    assert (found.low, found.high) == pytest.approx(tuple(np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.2816 / 3)))


@pytest.mark.parametrize("true", [0.0, 0.5])
def test_the_interval_of_several_arms_covers_as_often_as_it_says(true):
    rng = np.random.default_rng(1)
    scores = draw_many(1_000, [0.0] * 4, seeds=10, noise=(1 - true) ** 0.5, shared=true**0.5, rng=rng)
    found = [measured_pairing(table) for table in scores]
    assert 0.77 < np.mean([one.low <= true <= one.high for one in found]) < 0.88
    paired, unpaired = (np.mean([getattr(one, name) for one in found]) for name in ("is_paired", "is_unpaired"))
    assert (paired > 0.8 and unpaired < 0.05) if true else (paired < 0.15 and unpaired > 0.4)


def test_missing_runs_are_left_out_and_too_few_seeds_say_nothing():
    table = np.random.default_rng(2).standard_normal((6, 3))
    table[3:, 1] = np.nan
    assert measured_pairing(table).arms == 1
    assert measured_pairing(table[:3]) is None
    assert measured_pairing(np.ones((6, 2))) is None
    with pytest.raises(ValueError, match="1 \\+ arms"):
        measured_pairing([1.0, 2.0])
