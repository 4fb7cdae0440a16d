import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from ablata.stats import Look, Replay, Rule, Verdict, calibrate, draw_scores, look, replay

RULE = Rule(margin=0.3)
NAN = float("nan")


def quiet(effects, seeds=5, noise=0.02, number=0):
    return draw_scores(effects, seeds=seeds, noise=noise, shared=1.0, rng=np.random.default_rng(number))


def test_clear_effects_are_decided_at_the_first_look_with_a_reason():
    scores = quiet([1.0, -1.0, 0.0])
    found = replay(scores, RULE, calibrate(3, RULE))
    assert [outcome.verdict for outcome in found.outcomes] == ["better", "worse", "equivalent"]
    assert [outcome.seeds for outcome in found.outcomes] == [3, 3, 3]
    assert found.outcomes[0].reason.startswith("better after 3 seeds: the difference is between +")
    assert found.outcomes[2].reason.startswith("equivalent within 0.3 after 3 seeds: any difference")
    assert found.runs == 12


def test_a_loss_turns_better_and_worse_round_and_keeps_the_effect():
    scores, rule = quiet([1.0, -1.0]), replace(RULE, higher_is_better=False)
    found = replay(scores, rule, calibrate(2, rule))
    assert [outcome.verdict for outcome in found.outcomes] == ["worse", "better"]
    assert found.outcomes[0].last.effect == pytest.approx(1.0, abs=0.1)


def test_no_verdict_falls_before_the_first_look():
    calibration = calibrate(2, RULE)
    for seeds in (1, 2):
        early = look(quiet([1.0, 0.0])[:seeds], RULE, calibration)
        assert [arm.verdict for arm in early.arms] == ["undecided", "undecided"]
        assert early.open_arms == (1, 2)
        assert early.arms[0].interval is None
        assert early.arms[0].confidence is None
        assert "first verdict needs 3" in early.arms[0].reason


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_study_smaller_than_its_first_look_ends_undecided_and_says_so(seeds):
    rule = Rule(margin=0.3, seeds=seeds)
    found = replay(quiet([1.0, 0.0], seeds=seeds), rule, calibrate(2, rule))
    assert [outcome.verdict for outcome in found.outcomes] == ["undecided", "undecided"]
    assert [outcome.open for outcome in found.outcomes] == [False, False]
    assert found.outcomes[0].seeds == seeds
    needed = f"the first one needs 3 seeds and the study has {seeds}"
    assert found.outcomes[0].reason == f"no verdict: {needed}; ask again with more"


def test_an_arm_that_is_still_open_goes_on_and_an_arm_at_the_last_seed_does_not():
    rule = replace(RULE, futility=False, margin=0.01)
    calibration, scores = calibrate(1, rule), quiet([0.1], noise=0.2)
    halfway = look(scores[:3], rule, calibration).arms[0]
    end = look(scores, rule, calibration).arms[0]
    assert (halfway.verdict, halfway.open) == ("undecided", True)
    assert halfway.reason.startswith("open after 3 of 5 seeds: the difference is between ")
    assert (end.verdict, end.open) == ("undecided", False)
    assert end.reason.startswith("undecided after 5 seeds: the difference is between ")


def test_futility_stops_an_arm_that_cannot_be_settled_and_can_be_switched_off():
    scores = quiet([0.15], noise=0.25, number=1)
    stopped = replay(scores, RULE, calibrate(1, RULE)).outcomes[0]
    assert (stopped.verdict, stopped.open) == ("undecided", False)
    assert stopped.seeds < 5
    assert stopped.reason.startswith("5 seeds cannot settle this: the effect is probably of a size between ")
    patient = replace(RULE, futility=False)
    assert replay(scores, patient, calibrate(1, patient)).outcomes[0].seeds == 5


def test_futility_compares_the_likely_effects_with_what_the_last_look_needs():
    calibration, seen = calibrate(3, RULE), set()
    for number in range(200):
        found = look(quiet([0.15, 0.3, 1.0], noise=(0.15, 0.1)[number % 2], number=number)[:3], RULE, calibration)
        unsettled = sum(arm.verdict == "undecided" for arm in found.arms)
        for arm in found.arms:
            if arm.verdict != "undecided":
                continue
            se_end, drift, dof = arm.se * 0.6**0.5, 1.28 * arm.se * 0.4**0.5, arm.dof + 2 * unsettled
            c, effect = calibration.bound, abs(arm.effect)
            differs = effect + drift < t.ppf(1 - c / 2, dof) * se_end
            equals = t.ppf(1 - c, dof) * se_end + max(effect - drift, 0) > RULE.margin
            assert (differs and equals) == (not arm.open)
            seen.add((unsettled, arm.open))
    assert {(2, True), (2, False), (3, True), (3, False)} <= seen


