"""What a score was measured on."""

from __future__ import annotations

import numpy as np
import pytest

from ablata.records.questions.scored_on import ScoredOn, _error
from ablata.records.questions.study_items import item_clusters


def test_the_error_over_items_is_that_of_a_mean_and_over_clusters_that_of_their_sums() -> None:
    values = np.random.default_rng(0).standard_normal(40)
    assert _error(values, None) == pytest.approx(values.std(ddof=1) / 40**0.5)
    pairs = np.arange(40) // 2
    twice = np.repeat(values[:20], 2)
    assert _error(twice, pairs) == pytest.approx(values[:20].std(ddof=1) / 20**0.5)
    assert _error(values[:1], None) is None


def test_a_sentence_says_items_worth_error_and_chance() -> None:
    found = ScoredOn(items=500, groups=None, score=91.8, error=1.23, right=True, classes=10)
    assert found.sentence("val") == (
        "Scored on 500 items of val: one of them is worth 0.2 points; with other items like these a score of 91.8% "
        "would vary by 1.2 points; guessing among 10 classes scores 10%."
    )
    loss = ScoredOn(items=90, groups=3, score=0.5, error=0.1, right=False)
    assert loss.sentence("") == (
        "Scored on 90 items in 3 groups: with other items like these a score of 0.5 would vary by 0.1."
    )


def test_a_studys_own_rule_says_which_items_are_one_group() -> None:
    items = ("a/1.png", "a/2.png", "b/1.png")
    assert item_clusters(items, None, None) is None
    for groups, rule, numbers in (
        (("x", "y", "y"), None, [0, 1, 1]),
        (("x", "y", "y"), "folder", [0, 0, 1]),
        (None, r"/(\d)", [0, 1, 0]),
    ):
        found = item_clusters(items, groups, rule)
        assert found is not None
        assert found.tolist() == numbers
