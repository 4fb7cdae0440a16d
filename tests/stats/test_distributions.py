"""Distribution functions and quantiles: scipy's, from less than one degree of freedom into far tails."""

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from ablata.stats import Rule, calibrate, mean_of_best
from ablata.stats.distributions import gamma, normal, student
from ablata.stats.distributions.beta import f_cdf
from ablata.stats.distributions.shapiro import shapiro_wilk

DOF = np.r_[0.3, 0.7, np.arange(1, 12, 0.3), 15.5, 30, 77.7, 200, 500.5, 1000, 1e4, 1e6, 1e9][:, None]
TAIL = np.r_[10.0 ** -np.arange(1, 90, 0.61), np.linspace(0.01, 0.499, 40)]


def test_the_tail_of_student_t_is_scipys() -> None:
    t = np.r_[0, 10.0 ** np.arange(-2, 20, 0.13), np.linspace(0.1, 12, 80)]
    known = scipy.stats.t.sf(t, DOF)
    known[known < 1e-290] = 0
    np.testing.assert_allclose(student.tail(t, DOF), known, rtol=1e-11, atol=1e-290)
    np.testing.assert_allclose(student.tail(-t, DOF), scipy.stats.t.sf(-t, DOF), rtol=1e-11)
    assert 0.5 - student.tail(1e-8, 1) == pytest.approx(1e-8 / math.pi, rel=1e-7)


def test_the_quantile_of_student_t_is_scipys() -> None:
    known = scipy.stats.t.isf(TAIL, DOF)
    reached = known < 1e100
    found = -student.quantile(TAIL, DOF)
    np.testing.assert_allclose(found[reached], known[reached], rtol=1e-10)
    np.testing.assert_allclose(student.quantile(1 - TAIL[-40:], DOF), found[:, -40:], rtol=1e-10)


def test_the_ends_of_student_t_are_exact_and_what_is_no_number_stays_none() -> None:
    np.testing.assert_array_equal(student.tail([0, math.inf, -math.inf, math.nan], 5), [0.5, 0, 1, math.nan])
    np.testing.assert_array_equal(student.quantile([0.5, 0, 1, math.nan], 5), [0, -math.inf, math.inf, math.nan])
    assert np.isnan(student.tail(1.0, [0, -1, math.nan])).all()
    assert np.isnan(student.quantile(0.9, [0, -1, math.nan])).all()
    assert student.quantile(0.975, math.inf) == pytest.approx(scipy.stats.norm.ppf(0.975), rel=1e-14)


def test_large_arrays_go_in_pieces_and_keep_their_shape() -> None:
    dof = np.linspace(1, 50, 30_000).reshape(3, 100, 100)
    np.testing.assert_allclose(student.tail(2.0, dof), scipy.stats.t.sf(2.0, dof), rtol=1e-11)
    np.testing.assert_array_equal(student.tail(2.0, dof), student.tail(2.0, dof[..., None])[..., 0])
    assert student.tail(np.empty((0, 3)), 2.0).shape == (0, 3)


def test_the_f_distribution_is_scipys() -> None:
    ratio = np.r_[0, 10.0 ** np.arange(-8, 6.1, 0.37), np.linspace(0.5, 2, 20), 1e12]
    for above in (1, 1.5, 4, 7.7, 20, 100, 999.5):
        below = np.array([1, 1.5, 2, 5.5, 12, 100, 1000])[:, None]
        known = scipy.special.fdtr(above, below, ratio)
        np.testing.assert_allclose(f_cdf(ratio, above, below), known, rtol=1e-10, atol=1e-290)
        single = [f_cdf(ratio, above, np.full(ratio.shape, each)) for each in below.ravel()]
        np.testing.assert_allclose(single, known, rtol=1e-10, atol=1e-290)


def test_the_normal_distribution_is_scipys() -> None:
    p = np.r_[1e-300, 1e-100, 1e-16, np.linspace(1e-4, 1 - 1e-4, 500), 1 - 1e-10]
    np.testing.assert_allclose(normal.quantile(p), scipy.special.ndtri(p), rtol=1e-13, atol=1e-16)
    np.testing.assert_array_equal(normal.quantile([0, 1, math.nan, 2]), [-math.inf, math.inf, math.nan, math.nan])
    z = np.linspace(-37, 37, 200)
    np.testing.assert_allclose(normal.tail(z), scipy.special.ndtr(-z), rtol=1e-12)


def test_chi_square_poisson_and_the_gamma_functions_derivatives_are_scipys() -> None:
    for df in (0.3, 1, 2, 3.5, 10, 99, 1000, 1e4):
        for above in (1e-12, 1e-6, 0.025, 0.3, 0.5, 0.7, 0.975, 0.999, 1 - 1e-9):
            known = scipy.special.chdtri(df, above)
            assert gamma.chi_square_quantile(above, df) == pytest.approx(known, rel=1e-10), (df, above)
    for mean in (0.01, 0.5, 3, 20, 500):
        for count in (0, 1, 2, 5, 10, 30, 600):
            known = scipy.special.pdtrc(count, mean)
            assert gamma.poisson_tail(count, mean) == pytest.approx(known, rel=1e-10), (count, mean)
    for z in (0.1, 0.5, 1, 2, 7.9, 8, 30, 1e5):
        assert gamma.digamma(z) == pytest.approx(scipy.special.digamma(z), rel=1e-13)
        assert gamma.trigamma(z) == pytest.approx(scipy.special.polygamma(1, z), rel=1e-13)


def test_shapiros_p_is_scipys_which_takes_its_scores_from_a_shorter_approximation() -> None:
    rng = np.random.default_rng(0)
    for size in (3, 4, 5, 6, 7, 11, 12, 20, 100, 1000, 4999):
        for values in (rng.normal(size=size), rng.exponential(size=size)):
            assert shapiro_wilk(values) == pytest.approx(scipy.stats.shapiro(values).pvalue, rel=1e-5), size


def test_bounds_and_quantiles_of_simulated_logs_are_the_figures_that_scipys_functions_gave() -> None:
    known = {(1, 5, 1): 0.0275383317013538, (3, 5, 2): 0.0349536563417316, (10, 3, 2): 0.0344532373165856}
    for (arms, seeds, version), bound in known.items():
        assert calibrate(arms, Rule(margin=0.5, seeds=seeds), version=version).bound == pytest.approx(bound, rel=1e-12)
    assert mean_of_best(100) == pytest.approx(2.50758883690812, rel=1e-12)
