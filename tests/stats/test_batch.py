"""Many studies at once are judged as one study is."""

import numpy as np
import pytest

from ablata.stats import History, Rule, calibrate, draw_many, draw_scores, is_false, judge_many, replay

SIGNS = {"better": 1, "worse": -1}


@pytest.mark.parametrize("version", [1, 2])
def test_many_studies_are_judged_as_replay_judges_each(version):
    rng = np.random.default_rng(0)
    for arms, seeds, history in ((1, 5, None), (2, 6, None), (4, 7, History(df=12, variance=0.5)), (8, 5, None)):
        rule = Rule(margin=1.2, seeds=seeds, history=history)
        calibration = calibrate(arms, rule, studies=2_000, version=version)
        spread = [1.5] + [1.0] * arms
        scores = draw_many(60, [1.0] * arms, seeds=seeds, noise=1.0, rng=rng, shared=0.5, spread=spread)
        many = judge_many(scores, rule, calibration)
        for study, table in enumerate(scores):
            one = replay(table, rule, calibration)
            assert one.runs == many.runs[study]
            for outcome in one.outcomes:
                at = study, outcome.arm - 1
                assert SIGNS.get(outcome.verdict, 0) == many.sign[at]
                assert (outcome.verdict == "equivalent") == many.equivalent[at]
                assert outcome.seeds == many.seeds[at]
                last = (outcome.last.effect, outcome.last.se, outcome.last.dof)
                assert last == pytest.approx((many.effect[at], many.se[at], many.dof[at]))


def test_many_draws_are_those_of_one_study_and_more():
    drawn = [np.random.default_rng(3) for _ in range(2)]
    one = draw_scores([0.5, 0.0], seeds=4, noise=1.0, rng=drawn[0])
    assert one.tolist() == draw_many(1, [0.5, 0.0], seeds=4, noise=1.0, rng=drawn[1])[0].tolist()


def test_false_verdicts_of_many_are_those_of_each():
    rule, effects = Rule(margin=0.3), [0.0, 0.3, -0.5, 0.1]
    calibration = calibrate(4, rule, studies=1_000)
    scores = draw_many(300, effects, seeds=5, noise=0.3, rng=np.random.default_rng(1))
    found = judge_many(scores, rule, calibration).false(effects, rule)
    assert found.any()
    for study, table in enumerate(scores):
        outcomes = replay(table, rule, calibration).outcomes
        assert [is_false(one.verdict, effects[one.arm - 1], rule) for one in outcomes] == found[study].tolist()


def test_scores_of_another_number_of_seeds_are_refused():
    rule = Rule(margin=1)
    with pytest.raises(ValueError, match="do not fit 5 seeds"):
        judge_many(np.zeros((3, 4, 2)), rule, calibrate(1, rule, studies=100))
