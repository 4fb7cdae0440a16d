"""Guardrails: an arm is called within one, or beyond it, at the study's level over all arms and looks."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats import Rule, calibrate, replay
from ablata.stats.guards import GuardedArm, calibrate_guard, judge_guard
from ablata.stats.pick import choose, kept

ONCE = Rule(seeds=5, first_look=5, futility=False)
LOOKS = Rule(seeds=5)
BOUNDS = {rule: calibrate_guard(3, rule) for rule in (ONCE, LOOKS)}


def states(rise: float, noise: float, rule: Rule = ONCE, allowed: float = 3.0, studies: int = 150) -> list[list[str]]:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(studies):
        scores = 100 + rng.normal(0, 2, (5, 1)) + rng.normal(0, noise, (5, 4))
        scores[:, 1:] += rise
        judged = judge_guard(scores, rule, BOUNDS[rule], allowed=allowed, higher_is_better=False)
        found.append([one.state for one in judged])
    return found


def test_arms_at_the_limit_are_called_within_in_no_more_than_the_studys_rate_however_often_one_looks() -> None:
    most = 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5
    for rule in (ONCE, LOOKS):
        at_limit = states(3.0, 1.0, rule)
        assert np.mean(["within" in one for one in at_limit]) <= most
        assert np.mean(["beyond" in one for one in at_limit]) <= most


def test_a_joint_claim_is_false_in_no_more_than_the_studys_rate() -> None:
    """One arm is no better and costs nothing, the other is better and costs what is not allowed."""
    rng, false = np.random.default_rng(2), 0
    bound, guard = calibrate(2, ONCE), calibrate_guard(2, ONCE)
    for _ in range(100):
        scores = rng.normal(0, 1, (5, 3)) + np.array([0.0, 0.0, 3.0])
        costs = rng.normal(100, 1, (5, 3)) + np.array([0.0, 0.0, 3.0])
        better = [one.verdict == "better" for one in replay(scores, ONCE, bound).outcomes]
        judged = judge_guard(costs, ONCE, guard, allowed=3.0, higher_is_better=False)
        false += any(both and one.state == "within" for both, one in zip(better, judged, strict=True))
    assert false / 100 <= 0.05 + 2 * (0.05 * 0.95 / 100) ** 0.5


def test_equal_arms_are_within_and_worse_ones_beyond() -> None:
    for rule in (ONCE, LOOKS):
        assert np.mean([one.count("within") / 3 for one in states(0.0, 1.0, rule, studies=40)]) > 0.8
        assert np.mean([one.count("beyond") / 3 for one in states(8.0, 1.0, rule, studies=40)]) > 0.9


def test_a_quantity_without_any_spread_is_not_judged_unless_chance_has_no_part_in_it() -> None:
    flat = np.array([[100.0, 101.0, 109.0]] * 5)
    told = {"allowed": 3.0, "higher_is_better": False}
    bound, older = calibrate_guard(2, ONCE), calibrate_guard(2, ONCE, 2)
    assert [(one.state, one.effect, one.worst) for one in judge_guard(flat, ONCE, bound, **told)] == [
        ("open", 1.0, None), ("open", 9.0, None),
    ]  # fmt: skip
    assert [one.state for one in judge_guard(flat, ONCE, bound, **told, exact=True)] == ["within", "beyond"]
    assert [one.state for one in judge_guard(flat, ONCE, older, **told)] == ["within", "beyond"]
    rewritten = np.repeat([[99.13], [101.72], [100.44], [98.9], [100.01]], 3, axis=1)
    assert judge_guard(rewritten, ONCE, bound, **told)[0].state == "within", "the same training"


def test_the_direction_turns_and_missing_values_leave_it_open() -> None:
    rng = np.random.default_rng(1)
    cost = 100 + rng.normal(0, 0.1, (5, 4)) + np.array([0.0, 0.0, 5.0, -5.0])
    bound = BOUNDS[ONCE]
    low = judge_guard(cost, ONCE, bound, allowed=3.0, higher_is_better=False)
    high = judge_guard(-cost, ONCE, bound, allowed=3.0, higher_is_better=True)
    assert [one.state for one in low] == [one.state for one in high] == ["within", "beyond", "within"]
    assert low[0].worst == pytest.approx(-(high[0].worst or 0.0))
    assert low[0].worst is not None
    assert 0 < low[0].worst < 3
    share = judge_guard(cost, ONCE, bound, allowed=3.0, higher_is_better=False, percent=True)
    assert [one.state for one in share] == ["within", "beyond", "within"]
    assert share[1].effect == pytest.approx(100 * (low[1].effect or 0) / cost[:, 0].mean())
    cost[:, 2] = np.nan
    cost[0, 0] = np.nan
    found = judge_guard(cost, ONCE, bound, allowed=3.0, higher_is_better=False)
    assert [one.seeds for one in found] == [4, 0, 4]
    few = judge_guard(cost[:1], ONCE, bound, allowed=3.0, higher_is_better=False)
    assert few[0] == GuardedArm(state="open", seeds=0)
    with pytest.raises(ValueError, match="allowed"):
        judge_guard(cost, ONCE, bound, allowed=0.0, higher_is_better=False)


def test_the_first_answer_stays_and_an_arm_that_stopped_is_looked_at_no_more() -> None:
    rng = np.random.default_rng(3)
    cost = 100 + rng.normal(0, 0.1, (5, 4))
    cost[3:, 1] += 50
    cost[3:, 2] = np.nan
    found = judge_guard(cost, LOOKS, BOUNDS[LOOKS], allowed=3.0, higher_is_better=False)
    assert [(one.state, one.rows, one.seeds) for one in found] == [("within", 3, 3)] * 3
    # The noise of the others shrinks with later rows; what the stopped arm showed does not.
    wide = 100 + np.array([[0, 3, -3], [0, -3, 3], [0, 3, 3], [0, 0, 0], [0, 0, 0]], dtype=float)
    wide = np.column_stack([wide, 100.0 + np.arange(5) % 2])
    wide[3:, 2] = np.nan
    assert judge_guard(wide, LOOKS, BOUNDS[LOOKS], allowed=9.0, higher_is_better=False)[1].rows == 3


def test_a_choice_keeps_to_settings_that_probably_keep_the_guardrails() -> None:
    rng = np.random.default_rng(4)
    scores = rng.normal(0, 0.1, (5, 3)) + np.array([0.0, 2.0, 1.0])
    cost = rng.normal(100, 0.1, (5, 3)) + np.array([0.0, 5.0, 1.0])
    keeps = kept(cost, 3.0, percent=True)
    assert keeps[0] == 1
    assert keeps[1] is not None
    assert keeps[1] < 0.01
    assert choose(scores).best == 1
    found = choose(scores, keeps=[keeps])
    assert found.best == 2
    assert found.regret < 0.01
    assert found.probabilities[1] < 0.01
    cost[:, 1] = np.nan
    assert kept(cost, 3.0)[1] is None
    assert choose(scores, keeps=[kept(cost, 3.0)]).best == 1
