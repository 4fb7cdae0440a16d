import numpy as np
import pytest
import scipy.stats
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from ablata.stats import History, Rule, Table, contrasts, pooled_residual
from ablata.stats.contrasts import t_quantile

NAN = np.nan


def nested_scores(rng: np.random.Generator, seeds: int, columns: int) -> np.ndarray:
    scores = rng.normal(50, 2, (seeds, columns)) + rng.normal(0, 5, (seeds, 1))
    for column in range(1, columns):
        scores[rng.integers(1, seeds + 1) :, column] = NAN
    return scores


def fitted_residual(scores: np.ndarray) -> tuple[float, int]:
    seed, arm = np.nonzero(~np.isnan(scores))
    design = np.concatenate([np.eye(scores.shape[0])[seed], np.eye(scores.shape[1])[arm, 1:]], axis=1)
    model = sm.OLS(scores[seed, arm], design).fit()
    return model.ssr, round(model.df_resid)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 7))
def test_the_pooled_residual_is_that_of_least_squares_when_arms_are_dropped(number, seeds, columns):
    scores = nested_scores(np.random.default_rng(number), seeds, columns)
    residual = pooled_residual(scores)
    ss, df = fitted_residual(scores)
    assert residual.ss == pytest.approx(ss, rel=1e-9, abs=1e-9)
    assert residual.df == df


def test_the_pooled_residual_is_that_of_least_squares_when_a_diverged_run_leaves_a_hole():
    scores = np.random.default_rng(5).normal(50, 2, (6, 5))
    scores[4:, 1] = NAN
    for hole in ((1, 2), (2, 0), (0, 3)):
        scores[hole] = NAN
        residual = pooled_residual(scores)
        assert (residual.ss, residual.df) == pytest.approx(fitted_residual(scores), rel=1e-9)


def test_one_seed_leaves_no_residual():
    residual = pooled_residual(np.array([[1.0, 2.0]]))
    assert residual.variance is None


def test_without_a_prior_the_difference_is_the_paired_t_test():
    scores = np.random.default_rng(1).normal(0, 1, (6, 3))
    found = contrasts(Table.of(scores), Rule(margin=0.5, prior_df=0))
    for arm in (1, 2):
        reference = scipy.stats.ttest_rel(scores[:, arm], scores[:, 0])
        assert found.p_difference[arm - 1] == pytest.approx(reference.pvalue, rel=1e-10)
        assert found.effect[arm - 1] / found.se[arm - 1] == pytest.approx(reference.statistic, rel=1e-10)


@pytest.mark.parametrize("shift", [-2.0, -0.3, 0.0, 0.4, 1.5])
def test_without_a_prior_one_arm_is_tested_for_equivalence_as_by_statsmodels(shift):
    scores = np.random.default_rng(2).normal(0, 0.5, (8, 2))
    scores[:, 1] += shift
    found = contrasts(Table.of(scores), Rule(margin=0.6, prior_df=0, seeds=8))
    reference = ttost_paired(scores[:, 1], scores[:, 0], -0.6, 0.6)[0]
    assert found.p_equivalence[0] == pytest.approx(reference, rel=1e-9)


def test_the_moderated_test_of_the_first_version_follows_the_page_step_by_step():
    scores = np.random.default_rng(3).normal(0, 1, (4, 4))
    rule = Rule(margin=0.5, history=History(df=6, variance=2.0))
    found = contrasts(Table.of(scores), rule, version=1)
    ss, df = fitted_residual(scores)
    shared = (ss + 6 * 2.0) / (df + 6)
    difference = scores[:, 1:] - scores[:, :1]
    variance = (4 * 2 * shared + 3 * difference.var(axis=0, ddof=1)) / 7
    t = np.abs(difference.mean(axis=0)) / np.sqrt(variance / 4)
    assert found.variance == pytest.approx(variance)
    assert found.dof == pytest.approx([7, 7, 7])
    assert found.p_difference == pytest.approx(2 * scipy.stats.t.sf(t, 7))
    assert found.effect_size == pytest.approx(difference.mean(axis=0) / shared**0.5)


def control_and_arms(scores):
    """Mean squares of the control against the arms' mean and among the arms, of a whole table."""
    arms = scores[:, 1:]
    against = scores[:, 0] - arms.mean(axis=1)
    left = arms - arms.mean(axis=1, keepdims=True)
    return against.var(ddof=1), left.var(axis=0, ddof=1).sum() / (arms.shape[1] - 1)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.2, 5))
def test_a_control_noisier_than_the_arms_moves_the_prior_to_the_sum_of_both_noises(number, arms, loud):
    seeds = 5
    scores = np.random.default_rng(number).normal(0, 1, (seeds, arms + 1)) * ([loud] + [1.0] * arms)
    found = contrasts(Table.of(scores), Rule(margin=0.5))
    against, among = control_and_arms(scores)
    f = against / (1 + 1 / arms) / among
    excess = np.clip((scipy.stats.f.cdf(f, seeds - 1, (seeds - 1) * (arms - 1)) - 0.3) / 0.7, 0, 1)
    shared = 2 * found.residual.variance
    prior = shared + excess * max(against + among * (1 - 1 / arms) - shared, 0)
    own = (scores[:, 1:] - scores[:, :1]).var(axis=0, ddof=1)
    assert found.variance == pytest.approx((4 * prior + 4 * own) / 8)
    equal = 1 / (1 / 8 + 1 / (1.5 * arms * 4))
    assert found.dof == pytest.approx(1 / ((1 - excess) / equal + excess / 4))


