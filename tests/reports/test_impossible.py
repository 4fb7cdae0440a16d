"""Scores that no training gives are told: seeds that do nothing, changes without effect, metrics at their limit."""

from __future__ import annotations

from ablata.reports.impossible import at_limit, impossible

PLAIN = {0: 90.1, 1: 91.3, 2: 90.7, 3: 90.9}


def shifted(by: float) -> dict[int, float]:
    return {seed: score + by for seed, score in PLAIN.items()}


def test_plausible_scores_give_no_warning() -> None:
    assert impossible({"control": PLAIN, "wide": {0: 91.0, 1: 91.2, 2: 90.9}}, "control", "%") == ()
    assert impossible({"control": {0: 90.0, 1: 90.0}, "wide": {0: 90.0, 1: 90.0}}, "control", "%") == ()
    assert impossible({"control": PLAIN, "wide": {}}, "control") == ()


def test_each_impossibility_is_named() -> None:
    other = {0: 91.2, 1: 90.4, 2: 91.1, 3: 90.2}
    copies = {0: 90.12345, 1: 91.45771, 2: 90.90113, 3: 91.45771, 4: 90.12345}
    cases = [
        ({"control": dict.fromkeys(range(4), 90.0), "wide": PLAIN}, "the seed does nothing"),
        ({"control": {0: 100.0, 1: 100.0, 2: 99.5}, "wide": PLAIN}, "no arm can be better"),
        ({"control": PLAIN, "wide": dict(PLAIN)}, "wide: the same scores as control"),
        ({"control": PLAIN, "wide": shifted(0.1)}, "wide: the same difference to control"),
        ({"control": PLAIN, "wide": dict.fromkeys(range(4), 90.0)}, "switched the seed off"),
        ({"control": PLAIN, "wide": {0: 100.0, 1: 100.0, 2: 99.5}}, "Most runs of wide have the best score"),
        ({"control": PLAIN, "wide": other, "deep": dict(other)}, "wide, deep: the same scores as each other"),
        ({"control": PLAIN, "wide": copies}, "wide: runs at different seeds"),
        ({"control": {0: 0.93, 1: 0.95}, "wide": {0: 94.1, 1: 0.96}}, "shares of 1 (in control, wide) and others"),
    ]
    for scores, words in cases:
        (said,) = impossible(scores, "control", "%")
        assert words in said


def test_three_equal_differences_are_told_where_the_score_has_many_steps() -> None:
    fine, coarse = {0: 0.9054, 1: 0.9141, 2: 0.9128}, {0: 90.2, 1: 90.4, 2: 90.0}
    for runs, told in ((fine, 1), (coarse, 0)):
        arm = {seed: score + 0.01 for seed, score in runs.items()}
        assert len(impossible({"control": runs, "wide": arm}, "control")) == told


def test_the_limit_of_a_metric_is_that_of_its_unit_and_direction() -> None:
    full = {0: 1.0, 1: 1.0, 2: 0.9}
    (said,) = impossible({"control": full}, "control")
    assert "1: no arm can be better" in said
    assert impossible({"control": {0: 1.5, 1: 1.5, 2: 0.9}}, "control") == ()
    (said,) = impossible({"control": {0: 0.0, 1: 0.0, 2: 0.2}}, "control", higher_is_better=False)
    assert "0: no arm can be better" in said


def test_a_number_without_a_unit_is_at_its_limit_at_1_and_at_100() -> None:
    for best in (1.0, 100.0):
        (said,) = at_limit({"control": {0: best, 1: best, 2: 0.9 * best}}, "control")
        assert "the best score there is" in said
    assert at_limit({"control": {0: 90.0, 1: 90.0, 2: 80.0}}, "control") == ()
