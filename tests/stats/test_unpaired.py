import numpy as np
import scipy.stats

from ablata.stats import Rule, calibrate, draw_scores, look, replay

RULE = Rule(margin=0.3)


def test_an_arm_from_another_environment_class_says_so_and_has_no_gain_from_pairing():
    scores = draw_scores([1.0, 1.0], seeds=5, noise=0.05, shared=2.0, rng=np.random.default_rng(0))
    apart = np.zeros((5, 2), dtype=bool)
    apart[4, 1] = True
    paired, unpaired = look(scores, RULE, calibrate(2, RULE), unpaired=apart).arms
    assert (paired.paired, paired.verdict, paired.notes) == (True, "better", ())
    assert (unpaired.paired, unpaired.verdict) == (False, "undecided")
    assert unpaired.notes[0].startswith("arm and control are not compared seed by seed")
    statistic = scipy.stats.ttest_ind(scores[:, 2], scores[:, 0], equal_var=False).statistic
    assert np.isclose(unpaired.p_difference, 2 * scipy.stats.t.sf(abs(statistic), 4))


def test_an_unpaired_arm_can_still_be_decided_when_the_gap_is_wide():
    scores = draw_scores([1.0], seeds=5, noise=0.05, shared=0.05, rng=np.random.default_rng(1))
    found = replay(scores, RULE, calibrate(1, RULE), unpaired=np.ones((5, 1), dtype=bool)).outcomes[0]
    assert found.verdict == "better"
    assert found.last.effect_size > 5


def test_replay_learns_of_an_unpaired_run_only_at_its_seed():
    scores = draw_scores([1.0], seeds=5, noise=0.05, shared=2.0, rng=np.random.default_rng(2))
    apart = np.zeros((5, 1), dtype=bool)
    apart[4] = True
    found = replay(scores, RULE, calibrate(1, RULE), unpaired=apart).outcomes[0]
    assert (found.verdict, found.seeds, found.last.paired) == ("better", 3, True)
