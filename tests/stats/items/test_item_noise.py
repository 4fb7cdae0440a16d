"""The variance that single items make, and how far it is the whole."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.items.noise import ItemPrior, Phi, item_variance, learn_prior, phi_of


def hits(runs: int, chances: np.ndarray, rng: np.random.Generator, quality: float = 0.0) -> np.ndarray:
    """Draw runs (runs, items) of hits; `quality`: how far a run's chances as a whole shift, in logits."""
    odds = np.log(chances / (1 - chances)) + quality * rng.standard_normal((runs, 1))
    return (rng.random((runs, len(chances))) < 1 / (1 + np.exp(-odds))).astype(float)


def test_the_items_variance_is_that_of_the_score_where_items_err_alone():
    rng = np.random.default_rng(0)
    chances = rng.beta(8, 1, 400).clip(0.01, 0.99)
    true = (chances * (1 - chances)).sum() / 400**2
    found = [item_variance(hits(3, chances, rng)) for _ in range(300)]
    assert np.mean([one.value for one in found]) == pytest.approx(true, rel=0.03)
    # The variance's own error is at most that of its degrees of freedom, and no less than a third of it.
    spread = np.var([one.value for one in found]) / true**2
    assert 0.33 < spread / np.mean([2 / one.df for one in found]) < 1


def test_phi_is_one_where_items_err_alone_and_more_where_runs_differ_as_a_whole():
    rng = np.random.default_rng(1)
    chances = rng.beta(6, 1, 300).clip(0.01, 0.99)
    for quality, low, high in ((0.0, 0.9, 1.1), (0.2, 1.5, 3.0)):
        found = phi_of(hits(1000, chances, rng, quality))
        assert found is not None
        assert low < found.value < high
    assert phi_of(np.ones((4, 10))) is None


def test_items_of_a_cluster_count_as_one():
    rng = np.random.default_rng(2)
    shared = np.repeat(rng.random((2000, 50)) < 0.8, 4, axis=1).astype(float)
    groups = np.repeat(np.arange(50), 4)
    alone, together = phi_of(shared), phi_of(shared, groups)
    assert alone is not None
    assert together is not None
    assert alone.value == pytest.approx(4, rel=0.1)
    assert together.value == pytest.approx(1, rel=0.1)


def test_too_few_runs_say_nothing():
    assert item_variance(np.ones((1, 5))).df == 0
    assert item_variance(np.zeros((0, 5))).df == 0
    assert phi_of(np.ones((2, 5))) is None


def test_what_is_learnt_of_phi_is_what_it_was_drawn_with():
    rng = np.random.default_rng(3)
    studies = []
    for _ in range(1000):
        level = 1.4 * np.exp(0.4 * rng.standard_normal())
        arms = level * np.exp(0.3 * rng.standard_normal(3))
        studies.append([Phi(float(phi * rng.chisquare(6) / 6), 6.0) for phi in arms])
    found = learn_prior(studies)
    assert found.within == pytest.approx(0.3, abs=0.06)
    assert found.between == pytest.approx(0.4, abs=0.06)
    assert found.level == pytest.approx(1.4 * np.exp(0.5**2 / 2), rel=0.1)


def test_one_study_says_the_level_and_leaves_the_spreads():
    usual = ItemPrior(level=1.5, between=0.4, within=0.3)
    assert learn_prior([], usual) == usual
    found = learn_prior([[Phi(2.0, 4.0)]], usual)
    # The usual level counts as 2 / (0.4^2 + 0.3^2) = 8 degrees of freedom, so that two seeds cannot overturn it.
    assert (found.level, found.between, found.within) == (pytest.approx((8 * 1.5 + 4 * 2.0) / 12), 0.4, 0.3)
    assert learn_prior([[Phi(0.04, 1.0)]], usual).level == pytest.approx(1.34, abs=0.01)


def test_a_prior_out_of_range_is_refused():
    for part in ({"level": 0.0}, {"between": -0.1}, {"within": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(part))):
            ItemPrior(**part)
