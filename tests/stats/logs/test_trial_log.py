"""A log of single runs: what chance does in it, what the best is worth, and what repeats tell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablata.stats import Noise, TrialLogResult, TrialScore, judge_trial_log, mean_of_best

KNOWN = Noise(variance=1.0, df=math.inf, paired=False)
LOGS = 300


def _loop(
    rng: np.random.Generator, trials: int, mix: tuple[float, float], *, baseline: int = 1, again: int = 0
) -> tuple[list[TrialScore], list[float]]:
    """A greedy loop with noise 1; returns its runs and each run's true effect on the state before it.

    Args:
        rng: of the noise and the effects.
        trials: how many changes.
        mix: shares of changes that help and that harm, by about 1.
        baseline: runs of the first state.
        again: runs of each kept change after the first.
    """
    runs = [TrialScore(score=rng.normal(), kept=True, code=0) for _ in range(baseline)]
    effects, best, state = [0.0] * baseline, runs[0].score, 0.0
    for code in range(1, trials + 1):
        lot = rng.random()
        size = abs(rng.normal(1, 0.5))
        effect = size if lot < mix[0] else -size if lot < sum(mix) else 0.0
        score = state + effect + rng.normal()
        kept = bool(score > best)
        runs.append(TrialScore(score=score, kept=kept, code=code))
        effects.append(effect)
        if kept:
            best, state = score, state + effect
            runs += [TrialScore(score=state + rng.normal(), kept=True, code=code) for _ in range(again)]
            effects += [0.0] * again
    return runs, effects


@pytest.mark.parametrize(
    ("baseline", "again", "noise"), [(1, 0, KNOWN), (4, 0, None), (4, 0, KNOWN), (1, 2, None), (1, 2, KNOWN)]
)
def test_where_no_change_does_anything_at_most_5_percent_of_logs_have_one_beyond_chance(
    baseline: int, again: int, noise: Noise | None
) -> None:
    found = []
    for number in range(LOGS):
        runs, _ = _loop(np.random.default_rng([1, number]), 40, (0, 0), baseline=baseline, again=again)
        found.append(any(kept.seen for kept in judge_trial_log(runs, noise=noise).kept))
    assert np.mean(found) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / LOGS)


def test_useless_changes_are_called_beyond_chance_in_few_logs_where_others_help() -> None:
    false, sure, gains = [], [], []
    for number in range(LOGS):
        runs, effects = _loop(np.random.default_rng([2, number]), 60, (0.2, 0.3))
        result = judge_trial_log(runs, noise=KNOWN)
        false.append(any(kept.seen and effects[kept.index] <= 0 for kept in result.kept))
        true = sum(effects[kept.index] for kept in result.kept if kept.index <= result.best)
        assert result.at_least is not None
        sure.append(result.at_least <= max(true, 0))
        gains.append((result.claimed, true, result.chance))
    claimed, true, chance = np.mean(gains, axis=0)
    assert np.mean(false) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / LOGS)
    assert np.mean(sure) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / LOGS)
    assert claimed > true + 1, "the best of many runs looks better than it is"
    assert claimed - chance == pytest.approx(true, abs=0.8)


def test_large_steps_are_seen_and_runs_made_again_see_smaller_ones() -> None:
    large = [TrialScore(score=score, kept=True, code=code) for code, score in enumerate((0.0, 4.0, 4.5, 9.0))]
    assert [kept.seen for kept in judge_trial_log(large, noise=KNOWN).kept] == [True, False, True]
    again = [TrialScore(score=score, kept=True, code=code) for code in (0, 1) for score in [1.5 * code] * 12]
    (kept,) = judge_trial_log(again, noise=KNOWN).kept
    assert kept.again
    assert kept.seen
    (kept,) = judge_trial_log([again[0], again[-1]], noise=KNOWN).kept
    assert not kept.seen


def test_a_log_is_the_same_upside_down() -> None:
    runs, _ = _loop(np.random.default_rng(5), 30, (0.3, 0.3), baseline=3)
    turned = [TrialScore(score=-run.score, kept=run.kept, code=run.code) for run in runs]
    up, down = judge_trial_log(runs), judge_trial_log(turned, higher_is_better=False)

    def sizes(result: TrialLogResult) -> list[tuple[float, bool | None]]:
        return [(abs(kept.difference), kept.seen) for kept in result.kept]

    assert sizes(up) == sizes(down)
    assert (up.claimed, up.chance, up.at_least) == (-down.claimed, -(down.chance or 0), -(down.at_least or 0))


def test_without_noise_nothing_is_seen_and_what_would_do_is_told() -> None:
    runs = [TrialScore(score=score, kept=True, code=code) for code, score in enumerate((0.0, 1.0, 1.0))]
    for log in (runs, [runs[0], *runs]):
        result = judge_trial_log(log)
        assert (result.noise, result.chance) == (None, None)
        assert [(kept.seen, kept.tolerable > 0) for kept in result.kept] == [(None, True), (None, False)]
    first = judge_trial_log(runs).kept[0]
    almost = Noise(variance=(0.99 * first.tolerable) ** 2, df=math.inf, paired=False)
    assert judge_trial_log(runs, noise=almost).kept[0].seen


def test_the_best_of_many_runs_is_known_in_closed_form_for_two_and_three() -> None:
    assert mean_of_best(1) == 0
    assert mean_of_best(2) == pytest.approx(1 / math.sqrt(math.pi), rel=1e-3)
    assert mean_of_best(3) == pytest.approx(1.5 / math.sqrt(math.pi), rel=1e-3)
    for broken in ([], [TrialScore(score=math.nan, kept=True, code=0)]):
        with pytest.raises(ValueError):
            judge_trial_log(broken)
