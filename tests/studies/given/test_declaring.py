"""Rules declared before there are scores, and scores held against them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ablata.base.errors import DataError, SettingsError
from ablata.studies.given.declaring import declare, hold
from ablata.studies.given.judging import judge_declared
from ablata.trainers.declared import DeclaredRule, read_rule, write_rule
from ablata.trainers.given import GivenRun, GivenRuns

RULE = declare("base", ["wide", "deep"], metric="acc", seeds=4, margin=0.5, first_seed=1)


def _given(*left_out: tuple[str, int], seconds: float = 60.0, extra: tuple[GivenRun, ...] = ()) -> GivenRuns:
    """Scores of the rule's arms and seeds, made some seconds after it."""
    levels = {"base": (90.0, 0.01), "wide": (93.0, 0.02), "deep": (90.1, 0.03)}
    runs = [
        GivenRun(arm=arm, seed=seed, scores={"acc": level + 0.1 * (seed * 7 % 5) + drift * seed}, source="here")
        for arm, (level, drift) in levels.items()
        for seed in range(1, 5)
        if (arm, seed) not in left_out
    ]
    return GivenRuns(runs=(*runs, *extra), score="acc", oldest=RULE.time + seconds)


def test_scores_made_after_their_rule_are_a_claim(tmp_path: Path) -> None:
    write_rule(RULE, tmp_path / "rule.json")
    rule = read_rule(tmp_path / "rule.json")
    assert rule == RULE
    judged = judge_declared(_given(), rule, rule.time)
    assert judged.claimed
    assert (judged.control, judged.arms, judged.margin) == ("base", ("wide", "deep"), 0.5)
    assert [arm.verdict for arm in judged.result.arms] == ["better", "equivalent"]
    assert any(rule.digest in note for note in judged.notes)
    assert any("nobody but their author knows" in note for note in judged.notes)


def test_what_breaks_the_rule_takes_the_claim_away_and_is_told(subtests: pytest.Subtests) -> None:
    unseeded = replace(_given(), runs=tuple(replace(run, seed=None) for run in _given().runs))
    cases = {
        "before the rule": _given(seconds=-60),
        "nothing tells when": replace(_given(), oldest=None),
        "no score of wide, seed 2": _given(("wide", 2)),
        "more than one score of base, seed 1": _given(extra=_given().runs[:1]),
        "not every run tells its seed": unseeded,
    }
    for words, given in cases.items():
        with subtests.test(words=words):
            judged = judge_declared(given, RULE, RULE.time)
            assert not judged.claimed
            assert any("judged as without a rule" in note and words in note for note in judged.notes)
    best = judge_declared(_given(), RULE, RULE.time, best=True)
    assert not best.claimed


def test_what_the_rule_does_not_name_is_left_out() -> None:
    extra = tuple(
        GivenRun(arm=arm, seed=seed, scores={"acc": 99.0}, source="here") for arm, seed in (("tall", 1), ("wide", 9))
    )
    held = hold(_given(extra=extra), RULE, RULE.time + 100)
    assert held.given.runs == _given().runs
    assert held.broken == ()
    assert any("tall" in note for note in held.notes)
    assert any("these seeds: 9" in note for note in held.notes)
    assert any("younger than the first score" in note for note in held.notes)
    with pytest.raises(DataError, match="for every arm of the rule"):
        hold(replace(_given(), runs=_given().runs[:4]), RULE, RULE.time)


def test_a_rule_is_written_once_and_cannot_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "rule.json"
    write_rule(RULE, path)
    with pytest.raises(SettingsError, match="declared once"):
        write_rule(RULE, path)
    tree = json.loads(path.read_text())
    for key, value in (("margin", 2.0), ("arms", ["wide"]), ("written", "2020-01-01T00:00:00+00:00"), ("seeds", 3)):
        path.write_text(json.dumps(tree | {key: value}))
        with pytest.raises(DataError, match="as it was written"):
            read_rule(path)
    for text, words in (
        ("not json", "a JSON file"),
        ("[]", "--write"),
        ("{}", "--write"),
        (json.dumps(tree | {"seeds": 0}), "seeds"),
        (json.dumps(tree | {"arms": ["base"]}), "different names"),
        (json.dumps(tree | {"more": 1}), "more"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=words):
            read_rule(path)
    with pytest.raises(DataError, match="no "):
        read_rule(tmp_path / "none.json")


def test_a_rule_that_cannot_be_is_refused() -> None:
    for parts in ({"arms": []}, {"arms": ["base"]}, {"seeds": 1}, {"margin": 0.0}, {"margin": float("inf")}):
        with pytest.raises(SettingsError, match=r"A rule must name|A margin must be"):
            declare(**({"control": "base", "arms": ["a"], "metric": "acc", "seeds": 3} | parts))
    with pytest.raises(DataError, match="which scores are better"):
        declare("base", ["a"], metric="loss", seeds=3)
    assert isinstance(RULE, DeclaredRule)
