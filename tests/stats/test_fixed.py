"""Scores that exist, judged once: against scipy, and by the share of false verdicts in simulated tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import dunnett, ttest_rel

from ablata.stats import Verdict, judge_groups, judge_pairs, smallest_visible

ALPHA = 0.05


def _highest(tables: int) -> float:
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / tables)


@pytest.mark.parametrize("sizes", [(5, 5), (3, 3, 3, 3), (20, 5, 5), (10, 1, 1, 1), (4, 8, 2)], ids=str)
def test_false_verdicts_stay_at_five_percent_of_tables(sizes: tuple[int, ...]) -> None:
    rng, tables = np.random.default_rng(1), 600
    wrong = 0
    for _ in range(tables):
        noise = np.exp(0.3 * rng.standard_normal(len(sizes)))
        groups = [scale * rng.standard_normal(size) for scale, size in zip(noise, sizes, strict=True)]
        found = judge_groups(groups[0], groups[1:])
        wrong += any(arm.verdict is not Verdict.UNDECIDED for arm in found.arms)
    assert wrong / tables <= _highest(tables)


def test_a_table_of_many_runs_is_judged_as_dunnett_would() -> None:
    """With hundreds of runs the moderation and the spread of noise that is assumed have little left to change."""
    rng = np.random.default_rng(2)
    agree, tables = 0, 60
    for _ in range(tables):
        groups = [rng.standard_normal(200) + shift for shift in (0.0, 0.0, 0.3)]
        theirs = dunnett(groups[1], groups[2], control=groups[0], random_state=0).pvalue < ALPHA
        ours = [arm.verdict is not Verdict.UNDECIDED for arm in judge_groups(groups[0], groups[1:]).arms]
        agree += ours == list(theirs)
    assert agree >= 0.9 * tables


def test_intervals_hold_for_all_arms_together() -> None:
    rng, truth, tables = np.random.default_rng(3), np.array([0.5, -0.5, 0.0]), 400
    covered = 0
    for _ in range(tables):
        arms = [rng.standard_normal(6) + effect for effect in truth]
        found = judge_groups(rng.standard_normal(6), arms)
        intervals = [arm.interval for arm in found.arms]
        covered += all(one and one[0] <= effect <= one[1] for one, effect in zip(intervals, truth, strict=True))
    assert covered / tables >= 1 - _highest(tables)


def test_pairs_see_what_groups_cannot() -> None:
    """Seeds that differ by far more than the arms do drop out of the differences."""
    rng = np.random.default_rng(4)
    seed = 10 * rng.standard_normal(6)
    control = seed + 0.1 * rng.standard_normal(6)
    arm = control + 0.5 + 0.1 * rng.standard_normal(6)
    paired = judge_pairs(dict(enumerate(zip(control, arm, strict=True))))
    assert paired.arms[0].verdict is Verdict.BETTER
    assert judge_groups(control, [arm]).arms[0].verdict is Verdict.UNDECIDED
    assert paired.arms[0].effect == pytest.approx((arm - control).mean())
    assert ttest_rel(arm, control).pvalue < ALPHA


def test_false_verdicts_of_pairs_stay_at_five_percent_even_where_runs_are_missing() -> None:
    rng, tables = np.random.default_rng(5), 500
    wrong = 0
    for _ in range(tables):
        scores: dict[int, list[float | None]] = {}
        for row in range(5):
            values = (rng.standard_normal() + 0.5 * rng.standard_normal(4)).tolist()
            scores[row] = [values[0], *(None if rng.random() < 0.15 else value for value in values[1:])]
        wrong += any(arm.verdict is not Verdict.UNDECIDED for arm in judge_pairs(scores).arms)
    assert wrong / tables <= _highest(tables)


def test_a_margin_lets_quiet_equal_arms_be_equivalent() -> None:
    rng = np.random.default_rng(6)
    control, arm = 0.01 * rng.standard_normal(5), 0.01 * rng.standard_normal(5)
    assert judge_groups(control, [arm], margin=0.5).arms[0].verdict is Verdict.EQUIVALENT
    assert judge_groups(control, [arm]).arms[0].verdict is not Verdict.EQUIVALENT


def test_lower_scores_are_better_where_it_is_said() -> None:
    groups = ([1.0, 1.01, 0.99], [[2.0, 2.01, 1.99]])
    assert judge_groups(*groups).arms[0].verdict is Verdict.BETTER
    assert judge_groups(*groups, higher_is_better=False).arms[0].verdict is Verdict.WORSE


def test_single_runs_decide_nothing_and_one_run_against_many_may() -> None:
    alone = judge_groups([1.0], [[2.0], [3.0]])
    assert [arm.verdict for arm in alone.arms] == [Verdict.UNDECIDED] * 2
    assert alone.bound is None
    assert smallest_visible(alone, 0) is None
    rng = np.random.default_rng(7)
    many = judge_groups(rng.standard_normal(30), [[9.0]])
    assert many.arms[0].verdict is Verdict.BETTER


def test_what_would_be_seen_is_seen_in_four_of_five_tables() -> None:
    rng, tables = np.random.default_rng(8), 400
    shift = smallest_visible(judge_groups(rng.standard_normal(400), [rng.standard_normal(400)]), 0)
    assert shift is not None
    seen = 0
    for _ in range(tables):
        found = judge_groups(rng.standard_normal(400), [rng.standard_normal(400) + shift])
        seen += found.arms[0].verdict is Verdict.BETTER
    assert 0.72 <= seen / tables <= 0.88


def test_scores_that_are_none_are_refused() -> None:
    for groups in (([], [[1.0]]), ([1.0], [[]]), ([math.nan], [[1.0]])):
        with pytest.raises(ValueError, match="at least one score"):
            judge_groups(*groups)
    with pytest.raises(ValueError, match="every seed"):
        judge_pairs({0: [None, 1.0]})


def test_differences_that_never_vary_show_no_noise_and_decide_nothing() -> None:
    control = [90.1, 90.4, 89.9, 90.7]
    shifted = judge_pairs({seed: [score, score + 1.2] for seed, score in enumerate(control)})
    equal = judge_groups([0.1 + 0.2, 0.3, 0.3], [[0.4, 0.4, 0.4]])
    for found in (shifted, equal):
        assert (found.arms[0].verdict, found.arms[0].interval, found.noise) == ("undecided", None, None)
    (both,) = judge_pairs({seed: [s, s + 1.2, s + s % 0.7] for seed, s in enumerate(control)}).arms[:1]
    assert both.interval is not None
    assert both.interval[1] - both.interval[0] > 0.1
