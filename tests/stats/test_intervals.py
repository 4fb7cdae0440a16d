import numpy as np
import pytest
import scipy.stats

from ablata.stats import mean_interval


def test_the_interval_of_a_mean_is_that_of_scipy():
    scores = np.array([71.2, 70.8, 72.0, 71.5])
    found = mean_interval(scores, level=0.9)
    reference = scipy.stats.ttest_1samp(scores, 0).confidence_interval(0.9)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    assert (found.seeds, found.mean) == (4, pytest.approx(scores.mean()))


def test_runs_that_did_not_finish_are_not_counted():
    assert mean_interval([1.0, float("nan"), 3.0]) == mean_interval([1.0, 3.0])


def test_one_seed_has_a_mean_and_no_interval_and_none_has_neither():
    one, none = mean_interval([2.0]), mean_interval([])
    assert (one.mean, one.sd, one.low, one.high) == (2.0, None, None, None)
    assert (none.seeds, none.mean) == (0, None)


def test_a_level_out_of_range_and_a_table_are_refused():
    with pytest.raises(ValueError, match="level"):
        mean_interval([1.0], level=1.0)
    with pytest.raises(ValueError, match="shape"):
        mean_interval([[1.0]])
