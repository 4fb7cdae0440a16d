from __future__ import annotations

import pytest

from ablata.base.errors import RecordError
from ablata.stats import RULE_VERSION, Rule, procedure_of, replay, rule_of
from ablata.stats.versions import PROCEDURES


def test_a_study_without_a_version_is_one_of_the_first_rule() -> None:
    rule = Rule(margin=0.5, seeds=4)
    assert rule_of({"rule": rule.to_json()}) == rule_of({"rule": rule.to_json(), "rule_version": 1}) == rule
    assert procedure_of({}).replay is replay


def test_new_studies_are_made_with_the_newest_rule() -> None:
    assert max(PROCEDURES) == RULE_VERSION


def test_a_rule_of_a_newer_version_is_refused_in_words() -> None:
    with pytest.raises(RecordError, match=f"version {RULE_VERSION + 1} of the rule.*\n.*install a newer ablata"):
        rule_of({"rule": Rule(margin=1).to_json(), "rule_version": RULE_VERSION + 1})


def test_each_version_calibrates_for_itself() -> None:
    rule = Rule(margin=0.5)
    for version in PROCEDURES:
        procedure = procedure_of({"rule_version": version})
        made = procedure.calibrate(2, rule)
        assert made.version == version
        assert made.key == procedure.calibration_key(2, rule)
        assert made.fits(2, rule)
