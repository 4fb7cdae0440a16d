import dataclasses

import pytest

from ablata.stats import History, Mode, Rule


def test_a_rule_out_of_range_is_refused_by_name(subtests: pytest.Subtests) -> None:
    for wrong in [
        {"margin": 0.0},
        {"margin": -1.0},
        {"margin": float("nan")},
        {"seeds": 0},
        {"alpha": 0.0},
        {"alpha": 1.0},
        {"first_look": 1},
        {"prior_df": -1.0},
        {"prior_df": float("inf")},
    ]:
        with subtests.test(wrong=wrong), pytest.raises(ValueError, match=next(iter(wrong))):
            Rule(**{"margin": 0.3} | wrong)


@pytest.mark.parametrize("wrong", [{"df": 0.0}, {"df": float("inf")}, {"variance": -1.0}, {"variance": float("nan")}])
def test_a_noise_history_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        History(**{"df": 10.0, "variance": 1.0} | wrong)


def test_a_rule_cannot_be_changed_after_it_was_fixed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Rule(margin=0.3).margin = 1.0


def test_the_named_modes_are_five_and_twenty_percent():
    assert Rule(margin=1).mode is Mode.CLAIM
    assert Rule(margin=1, alpha=0.20).mode is Mode.SCREEN
    assert Rule(margin=1, alpha=0.1).mode is None


def test_looks_run_from_the_first_to_the_last_seed_and_are_none_when_the_study_is_shorter():
    assert list(Rule(margin=1, seeds=5).looks) == [3, 4, 5]
    assert not Rule(margin=1, seeds=2).looks


def test_at_most_twenty_degrees_of_freedom_of_a_history_count():
    assert Rule(margin=1, history=History(df=500, variance=1)).history_df == 20
    assert Rule(margin=1, history=History(df=7, variance=1)).history_df == 7
