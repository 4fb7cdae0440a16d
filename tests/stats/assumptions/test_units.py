"""Shares of 1 beside percentages are seen, and a training that collapsed is told apart from them."""

from __future__ import annotations

from ablata.stats.assumptions.units import mixed_units


def test_units_are_mixed_where_a_hundred_times_some_scores_are_the_others() -> None:
    cases = [
        ({"a": [0.9, 0.91], "b": [91.0, 92.5]}, True),
        ({"a": [0.9, 91.0], "b": [0.88, 92.0]}, True),
        ({"a": [70.0, 72.0], "b": [1.0, 1.0]}, False),
        ({"a": [70.0, 72.0], "b": [0.5, 0.4]}, False),
        ({"a": [0.9, 0.91], "b": [0.3, 0.2]}, None),
        ({"a": [90.0, 91.0], "b": [10.0, 12.0]}, None),
        ({"a": [0.9], "b": [150.0]}, None),
        ({"a": [], "b": []}, None),
    ]
    for scores, certain in cases:
        found = mixed_units(scores)
        assert (None if found is None else found.certain) is certain, scores
    found = mixed_units(cases[0][0])
    assert found is not None
    assert (found.shares, found.percents) == (("a",), ("b",))
