"""What a loop can find, beside simulated loops, and runs that make it blind."""

from __future__ import annotations

import numpy as np

from ablata.stats.loop import Decision, Evidence, LoopMode, LoopRule, findable, judge_proposal, outliers


def test_a_change_of_the_size_that_is_said_to_be_found_is_kept_in_8_of_10_cases() -> None:
    rule, random = LoopRule(margin=None, higher_is_better=True), np.random.default_rng(7)
    size, kept = findable(rule, 2.0, 0.03), 0
    # The noise is known from many runs before.
    pools = [list(random.normal(0, 2.0, 60)) for _ in range(2)]
    for _ in range(200):
        base, own = random.normal(0, 2.0, 30), random.normal(size, 2.0, 12)
        have, runs = 0, 0
        while True:
            evidence = Evidence(
                baseline=dict(enumerate(base[:have])), proposal=dict(enumerate(own[:runs])), pools=pools
            )
            step = judge_proposal(rule, evidence, 0.03)
            if isinstance(step, Decision):
                kept += step.outcome == "keep"
                break
            have, runs = have + step.baseline, runs + step.proposal
    assert abs(kept / 200 - 0.8) < 0.07
    assert findable(rule, 4.0, 0.03) == 2 * size
    assert findable(LoopRule(margin=None, higher_is_better=True, mode=LoopMode.CLAIM), 2.0, 0.001) > size


def test_a_run_that_went_wrong_is_named_and_ordinary_ones_are_not() -> None:
    random = np.random.default_rng(3)
    broken = dict(enumerate([90.1, 89.8, 90.3, 90.0, 10.0, 90.2]))
    (found,) = outliers(broken)
    assert (found.seed, found.low, found.others) == (4, 89.8, 5)
    assert "seed 4 of the baseline scored 10" in found.words()
    assert outliers({0: 90.0, 1: 10.0}) == []
    assert len(outliers({0: 90.0, 1: 10.0}, [[89.0, 90.0, 91.0] * 3])) == 2
    assert "proposal 3 scored 10" in found.words(3)
    assert "ablata loop confirm" in found.words(3, is_lucky=True)
    assert len(outliers({0: 5.0, 1: 5.0, 2: 5.0, 3: 5.1})) == 1
    assert outliers(dict.fromkeys(range(4), 5.0)) == []
    told = sum(bool(outliers(dict(enumerate(random.normal(0, 1, 6))))) for _ in range(2000))
    assert told / 2000 < 0.015
