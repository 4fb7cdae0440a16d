"""Studies whose noise is read from their items: judged one by one as all at once, at their rate of false verdicts."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats import Rule, draw_many, judge_many, replay
from ablata.stats.items.calibration import calibrate_items, draw_items
from ablata.stats.items.moderation import ArmItems, ItemEvidence, moderate_items
from ablata.stats.items.noise import ItemPrior

PRIOR = ItemPrior(level=1.5, between=0.4, within=0.3)
RULE = Rule(seeds=5, first_look=2)


def drawn(studies, effects, rng, spread=1.0):
    """Scores (studies, seeds, 1 + arms), a quarter of whose variance of 1 the arms share, and what their items say."""
    sizes = 0.75 * np.broadcast_to(spread, (len(effects) + 1,)) ** 2
    scores = draw_many(studies, effects, seeds=RULE.seeds, noise=0.75**0.5, rng=rng, shared=0.5, spread=spread)
    items = draw_items(studies, sizes[0] + sizes[1:], PRIOR, rng, df=30.0)
    shape = (RULE.seeds, *items.value.shape)
    return scores, ItemEvidence(ArmItems(np.broadcast_to(items.value, shape), np.broadcast_to(items.df, shape)), PRIOR)


def test_many_studies_are_judged_as_replay_judges_each():
    rng = np.random.default_rng(0)
    calibration = calibrate_items(3, RULE, PRIOR, studies=2_000)
    scores, evidence = drawn(60, [0.0, 1.5, -2.0], rng, spread=[1.0, 1.0, 2.0, 1.0])
    many = judge_many(scores, RULE, calibration, evidence=evidence)
    for study, table in enumerate(scores):
        own = ItemEvidence(ArmItems(evidence.items.value[:, study], evidence.items.df[:, study]), PRIOR)
        for outcome in replay(table, RULE, calibration, evidence=own).outcomes:
            at = study, outcome.arm - 1
            assert outcome.seeds == many.seeds[at]
            assert {"better": 1, "worse": -1}.get(outcome.verdict, 0) == many.sign[at]
            assert outcome.last.se == pytest.approx(many.se[at])


def test_false_verdicts_stay_at_their_rate_whatever_arm_is_noisy():
    rng = np.random.default_rng(1)
    for arms in (1, 3):
        calibration = calibrate_items(arms, RULE, PRIOR, studies=6_000)
        for spread in ([1.0] * (arms + 1), [3.0] + [1.0] * arms, [1.0] * arms + [3.0]):
            scores, evidence = drawn(2_000, [0.0] * arms, rng, spread)
            false = judge_many(scores, RULE, calibration, evidence=evidence).decided.any(axis=1).mean()
            assert false < 0.06 + 2 * 0.005


def test_a_difference_of_two_sd_is_found_in_85_of_100_with_fewer_than_four_seeds():
    rng = np.random.default_rng(2)
    scores, evidence = drawn(1_500, [2.0], rng)
    found = judge_many(scores, RULE, calibrate_items(1, RULE, PRIOR, studies=6_000), evidence=evidence)
    assert (found.sign > 0).mean() > 0.85 - 2 * 0.009
    assert found.seeds.mean() < 4


def test_noise_that_the_items_cannot_show_counts_in_full():
    far = moderate_items(np.array([1000.0]), 5, ArmItems(np.array([1.0]), np.array([30.0])), PRIOR)
    assert far[0][0] == pytest.approx(1000.0, rel=0.02)
    assert far[1][0] == pytest.approx(4, abs=0.1)


def test_an_arm_without_items_is_judged_as_without():
    variance, dof = moderate_items(
        np.array([2.0, 2.0]), 3, ArmItems(np.array([0.0, 1.0]), np.array([0.0, 20.0])), PRIOR
    )
    assert np.isnan([variance[0], dof[0]]).all()
    assert dof[1] > 3
    calibration = calibrate_items(1, RULE, PRIOR, studies=500)
    table = [[0.0, 5.0], [0.4, 5.1], [0.1, 5.6]]
    none = ItemEvidence(ArmItems(np.zeros((3, 1)), np.zeros((3, 1))), PRIOR)
    one, two = (replay(table, RULE, calibration, evidence=given).outcomes[0].last for given in (None, none))
    assert one == two
