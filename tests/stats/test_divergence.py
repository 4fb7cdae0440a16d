from dataclasses import replace

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, draw_scores, look, replay

RULE = Rule(margin=0.3)
CALIBRATION = calibrate(2, RULE)


def study(effects=(1.0, 0.0), seeds=5):
    return draw_scores(effects, seeds=seeds, noise=0.05, rng=np.random.default_rng(0))


def marked(*cells, seeds=5):
    mask = np.zeros((seeds, 3), dtype=bool)
    for cell in cells:
        mask[cell] = True
    return mask


def test_an_arm_that_diverged_twice_where_the_control_finished_is_unstable_at_once():
    found = replay(study(), RULE, CALIBRATION, diverged=marked((0, 1), (1, 1)))
    unstable = found.outcomes[0]
    assert (unstable.verdict, unstable.seeds, unstable.open) == ("unstable", 2, False)
    assert unstable.reason == "unstable after 2 seeds: 2 runs of the arm diverged where the control's finished"
    assert found.outcomes[1].verdict == "equivalent"


def test_an_unstable_arm_still_tells_what_its_finished_pairs_say():
    arm = look(study(), RULE, CALIBRATION, diverged=marked((1, 1), (4, 1))).arms[0]
    assert (arm.verdict, arm.mean_verdict) == ("unstable", "better")
    assert arm.pairs == 3
    assert arm.notes[0].startswith("some runs diverged")


def test_one_divergence_is_counted_and_the_mean_rests_on_the_seeds_where_both_finished():
    scores = study()
    arm = look(scores, RULE, CALIBRATION, diverged=marked((1, 1))).arms[0]
    assert arm.verdict == "better"
    assert arm.reason.startswith("better after 5 seeds, 4 of them finished by both: the difference is between +")
    assert (arm.pairs, arm.divergence.arm) == (4, 1)
    kept = [0, 2, 3, 4]
    assert arm.effect == pytest.approx((scores[kept, 1] - scores[kept, 0]).mean())
    assert arm.notes == ("some runs diverged (1 of the arm alone): the means are over the seeds where both finished",)


def test_a_control_that_diverges_makes_no_arm_unstable_and_costs_every_arm_the_pair():
    found = look(study(), RULE, CALIBRATION, diverged=marked((0, 0), (1, 0), (0, 1)))
    assert [arm.verdict for arm in found.arms] == ["better", "undecided"]
    assert [arm.pairs for arm in found.arms] == [3, 3]
    first = found.arms[0].divergence
    assert (first.arm, first.control, first.both) == (0, 1, 1)
    assert "1 of the control alone, 1 of both" in found.arms[0].notes[0]


def test_equivalence_needs_the_first_looks_number_of_finished_pairs():
    scores = study(seeds=3)
    arm = look(scores, RULE, CALIBRATION, diverged=marked((0, 2), seeds=3)).arms[1]
    assert (arm.verdict, arm.open, arm.interval) == ("undecided", True, None)
    assert "2 seeds where both finished, and the first verdict needs 3" in arm.reason


def test_an_arm_that_can_no_longer_reach_the_first_look_is_stopped():
    arm = look(study(seeds=3), RULE, CALIBRATION, diverged=marked((0, 0), (1, 0), (2, 0), seeds=3)).arms[0]
    assert (arm.verdict, arm.open) == ("undecided", False)
    assert arm.reason.startswith(
        "5 seeds cannot settle this: runs diverged, so that at most 2 seeds where both finished"
    )


def test_an_arm_that_failed_once_goes_on_until_it_is_told_whether_it_is_unstable():
    rule = replace(RULE, seeds=3)
    calibration = calibrate(2, rule, studies=2000)
    first = look(study(seeds=1), rule, calibration, diverged=marked((0, 1), seeds=1)).arms[0]
    assert (first.verdict, first.open) == ("undecided", True)
    second = look(study(seeds=2), rule, calibration, diverged=marked((0, 1), (1, 1), seeds=2)).arms[0]
    assert (second.verdict, second.open) == ("unstable", False)


def test_a_study_without_one_finished_pair_has_no_effect_and_no_verdict():
    arm = look(study(seeds=1), RULE, CALIBRATION, diverged=marked((0, 0), seeds=1)).arms[0]
    assert (arm.verdict, arm.effect, arm.se, arm.pairs) == ("undecided", None, None, 0)
