import numpy as np
import pytest
import scipy.stats

from ablata.stats import Noise, draw_scores, noise_from_scores, pool_noise


def test_the_noise_of_earlier_rows_leaves_the_seeds_own_part_out():
    scores = draw_scores(np.zeros(30), seeds=40, noise=0.2, shared=5.0, rng=np.random.default_rng(0))
    found = noise_from_scores(scores)
    assert found.sd == pytest.approx(0.2, rel=0.05)
    assert (found.df, found.paired) == (30 * 39, True)


def test_a_control_alone_gives_its_spread_as_an_upper_bound():
    found = noise_from_scores([[1.0], [2.0], [float("nan")], [4.0]])
    assert found.variance == pytest.approx(np.var([1, 2, 4], ddof=1))
    assert (found.df, found.paired) == (2, False)


@pytest.mark.parametrize("scores", [[[1.0]], [[1.0, 2.0]], [[1.0, 2.0], [1.0, float("nan")]]])
def test_scores_that_show_no_spread_are_refused(scores):
    with pytest.raises(ValueError, match="noise needs at least"):
        noise_from_scores(scores)


def test_an_infinite_score_is_refused():
    with pytest.raises(ValueError, match="finite"):
        noise_from_scores([[1.0, float("inf")]])


def test_the_interval_of_the_noise_is_the_chi_square_one():
    low, high = Noise(variance=4.0, df=6).interval(0.9)
    assert 6 * 4.0 / low**2 == pytest.approx(scipy.stats.chi2.ppf(0.95, 6))
    assert 6 * 4.0 / high**2 == pytest.approx(scipy.stats.chi2.ppf(0.05, 6))


def test_earlier_noise_is_pooled_by_degrees_of_freedom_and_unpaired_noise_is_left_out():
    history = pool_noise(
        [Noise(variance=1.0, df=4), Noise(variance=4.0, df=8), Noise(variance=99.0, df=5, paired=False)]
    )
    assert (history.df, history.variance) == (12, pytest.approx(3.0))


def test_nothing_to_pool_is_no_history():
    assert pool_noise([Noise(variance=99.0, df=5, paired=False)]) is None
