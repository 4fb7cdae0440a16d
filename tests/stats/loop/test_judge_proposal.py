"""One proposal at a time: the judge asks for runs until it decides, and says the same as many loops at once."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ablata.stats.loop import Decision, Evidence, LoopMode, LoopRule, More, expected_runs, judge_proposal, level_of
from ablata.stats.loop.simulation import ProposalMix, play_loops

RULE = LoopRule(margin=None, higher_is_better=True)
BASELINE = {0: 90.1, 1: 90.5, 2: 89.8, 3: 90.2, 4: 90.4, 5: 90.0}


def decided(rule: LoopRule, proposal: list[float], baseline: dict[int, float] = BASELINE) -> Decision:
    """The end of a proposal that scores so, fed as the judge asks."""
    have, used = dict(baseline), 0
    for _ in range(100):
        evidence = Evidence(baseline=have, proposal=dict(enumerate(proposal[:used])))
        step = judge_proposal(rule, evidence, level_of(rule, []))
        if isinstance(step, Decision):
            return step
        assert step.baseline + step.proposal > 0
        have |= {len(have) + number: baseline[3] for number in range(step.baseline)}
        used += step.proposal
    raise AssertionError("the judge never ends")


def test_the_baseline_is_measured_first_and_grows_while_a_proposal_goes_on() -> None:
    assert judge_proposal(RULE, Evidence(baseline={}, proposal={}), 0.035) == More(
        baseline=6, proposal=1, reason="a first run of the proposal, beside fresh runs of the baseline"
    )
    step = judge_proposal(RULE, Evidence(baseline=BASELINE, proposal={0: 90.5}), 0.035)
    assert isinstance(step, More)
    assert (step.baseline, step.proposal) == (1, 1)


def test_proposals_end_as_their_scores_say_whichever_way_is_better() -> None:
    cases = {
        "far better": ([92.0, 91.8], "keep", "better"),
        "far worse": ([88.0], "discard", "worse"),
        "as good": ([90.2], "discard", "undecided"),
        "a lucky run": ([90.6, 90.0], "discard", "undecided"),
    }
    turned = {seed: -score for seed, score in BASELINE.items()}
    for scores, outcome, verdict in cases.values():
        for rule, own, baseline in (
            (RULE, scores, BASELINE),
            (replace(RULE, higher_is_better=False), [-score for score in scores], turned),
        ):
            found = decided(rule, own, baseline)
            assert (found.outcome, found.verdict) == (outcome, verdict), found
            assert (max(found.interval) < 0 or min(found.interval) > 0) == (verdict in ("better", "worse"))
    kept = decided(RULE, [92.0, 91.8])
    assert kept.p is not None
    assert kept.p <= kept.level
    assert kept.effect == pytest.approx(1.73, abs=0.01)
    assert "1.7" in kept.reason
    assert "6 of the baseline" not in kept.reason, "the baseline has grown to 7"
    few = decided(replace(RULE, most_runs=3), [90.6, 90.3, 90.5])
    assert (few.outcome, few.verdict, few.priority > 0) == ("undecided", "undecided", True)


def test_a_margin_shows_equivalence_and_who_seeks_it_gets_more_runs() -> None:
    margin = replace(RULE, margin=0.8)
    assert decided(margin, [90.2]).verdict == "undecided", "given up after one run"
    sought = decided(replace(margin, seek_equivalence=True), [90.2] * 12)
    assert (sought.outcome, sought.verdict) == ("discard", "equivalent")
    assert decided(replace(margin, seek_equivalence=True), [89.0]).outcome == "discard"
    assert decided(replace(RULE, seek_equivalence=True), [90.2]).outcome == "discard", (
        "nothing to seek without a margin"
    )


def test_runs_without_noise_keep_nothing_and_decided_by_themselves_in_the_first_version() -> None:
    flat = dict.fromkeys(range(7), 0.5)
    for rule in (RULE, replace(RULE, version=1)):
        assert decided(rule, [0.5], flat).outcome == "discard"
    level = RULE.level
    two = Evidence(baseline=flat, proposal={0: 0.6, 1: 0.6})
    kept = judge_proposal(replace(RULE, version=1), two, level)
    assert isinstance(kept, Decision)
    assert (kept.outcome, kept.interval) == ("keep", pytest.approx((0.1, 0.1)))
    assert isinstance(judge_proposal(RULE, two, level), More), "a further run may differ"
    ended = judge_proposal(RULE, Evidence(baseline=flat, proposal=dict.fromkeys(range(3), 0.6 + 1e-12)), level)
    assert isinstance(ended, Decision)
    assert (ended.outcome, ended.verdict, ended.interval) == ("undecided", "undecided", None)
    assert "+0.1, and runs of equal code score the same" in ended.reason


def test_a_rule_is_stored_and_wrong_use_is_refused() -> None:
    claim = LoopRule(margin=0.2, higher_is_better=False, mode=LoopMode.CLAIM)
    assert (claim.most_runs, claim.level) == (24, 0.10)
    assert LoopRule.from_json(json.loads(json.dumps(claim.to_json()))) == claim
    for wrong in ({"margin": 0.0}, {"most_runs": 1}, {"level": 0.6}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            replace(RULE, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="finite"):
        judge_proposal(RULE, Evidence(baseline=BASELINE, proposal={0: math.nan}), 0.035)
    with pytest.raises(ValueError, match="level"):
        judge_proposal(RULE, Evidence(baseline=BASELINE, proposal={0: 90.0}), 0.0)


def test_the_cost_is_told_before() -> None:
    fresh = expected_runs(RULE, Evidence(baseline={}, proposal={}), 0.035)
    assert (fresh.least, fresh.most) == (7, 12 + 12)
    assert 8 < fresh.mean < 9.5
    later = expected_runs(RULE, Evidence(baseline=BASELINE, proposal={}), 0.035)
    assert later.least == 1
    assert later.mean == pytest.approx(fresh.mean - 6)
    done = expected_runs(RULE, Evidence(baseline=BASELINE, proposal={0: 90.4, 1: 90.6}), 0.035)
    assert done.least == 0
    assert done.most < later.most


@pytest.mark.parametrize("mode", list(LoopMode))
def test_many_loops_at_once_end_as_the_judge_ends_them_one_by_one(mode: LoopMode) -> None:
    rule = LoopRule(margin=None, higher_is_better=True, mode=mode)
    effects = ProposalMix(help=0.4, harm=0.2, size=1.5).draw(np.random.default_rng(3), 25, 1)
    played = play_loops(rule, effects, np.random.default_rng(8))
    rng, true, runs, stream, closed = np.random.default_rng(8), 0.0, 0, [], []
    baseline: list[float] = []
    for effect in effects[:, 0]:
        own: list[float] = []
        while True:
            evidence = Evidence(baseline=dict(enumerate(baseline)), proposal=dict(enumerate(own)), pools=closed)
            step = judge_proposal(rule, evidence, level_of(rule, stream))
            if isinstance(step, Decision):
                break
            baseline += [true + rng.standard_normal(1)[0] for _ in range(step.baseline)]
            own += [true + effect + rng.standard_normal(1)[0] for _ in range(step.proposal)]
            runs += step.baseline + step.proposal
        stream.append(step.outcome == "keep")
        closed.append(own)
        if stream[-1]:
            true += effect
            closed.append(baseline)
            baseline = []
    last = 0 if baseline else 6
    assert played.kept[0] == sum(stream) > 3
    assert played.gain[0] == pytest.approx(true)
    assert played.runs[0] == runs + last
