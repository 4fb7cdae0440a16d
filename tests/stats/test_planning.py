import json
from dataclasses import replace

import numpy as np
import pytest

from ablata.base.quantities import two_digits
from ablata.stats import (
    RULE_VERSION,
    History,
    Mode,
    Plan,
    Rule,
    calibrate,
    expected_runs,
    judge_pairs,
    plan,
    seeds_for_effect,
    seeds_for_margin,
)
from ablata.stats.planning import rough_settlement, to_settle

PUBLISHED = [
    (10, 3, 3.5, 2.7),
    (10, 5, 2.7, 2.2),
    (10, 8, 2.1, 1.8),
    (10, 10, 1.9, 1.6),
    (1, 5, 2.7, 1.8),
    (30, 5, 2.9, 2.4),
]


def planned(arms=10, noise=1.0, version=RULE_VERSION, **rule):
    fixed = Rule(**{"margin": 0.3} | rule)
    return plan(noise, arms, fixed, calibrate(arms, fixed, version=version))


@pytest.mark.parametrize(("arms", "seeds", "claim", "screen"), PUBLISHED)
def test_detectable_effects_of_the_first_version_in_units_of_noise_are_the_published_ones(arms, seeds, claim, screen):
    for mode, published in ((Mode.CLAIM, claim), (Mode.SCREEN, screen)):
        assert planned(arms, version=1, seeds=seeds, alpha=mode.alpha).detectable == pytest.approx(published, abs=0.075)


@pytest.mark.parametrize(("arms", "seeds"), [(1, 5), (5, 5), (10, 5), (10, 10)])
def test_the_newest_version_sees_about_as_much_as_the_first(arms, seeds):
    newest, first = (planned(arms, version=version, seeds=seeds) for version in (2, 1))
    assert newest.detectable <= first.detectable * 1.03
    assert newest.confirmable <= first.confirmable * 1.03


def test_ten_arms_by_five_seeds_see_and_confirm_what_the_page_of_the_first_version_says():
    noise = 0.25 * 0.75**0.5
    claim, screen = (planned(noise=noise, version=1, alpha=mode.alpha) for mode in (Mode.CLAIM, Mode.SCREEN))
    assert (claim.detectable, claim.confirmable) == pytest.approx((0.59, 0.59), abs=0.01)
    assert (screen.detectable, screen.confirmable) == pytest.approx((0.48, 0.49), abs=0.01)


def test_both_figures_scale_with_the_noise():
    assert planned(noise=3.0).detectable == pytest.approx(3 * planned(noise=1.0).detectable)


def test_a_margin_that_cannot_be_confirmed_is_never_promised():
    loud, quiet = planned(noise=0.2165), planned(noise=0.10)
    assert not loud.can_confirm
    assert "5 seeds cannot show equivalence within 0.3" in loud.warnings[0]
    assert quiet.can_confirm
    assert quiet.warnings == ()


def test_a_study_without_a_look_promises_nothing():
    small = planned(seeds=2)
    assert (small.detectable, small.confirmable, small.can_confirm) == (None, None, False)
    assert "every arm stays undecided" in small.warnings[0]
    assert small.most_runs == 22


def test_a_noise_history_makes_a_small_study_see_more():
    known = History(df=10, variance=1.0)
    # The guard of the second version against a history that is too quiet costs a part of what a right one gives.
    for version, share in ((1, 0.85), (2, 0.93)):
        with_history, without = (planned(1, version=version, **given) for given in ({"history": known}, {}))
        assert with_history.detectable < share * without.detectable


def test_the_seeds_for_an_effect_are_the_least_that_detect_it():
    rule = Rule(margin=0.3)
    needed = seeds_for_effect(0.5, 0.2165, 10, rule)
    assert planned(noise=0.2165, seeds=needed).detectable <= 0.5
    assert planned(noise=0.2165, seeds=needed - 1).detectable > 0.5


def test_the_seeds_for_a_margin_are_the_least_that_confirm_it():
    rule = Rule(margin=0.3)
    needed = seeds_for_margin(0.45, 0.2165, 10, rule)
    assert planned(noise=0.2165, seeds=needed).confirmable <= 0.45
    assert planned(noise=0.2165, seeds=needed - 1).confirmable > 0.45


def test_an_effect_out_of_reach_has_no_number_of_seeds():
    assert seeds_for_effect(0.01, 1.0, 2, Rule(margin=0.3), most=10) is None
    assert seeds_for_effect(9.0, 1.0, 2, Rule(margin=0.3), most=2) is None


def test_expected_runs_lie_between_the_first_look_and_all_seeds_and_fall_with_the_effect():
    rule = Rule(margin=0.3)
    calibration = calibrate(3, rule)
    large = expected_runs([5.0] * 3, 0.2, rule, calibration, studies=40)
    unclear = expected_runs([0.3] * 3, 0.2, replace(rule, futility=False), calibration, studies=40)
    assert large.per_arm == pytest.approx(3.0, abs=0.05)
    assert large.per_arm + 1 < unclear.per_arm <= 5
    assert expected_runs([5.0] * 3, 0.2, rule, calibration, studies=40) == large


def test_a_plan_refuses_a_foreign_calibration_and_a_noise_of_zero():
    rule = Rule(margin=0.3)
    with pytest.raises(ValueError, match="calibration must be for 3 arms"):
        plan(1.0, 3, rule, calibrate(2, rule))
    with pytest.raises(ValueError, match="`noise` must be > 0"):
        plan(0.0, 2, rule, calibrate(2, rule))


def test_a_plan_survives_json():
    made = planned(2)
    assert Plan.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) == made


def test_what_would_settle_a_table_is_about_what_a_plan_of_its_noise_says():
    for number in range(20):
        scores = np.random.default_rng(number).normal(90, 1, (6, 2))
        found = judge_pairs(dict(enumerate(scores.tolist())), margin=0.5).arms[0]
        needed = rough_settlement(found, 6, 0.5)
        planned = to_settle(found.effect, found.se * 3**0.5, 1, Rule(margin=0.5, seeds=6))
        if planned.seeds and needed.seeds:
            assert 0.5 < needed.seeds / planned.seeds < 2.5
            assert needed.words("fresh runs") == (
                f"To settle it: about {needed.seeds} fresh runs, or a margin of {two_digits(needed.margin)}"
            )