def test_a_control_as_noisy_as_the_arms_or_less_changes_nothing():
    scores = np.random.default_rng(3).normal(0, 1, (5, 6))
    scores[:, 0] = scores[:, 1:].mean(axis=1)
    first, newest = (contrasts(Table.of(scores), Rule(margin=0.5), version) for version in (1, 2))
    assert newest.variance == pytest.approx(first.variance)


def test_a_history_counts_in_full_where_the_study_is_quieter_and_not_where_it_is_far_noisier():
    scores = np.random.default_rng(3).normal(0, 1, (5, 4))
    for variance, df in ((4.0, 12 + 6), (0.05, 12)):
        rule = Rule(margin=0.5, history=History(df=6, variance=variance))
        assert contrasts(Table.of(scores), rule).residual.df == pytest.approx(df)


def test_the_degrees_of_freedom_are_no_more_than_the_residual_gives():
    found = contrasts(Table.of(np.random.default_rng(3).normal(0, 1, (4, 2))), Rule(margin=0.5))
    assert found.dof.tolist() == [3]


def test_an_unpaired_arm_is_compared_by_welchs_test_and_leaves_the_pooled_residual_alone():
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 1, (5, 4)) * [1, 1, 3, 1]
    apart = np.zeros((5, 3), dtype=bool)
    apart[2, 1] = True
    found = contrasts(Table.of(scores, unpaired=apart), Rule(margin=0.5), version=1)
    reference = scipy.stats.ttest_ind(scores[:, 2], scores[:, 0], equal_var=False)
    assert found.p_difference[1] == pytest.approx(reference.pvalue, rel=1e-10)
    assert found.dof[1] == pytest.approx(reference.df)
    without = contrasts(Table.of(scores[:, [0, 1, 3]]), Rule(margin=0.5), version=1)
    assert found.residual == without.residual
    assert found.p_difference[[0, 2]] == pytest.approx(without.p_difference)
    assert contrasts(Table.of(scores, unpaired=apart), Rule(margin=0.5)).dof[1] == 4


def test_without_any_noise_a_difference_was_certain_until_the_third_version():
    newest = contrasts(Table.of([[1.0, 1.0, 2.0]] * 3), Rule(margin=0.5))
    assert np.isnan([newest.p_difference, newest.p_equivalence, newest.se]).all()
    assert newest.effect.tolist() == [0.0, 1.0]
    known = contrasts(Table.of([[1.0, 1.0, 2.0]] * 3), Rule(margin=0.5, history=History(df=8, variance=0.01)))
    assert known.p_difference[1] < 1e-4, "earlier runs tell the noise"
    found = contrasts(Table.of([[1.0, 1.0, 2.0]] * 3), Rule(margin=0.5), version=2)
    assert found.p_difference.tolist() == [1.0, 0.0]
    assert found.p_equivalence.tolist() == [0.0, 1.0]
    assert np.isnan(found.effect_size).all()


def test_a_contrast_of_one_seed_has_an_effect_and_no_spread():
    found = contrasts(Table.of([[1.0, 3.0]]), Rule(margin=0.5))
    assert found.effect.tolist() == [2.0]
    assert np.isnan(found.se).all()


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.floats(-100, 100), st.floats(0.01, 100))
def test_seeds_may_shift_and_units_may_scale_without_a_change_in_any_p_value(number, shift, factor):
    rng = np.random.default_rng(number)
    scores = rng.normal(0, 1, (4, 4))
    scores[2:, 2] = NAN
    before = contrasts(Table.of(scores), Rule(margin=0.5))
    moved = (scores + shift * rng.normal(0, 1, (4, 1))) * factor
    after = contrasts(Table.of(moved), Rule(margin=0.5 * factor))
    assert after.p_difference == pytest.approx(before.p_difference, rel=1e-6)
    assert after.p_equivalence == pytest.approx(before.p_equivalence, rel=1e-6)
    assert after.effect == pytest.approx(before.effect * factor, rel=1e-6, abs=1e-9 * factor)


@settings(derandomize=True, deadline=None, max_examples=20)
@given(st.permutations([1, 2, 3, 4]))
def test_the_order_of_the_arms_does_not_matter(order):
    scores = np.random.default_rng(6).normal(0, 1, (5, 5))
    straight = contrasts(Table.of(scores), Rule(margin=0.5))
    permuted = contrasts(Table.of(scores[:, [0, *order]]), Rule(margin=0.5))
    assert permuted.p_difference == pytest.approx(straight.p_difference[np.array(order) - 1], rel=1e-9)


@pytest.mark.parametrize("dof", [2.0, 4.5, 40.0])
def test_t_quantiles_are_those_of_scipy_stats(dof):
    for probability in (0.8, 0.975, 0.99999):
        assert t_quantile(probability, dof) == pytest.approx(scipy.stats.t.ppf(probability, dof), rel=1e-8)
