"""A study that is extended keeps its rate of false verdicts, and finds what a large one would mostly find."""

import math

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, draw_many, judge_many, wave_level, wave_rules


def extended(effect, arms, seeds, studies):
    """Signs of the verdicts after all waves, (studies, arms); only the first arm has an effect."""
    rng = np.random.default_rng(arms)
    scores = draw_many(studies, [effect] + [0.0] * (arms - 1), seeds=seeds[-1], noise=0.75**0.5, shared=0.5, rng=rng)
    sign, done = np.zeros((studies, arms), dtype=int), np.zeros((studies, arms), dtype=bool)
    for rule in wave_rules(Rule(margin=0.3, futility=False), seeds):
        found = judge_many(scores[:, : rule.seeds], rule, calibrate(arms, rule, studies=4_000))
        sign = np.where(done, sign, found.sign)
        done |= found.decided
    return sign


def test_the_levels_of_all_waves_add_up_to_the_rate():
    levels = [wave_level(0.05, wave) for wave in range(60)]
    assert levels[:4] == pytest.approx([0.005, 0.01, 0.03, 0.0025])
    assert sum(levels) == pytest.approx(0.05)
    assert sum(levels[:10]) < 0.05


def test_waves_that_do_not_grow_or_have_no_number_are_refused():
    with pytest.raises(ValueError, match="more seeds than the one before"):
        wave_rules(Rule(), (5, 5))
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
