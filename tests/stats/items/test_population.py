"""How far a difference holds for other items, and which items two arms disagree on."""

from __future__ import annotations

import numpy as np

from ablata.stats.items.population import flips, population_interval


def drawn(rng, seeds, items, *, over_seeds, over_items, both, clusters=0, over_clusters=0.0):
    """Differences (seeds, items) of mean 0, and the items' clusters."""
    table = over_seeds * rng.standard_normal((seeds, 1)) + over_items * rng.standard_normal(items)
    table = table + both * rng.standard_normal((seeds, items))
    if not clusters:
        return table, None
    groups = np.arange(items) % clusters
    return table + over_clusters * rng.standard_normal(clusters)[groups], groups


def test_the_interval_holds_for_new_seeds_and_new_items_in_95_of_100():
    rng = np.random.default_rng(0)
    for parts in (
        {"over_seeds": 0.0, "over_items": 0.3, "both": 0.4},
        {"over_seeds": 0.05, "over_items": 0.1, "both": 0.4},
        {"over_seeds": 0.02, "over_items": 0.1, "both": 0.4, "clusters": 20, "over_clusters": 0.2},
        {"over_seeds": 0.02, "over_items": 0.1, "both": 0.4, "clusters": 2, "over_clusters": 0.05},
    ):
        found = [population_interval(*drawn(rng, 5, 200, **parts)) for _ in range(500)]
        covered = np.mean([one.low <= 0 <= one.high for one in found])
        assert 0.93 - 0.02 < covered < 0.97 + 0.02, parts


def test_frames_of_one_video_are_not_so_many_images():
    rng = np.random.default_rng(1)
    table, groups = drawn(rng, 5, 200, over_seeds=0.0, over_items=0.1, both=0.2, clusters=10, over_clusters=0.5)
    alone, together = population_interval(table), population_interval(table, groups)
    assert together.se > 2 * alone.se
    assert (together.clusters, alone.clusters, together.items) == (10, 200, 200)


def test_too_little_says_nothing():
    assert population_interval(np.zeros((1, 50))) is None
    assert population_interval(np.zeros((5, 50)), np.zeros(50, dtype=np.int64)) is None


def test_items_that_flip_are_named_the_most_certain_first():
    table = np.zeros((4, 6))
    table[:, 1], table[:2, 2], table[:, 4], table[0, 5] = 100, 100, -100, -100
    found = flips(table)
    assert (found.gained, found.gains) == ((1, 2), (100.0, 50.0))
    assert (found.lost, found.losses) == ((4, 5), (-100.0, -25.0))
    assert found.alike == 2
    assert flips(table, most=1).lost == (4,)


def test_what_every_seed_shows_comes_before_what_one_seed_shows_more():
    table = np.array([[10.0, 90.0, -5.0, -40.0], [10.0, -1.0, -5.0, 3.0], [10.0, 0.0, -5.0, 0.0]])
    found = flips(table)
    assert (found.gained, found.lost) == ((0, 1), (2, 3))
