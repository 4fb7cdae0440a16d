"""Guardrails: an arm is called within one at the study's level, whatever their number, and beyond it at the same."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, replay
from ablata.stats.guards import GuardedArm, judge_guard

RULE = Rule(seeds=5, first_look=5, futility=False)


def states(rise: float, noise: float, allowed: float = 3.0, studies: int = 400) -> list[list[str]]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(studies):
        scores = 100 + rng.normal(0, 2, (5, 1)) + rng.normal(0, noise, (5, 4))
        scores[:, 1:] += rise
        found.append([one.state for one in judge_guard(scores, RULE, allowed=allowed, higher_is_better=False)])
    return found


def test_arms_at_the_limit_are_called_within_in_no_more_than_the_studys_rate() -> None:
    at_limit = states(3.0, 1.0)
    assert np.mean(["within" in one for one in at_limit]) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5
    assert np.mean(["beyond" in one for one in at_limit]) <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


def test_a_joint_claim_is_false_in_no_more_than_the_studys_rate() -> None:
    """One arm is no better and costs nothing, the other is better and costs what is not allowed."""
    rng, false = np.random.default_rng(2), 0
    bound = calibrate(2, RULE)
    for _ in range(150):
        scores = rng.normal(0, 1, (5, 3)) + np.array([0.0, 0.0, 3.0])
        costs = rng.normal(100, 1, (5, 3)) + np.array([0.0, 0.0, 3.0])
        better = [one.verdict == "better" for one in replay(scores, RULE, bound).outcomes]
        kept = [one.state == "within" for one in judge_guard(costs, RULE, allowed=3.0, higher_is_better=False)]
        false += any(both for both in map(all, zip(better, kept, strict=True)))
    assert false / 150 <= 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5


def test_equal_arms_are_within_and_worse_ones_beyond() -> None:
    assert np.mean([one.count("within") / 3 for one in states(0.0, 1.0, studies=100)]) > 0.8
    assert np.mean([one.count("beyond") / 3 for one in states(8.0, 1.0, studies=100)]) > 0.9


def test_the_direction_turns_and_missing_values_leave_it_open() -> None:
    rng = np.random.default_rng(1)
    cost = 100 + rng.normal(0, 0.1, (5, 4)) + np.array([0.0, 0.0, 5.0, -5.0])
    low = judge_guard(cost, RULE, allowed=3.0, higher_is_better=False)
    high = judge_guard(-cost, RULE, allowed=3.0, higher_is_better=True)
    assert [one.state for one in low] == [one.state for one in high] == ["within", "beyond", "within"]
    assert low[0].worst == pytest.approx(-(high[0].worst or 0.0))
    assert low[0].worst is not None
    assert 0 < low[0].worst < 3
    cost[:, 2] = np.nan
    cost[0, 0] = np.nan
    assert [one.seeds for one in judge_guard(cost, RULE, allowed=3.0, higher_is_better=False)] == [4, 0, 4]
    assert judge_guard(cost[:1], RULE, allowed=3.0, higher_is_better=False)[0] == GuardedArm(state="open", seeds=0)
    with pytest.raises(ValueError, match="allowed"):
        judge_guard(cost, RULE, allowed=0.0, higher_is_better=False)
