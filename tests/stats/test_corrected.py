"""The effect of a verdict, corrected for being shown because it was large."""

import numpy as np
import pytest
from scipy.special import stdtrit

from ablata.stats import Rule, calibrate, draw_many, judge_many, plan, replay
from ablata.stats.corrected import corrected_effect, corrected_sizes


def shown(effect, arms, seeds, studies):
    """Mean effect of the studies that call the first arm better, as measured and corrected."""
    rule = Rule(margin=1.2, seeds=seeds)
    calibration = calibrate(arms, rule, studies=4_000)
    rng = np.random.default_rng(seeds * 10 + arms)
    effects = [effect] + [0.0] * (arms - 1)
    scores = draw_many(studies, effects, seeds=seeds, noise=0.75**0.5, shared=0.5, rng=rng)
    found = judge_many(scores, rule, calibration)
    better = found.sign[:, 0] > 0
    size, se, n = found.effect[better, 0], found.se[better, 0], found.seeds[better, 0].astype(float)
    bound = np.array([calibration.bound_at(int(count), rule) for count in n])
    low = size - stdtrit(found.dof[better, 0], 1 - bound / 2) * se
    return size.mean(), corrected_sizes(size, low, se, n, arms, rule, calibration).mean()


@pytest.mark.parametrize(("seeds", "arms"), [(5, 3), (10, 1)])
def test_the_exaggeration_of_small_effects_is_halved_and_large_ones_are_left_alone(seeds, arms):
    for effect, studies in ((0.5, 8_000), (1.0, 3_000)):
        measured, corrected = shown(effect, arms, seeds, studies)
        assert measured - effect > 0.25
        assert corrected - effect < 0.55 * (measured - effect), effect
    measured, corrected = shown(3.0, arms, seeds, 1_000)
    assert corrected == pytest.approx(3.0, rel=0.1)


def test_the_corrected_effect_keeps_its_sign_and_lies_in_the_interval_toward_zero():
    rule = Rule(margin=0.5, seeds=5)
    calibration = calibrate(2, rule, studies=2_000)
    control = np.array([90.0, 90.4, 89.8, 90.2, 90.1])
    noise = np.array([0.1, -0.1, 0.05, 0.0, -0.05])
    table = np.column_stack([control, control - 1.0 + noise, control + 0.1 - noise])
    worse, other = (outcome.last for outcome in replay(table, rule, calibration).outcomes)
    found = corrected_effect(worse, 0.2, 2, rule, calibration)
    assert worse.interval[0] < worse.effect <= found.effect <= worse.interval[1] < 0
    assert 0 < found.power <= 1
    assert corrected_effect(other, 0.2, 2, rule, calibration) is None


def test_the_power_at_a_corrected_effect_is_that_of_the_plan():
    rule = Rule(seeds=5)
    calibration, rng = calibrate(1, rule), np.random.default_rng(3)
    seen = 0
    for scores in draw_many(300, [1.8], seeds=5, noise=1.0, rng=rng):
        result = replay(scores, rule, calibration)
        last, noise = result.outcomes[0].last, result.looks[-1].noise
        found = corrected_effect(last, noise, 1, rule, calibration)
        if found is not None:
            size = abs(found.effect) / plan(noise, 1, rule, calibration).detectable
            assert (found.power > 0.8) == (size > 1) or abs(size - 1) < 0.05
            seen += 1
    assert seen > 100
