"""Scores that no training gives are told: seeds that do nothing, changes without effect, metrics at their limit."""

from __future__ import annotations

from ablata.reports.impossible import impossible

PLAIN = {0: 90.1, 1: 91.3, 2: 90.7, 3: 90.9}


def shifted(by: float) -> dict[int, float]:
    return {seed: score + by for seed, score in PLAIN.items()}


def test_plausible_scores_give_no_warning() -> None:
    assert impossible({"control": PLAIN, "wide": {0: 91.0, 1: 91.2, 2: 90.9}}, "control", "%") == ()
    assert impossible({"control": {0: 90.0, 1: 90.0}, "wide": {0: 90.0, 1: 90.0}}, "control", "%") == ()
    assert impossible({"control": PLAIN, "wide": {}}, "control") == ()


def test_each_impossibility_is_named() -> None:
    cases = [
        ({"control": dict.fromkeys(range(4), 90.0), "wide": PLAIN}, "the seed does nothing"),
        ({"control": {0: 100.0, 1: 100.0, 2: 99.5}, "wide": PLAIN}, "no arm can be better"),
        ({"control": PLAIN, "wide": dict(PLAIN)}, "wide: the same scores as control"),
        ({"control": PLAIN, "wide": shifted(0.1)}, "wide: the same difference to control"),
    ]
    for scores, words in cases:
        (said,) = impossible(scores, "control", "%")
        assert words in said
