"""A study that is extended keeps its rate of false verdicts, and finds what a large one would mostly find."""

import math

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, draw_many, judge_many, replay, rules_of, wave_level, wave_rules


def extended(effect, arms, seeds, studies):
    """Signs of the verdicts after all waves, (studies, arms); only the first arm has an effect."""
    rng = np.random.default_rng(arms)
    scores = draw_many(studies, [effect] + [0.0] * (arms - 1), seeds=seeds[-1], noise=0.75**0.5, shared=0.5, rng=rng)
    sign, done = np.zeros((studies, arms), dtype=int), np.zeros((studies, arms), dtype=bool)
    earlier = 0
    for rule in wave_rules(Rule(margin=0.6), seeds):
        calibration = calibrate(arms, rule, studies=4_000)
        found = judge_many(scores[:, : rule.seeds], rule, calibration, patience=earlier)
        earlier = rule.seeds
        sign = np.where(done, sign, found.sign)
        done |= found.decided
    return sign


def test_the_levels_of_all_waves_add_up_to_the_rate():
    levels = [wave_level(0.05, wave) for wave in range(60)]
    assert levels[:4] == pytest.approx([0.005, 0.01, 0.03, 0.0025])
    assert sum(levels) == pytest.approx(0.05)
    assert sum(levels[:10]) < 0.05


def test_waves_that_shrink_or_have_no_number_are_refused():
    with pytest.raises(ValueError, match="fewer seeds than the one before"):
        wave_rules(Rule(), (5, 4))
    with pytest.raises(ValueError, match="counted from 0"):
        wave_level(0.05, -1)


@pytest.mark.parametrize("arms", [1, 3, 8])
def test_five_then_ten_twenty_and_forty_seeds_make_no_more_false_verdicts(arms):
    studies = 1_000
    share = (extended(0.0, arms, (5, 10, 20, 40), studies) != 0).any(axis=1).mean()
    assert share <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / studies)


@pytest.mark.parametrize(("arms", "least"), [(1, 0.49), (8, 0.30)])
def test_after_twenty_seeds_in_three_waves_small_effects_are_found(arms, least):
    assert (extended(0.75, arms, (5, 10, 20), 1_000)[:, 0] > 0).mean() > least


def test_no_arm_is_given_up_before_the_seeds_that_its_wave_began_with():
    rule = Rule(margin=0.6, seeds=10)
    calibration = calibrate(2, rule, studies=500)
    scores = draw_many(30, [0.0, 0.5], seeds=10, noise=0.75**0.5, shared=0.5, rng=np.random.default_rng(3))
    found = judge_many(scores, rule, calibration, patience=6)
    ends = [replay(table, rule, calibration, patience=6).outcomes for table in scores]
    assert [[end.seeds for end in study] for study in ends] == found.seeds.tolist()
    given_up = ~found.decided & (found.seeds < 10)
    assert given_up.any()
    assert (found.seeds[given_up] > 6).all()


def test_a_specification_tells_the_rule_of_each_wave():
    spec = {"rule": Rule(margin=0.6, seeds=10).to_json(), "rule_version": 2}
    assert [(rule.seeds, rule.alpha) for rule in rules_of(spec)] == [(10, 0.05)]
    extended_twice = spec | {"waves": [5, 10], "extendable": True}
    assert [(rule.seeds, round(rule.alpha, 6)) for rule in rules_of(extended_twice)] == [(5, 0.005), (10, 0.01)]
    spent = spec | {"waves": [5, 10], "fixed": True}
    assert [(rule.first_look, rule.alpha) for rule in rules_of(spent)] == [(5, 0.05), (10, 0.05)]