def test_the_interval_excludes_zero_exactly_when_the_difference_is_below_the_bound():
    rule = replace(RULE, margin=1e-6)
    calibration = calibrate(2, rule)
    for number in range(40):
        for arm in look(quiet([0.4, 0.0], noise=0.2, number=number), rule, calibration).arms:
            low, high = arm.interval
            assert (low > 0 or high < 0) == (arm.p_difference < arm.bound)
            assert (low + high) / 2 == pytest.approx(arm.effect)


def test_a_verdict_carries_at_least_the_confidence_of_its_error_rate():
    calibration = calibrate(3, RULE)
    verdicts = replay(quiet([1.0, -1.0, 0.0], noise=0.1), RULE, calibration).outcomes
    for outcome in verdicts:
        assert outcome.verdict != "undecided"
        assert outcome.last.confidence >= 0.9499


def test_a_screening_verdict_is_said_to_lean():
    rule = replace(RULE, alpha=0.20)
    arm = look(quiet([1.0], seeds=3), rule, calibrate(1, rule)).arms[0]
    assert arm.verdict == "better"
    assert arm.reason.startswith("leaning better after 3 seeds")
    assert any("20%" in note for note in arm.notes)


def test_a_tiny_but_certain_gain_is_equivalent_within_the_margin():
    found = look(quiet([0.05], noise=0.001), RULE, calibrate(1, RULE)).arms[0]
    assert found.p_difference < found.bound
    assert found.verdict == "equivalent"


def test_a_closed_arm_is_left_out_of_the_look_and_its_noise_still_counts():
    scores = quiet([1.0, 0.4], noise=0.2)
    closed = scores.copy()
    closed[3:, 1] = NAN
    rule = replace(RULE, futility=False)
    found = look(closed, rule, calibrate(2, rule))
    assert [arm.arm for arm in found.arms] == [2]
    assert found.residual_df == 2 + 2 + 1 + 1


def test_replay_uses_no_score_after_an_arm_was_closed():
    scores = quiet([1.0, 0.4], noise=0.05, number=3)
    calibration = calibrate(2, RULE)
    found = replay(scores, RULE, calibration)
    assert found.outcomes[0].seeds == 3
    ruined = scores.copy()
    ruined[3:, 1] = 1e6
    masked = scores.copy()
    masked[3:, 1] = NAN
    assert replay(ruined, RULE, calibration) == replay(masked, RULE, calibration) == found


def test_replay_gives_at_each_row_what_a_look_gives():
    rng = np.random.default_rng(8)
    calibration = calibrate(4, RULE)
    for _ in range(20):
        scores = draw_scores([0.0, 0.3, -0.5, 1.0], seeds=5, noise=0.2, rng=rng)
        for seen in replay(scores, RULE, calibration).looks:
            assert look(scores[: seen.seeds], RULE, calibration) == seen
            for arm in seen.arms:
                if not arm.open:
                    scores[seen.seeds :, arm.arm] = NAN


def test_an_arm_that_was_closed_from_outside_has_no_verdict():
    scores = quiet([0.0, 0.3], noise=0.3)
    scores[2:, 2] = NAN
    rule = replace(RULE, futility=False, margin=0.01)
    outcome = replay(scores, rule, calibrate(2, rule)).outcomes[1]
    assert (outcome.verdict, outcome.open, outcome.seeds) == ("undecided", False, 2)
    assert outcome.reason == "closed after 2 seeds without a verdict"


def test_an_arm_without_any_run_cannot_be_replayed():
    with pytest.raises(ValueError, match="columns \\[2\\] have none"):
        replay([[1.0, 2.0, NAN]], RULE, calibrate(2, RULE))


def test_more_rows_than_planned_and_a_foreign_calibration_are_refused():
    with pytest.raises(ValueError, match="fixed for 5 seeds, got 6"):
        look(quiet([0.0], seeds=6), RULE, calibrate(1, RULE))
    with pytest.raises(ValueError, match="calibration must be for 2 arms"):
        look(quiet([0.0, 0.0]), RULE, calibrate(1, RULE))


def test_a_constant_per_seed_and_the_order_of_arms_leave_all_verdicts_as_they_are():
    rng, calibration = np.random.default_rng(9), calibrate(3, RULE)
    for _ in range(20):
        scores = draw_scores([0.0, 0.4, -0.6], seeds=5, noise=0.2, rng=rng)
        verdicts = [outcome.verdict for outcome in replay(scores, RULE, calibration).outcomes]
        shifted = replay(scores + rng.normal(0, 9, (5, 1)), RULE, calibration).outcomes
        turned = replay(scores[:, [0, 3, 1, 2]], RULE, calibration).outcomes
        assert [outcome.verdict for outcome in shifted] == verdicts
        assert [turned[at].verdict for at in (1, 2, 0)] == verdicts


def test_all_arms_better_than_the_control_is_not_called_equivalent():
    rng, calibration = np.random.default_rng(10), calibrate(10, RULE)
    verdicts = [
        outcome.verdict
        for _ in range(30)
        for outcome in replay(draw_scores([0.5] * 10, seeds=5, noise=0.2, rng=rng), RULE, calibration).outcomes
    ]
    assert Verdict.EQUIVALENT not in verdicts
    assert Verdict.WORSE not in verdicts
    assert verdicts.count(Verdict.BETTER) > 100


