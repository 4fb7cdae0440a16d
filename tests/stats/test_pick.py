"""Picking: beliefs equal the mixed model's, runs go where they matter, and regret is far below equal allocation's."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.stats.pick import ArmChoice, Beliefs, after, beliefs, choose, next_run


def test_beliefs_are_those_of_the_mixed_model_written_out() -> None:
    rng = np.random.default_rng(0)
    scores = 90 + rng.normal(0, 1, (5, 4)) + rng.normal(0, 0.7, (5, 1)) + np.array([0.0, 1.0, -0.5, 0.3])
    scores[2:, 2] = np.nan
    scores[4, 0] = np.nan
    found = beliefs(scores)
    row, column = np.nonzero(~np.isnan(scores))
    values = scores[row, column]
    noise = float(found.noise)
    # s^2 by least squares with seeds and settings as fixed effects.
    design = np.concatenate([np.eye(5)[row], np.eye(4)[column]], axis=1)
    left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    assert noise == pytest.approx(left @ left / (len(values) - 8))
    # With tau and v as estimated, the posterior of level and effects; v and tau are read off the result's own model.
    from ablata.stats.pick import _variances

    mask = (~np.isnan(scores)).astype(float)
    filled = np.where(mask > 0, scores - np.nanmean(scores), 0.0)
    _, shared, spread = _variances(filled, mask, mask.sum(1), mask.sum(0))
    made = noise * np.eye(len(values)) + float(shared) * (row[:, None] == row[None, :])
    effects = np.eye(4)[column][:, 1:]
    wide = 1e8
    prior = np.diag([wide, *([float(spread)] * 3)])
    loads = np.column_stack([np.ones(len(values)), effects])
    gain = prior @ loads.T @ np.linalg.inv(loads @ prior @ loads.T + made)
    theta = gain @ (values - np.nanmean(scores))
    left_over = prior - gain @ loads @ prior
    assert found.mean[1:] - found.mean[0] == pytest.approx(theta[1:], abs=1e-4)
    assert found.covariance[1, 1] + found.covariance[0, 0] - 2 * found.covariance[0, 1] == pytest.approx(
        left_over[1, 1], abs=1e-4
    )


def test_runs_go_to_those_that_may_be_best_and_a_pending_run_counts() -> None:
    mean = np.array([0.0, 1.0, 0.9, -4.0])
    state = Beliefs(mean, 0.3 * np.eye(4), np.array(1.0), np.full(4, 3.0))
    first = int(next_run(state, 10))
    assert first in (1, 2)
    later = after(state, first)
    assert later.covariance[first, first] == pytest.approx(0.3 - 0.3**2 / 1.3)
    assert later.runs[first] == 4
    assert int(next_run(later, 9)) == 3 - first


def test_a_choice_states_what_it_may_cost_and_turns_with_the_direction() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(0, 1, (6, 1)) + rng.normal(0, 0.3, (6, 3)) + np.array([0.0, 1.0, -1.0])
    up, down = choose(scores), choose(scores, higher_is_better=False)
    assert (up.best, down.best) == (1, 2)
    assert up.effects[1] > 0.6 > 0 > up.effects[2]
    assert down.effects == pytest.approx(up.effects)
    assert up.probabilities[1] > 0.95
    assert 0 <= up.regret < 0.02
    assert sum(up.probabilities) == pytest.approx(1)
    assert ArmChoice.from_json(up.to_json()) == up
    assert choose(np.full((2, 3), 88.0)).regret == pytest.approx(0, abs=1e-4)
    with pytest.raises(ValueError, match="needs a run"):
        choose([[1.0, np.nan], [2.0, np.nan]])


def test_regret_is_a_third_below_equal_allocation() -> None:
    rng = np.random.default_rng(3)
    studies, arms, budget, tau = 150, 8, 45, 0.5
    truth = np.concatenate([np.zeros((studies, 1)), tau * rng.standard_normal((studies, arms))], axis=1)
    noise = np.sqrt(0.75) * rng.standard_normal((studies, budget - arms, arms + 1))
    scores = truth[:, None] + 0.5 * rng.standard_normal((studies, budget - arms, 1)) + noise
    which = np.arange(studies)
    equal = scores[:, :5].mean(axis=1).argmax(axis=1)
    seen, each = np.full_like(scores, np.nan), np.full((studies, arms + 1), 2)
    seen[:, :2] = scores[:, :2]
    for left in range(budget - 2 * (arms + 1), 0, -1):
        chosen = next_run(beliefs(seen[:, : each.max()]), left)
        seen[which, each[which, chosen], chosen] = scores[which, each[which, chosen], chosen]
        each[which, chosen] += 1
    picked = beliefs(seen[:, : each.max()]).mean.argmax(axis=1)
    lost, plain = (np.mean(truth.max(axis=1) - truth[which, one]) for one in (picked, equal))
    assert lost < 2 / 3 * plain