def test_looks_and_replays_survive_json():
    scores = quiet([1.0, 0.1, 0.0], noise=0.2)
    diverged = np.zeros(scores.shape, dtype=bool)
    diverged[:2, 2] = True
    found = replay(scores, RULE, calibrate(3, RULE), diverged=diverged)
    assert Replay.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found
    first = found.looks[0]
    assert Look.from_json(json.loads(json.dumps(first.to_json(), allow_nan=False))) == first
    assert Rule.from_json(json.loads(json.dumps(RULE.to_json()))) == RULE


def test_a_stored_look_with_an_unknown_key_is_refused():
    stored = look(quiet([1.0]), RULE, calibrate(1, RULE)).to_json()
    with pytest.raises(TypeError, match="colour"):
        Look.from_json(stored | {"colour": 1})


@pytest.mark.slow
def test_without_a_margin_nothing_is_equivalent_and_all_else_is_as_with_a_hopeless_one() -> None:
    """A margin far below the noise is never confirmed, so that both rules decide the same at the same look."""
    rng = np.random.default_rng(5)
    without, hopeless = replace(RULE, margin=None), replace(RULE, margin=1e-9)
    bound = calibrate(4, RULE, studies=2000)
    verdicts = set()
    for _ in range(200):
        scores = draw_scores((0.0, 0.2, -0.5, 1.0), seeds=RULE.seeds, noise=0.25, rng=rng)
        ours, theirs = replay(scores, without, bound), replay(scores, hopeless, bound)
        assert [(arm.verdict, arm.seeds) for arm in ours.outcomes] == [
            (arm.verdict, arm.seeds) for arm in theirs.outcomes
        ]
        assert all(arm.last.p_equivalence is None and "margin" not in arm.reason for arm in ours.outcomes)
        assert Replay.from_json(ours.to_json()) == ours
        verdicts |= {arm.verdict for arm in ours.outcomes}
    assert verdicts == {Verdict.BETTER, Verdict.WORSE, Verdict.UNDECIDED}


def test_without_a_margin_arms_without_any_noise_are_not_equivalent_either() -> None:
    """Programs whose seed does nothing give the same difference every time; only a margin makes equal what is close."""
    rule = replace(RULE, margin=None)
    found = replay([[1.0, 1.0, 1.5]] * 5, rule, calibrate(2, rule, version=2))
    assert [arm.verdict for arm in found.outcomes] == ["undecided", "better"]


def test_runs_without_any_spread_give_no_verdict_and_the_reason_says_what_would_settle_it() -> None:
    """One figure apart at every seed: as certain as it looks, nothing was seen of what chance does."""
    moving = [[90.1 + seed / 10, 89.6 + seed / 10, 91.1 + seed / 10] for seed in range(5)]
    single = [[float(np.float32(value)) for value in row] for row in moving]
    for scores in ([[1.0, 0.5, 2.0]] * 5, moving, single):
        for rule in (replace(RULE, margin=0.3), replace(RULE, margin=None)):
            found = replay(scores, rule, calibrate(2, rule, studies=500))
            assert [arm.verdict for arm in found.outcomes] == ["undecided"] * 2
            assert [arm.seeds for arm in found.outcomes] == [5, 5], "the next seed may differ"
            assert all(arm.last.bound is arm.last.interval is arm.last.confidence is None for arm in found.outcomes)
            assert "the difference is -0.5 at every seed" in found.outcomes[0].reason
            assert "+1 at every seed, and without any spread" in found.outcomes[1].reason
            assert "To settle it: let the seed reach the training" in found.outcomes[1].reason
            assert found.looks[2].arms[1].open
            assert "To settle" not in found.looks[2].arms[1].reason
    tied = replay([[1.0, 1.0, 2.0]] * 4 + [[1.0, 1.1, 2.1]], RULE, calibrate(2, RULE))
    assert tied.outcomes[1].verdict == "better", "the last row shows what a run varies by"


def test_a_program_that_was_only_rewritten_is_equivalent_and_ties_of_coarse_scores_are_not() -> None:
    rule = replace(RULE, margin=0.3)
    fine, coarse = [90.137, 90.411, 89.986, 90.772, 90.05], [90.0, 91.0, 89.0, 93.0, 94.0]
    for scores, verdict in (
        ([[score, score] for score in fine], "equivalent"),
        ([[score, score] for score in coarse], "undecided"),
        ([[score, score + 1e-9] for score in fine], "undecided"),
        ([[90.137, 90.137]] * 5, "undecided"),
    ):
        assert replay(scores, rule, calibrate(1, rule, studies=500)).outcomes[0].verdict == verdict
    rule = replace(RULE, margin=1.0)
    assert (
        replay([[score] * 2 for score in coarse], rule, calibrate(1, rule, studies=500)).outcomes[0].verdict
        == "equivalent"
    )
