"""Rank-k and mean average precision across cameras against loops, and what must not change them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ablata.metrics.retrieval import Distance, RetrievalScores
from ablata.structures.embeddings import JUNK, Embeddings

DISTANCES: tuple[Distance, ...] = ("cosine", "euclidean")

both_distances = pytest.mark.parametrize("distance", DISTANCES)


def inputs(
    count: int, seed: int, people: int = 5, cameras: int = 3, junk: bool = True, ties: bool = False
) -> Embeddings:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 4, generator=generator)
    if ties:
        features = features.sign()
    identities = torch.randint(JUNK if junk else 0, people, (count,), generator=generator)
    return Embeddings(features, identities, torch.randint(cameras, (count,), generator=generator))


def by_loops(queries: Embeddings, gallery: Embeddings, distance: Distance) -> tuple[dict[str, float], int, int]:
    """Return scores, answered and skipped queries; among equals wrong images come first."""
    precisions, firsts, skipped = [], [], 0
    for query in range(len(queries)):
        who, where = int(queries.identities[query]), int(queries.cameras[query])
        if who == JUNK:
            continue
        ranked = []
        for row in range(len(gallery)):
            other, camera = int(gallery.identities[row]), int(gallery.cameras[row])
            if other == JUNK or (other == who and camera == where):
                continue
            a, b = queries.features[query].double(), gallery.features[row].double()
            if distance == "cosine":
                a, b = a / a.norm(), b / b.norm()
            ranked.append((round(float((a - b).square().sum()), 7), other == who))
        ranked.sort()
        places = [place for place, (_, right) in enumerate(ranked, start=1) if right]
        if not places:
            skipped += 1
            continue
        firsts.append(places[0])
        precisions.append(sum(number / place for number, place in enumerate(places, start=1)) / len(places))
    answered = len(firsts)
    if not answered:
        return {}, 0, skipped
    scores = {f"rank{k}": 100 * sum(first <= k for first in firsts) / answered for k in (1, 5, 10)}
    return scores | {"mAP": 100 * sum(precisions) / answered}, answered, skipped


def fed(queries: Embeddings, gallery: Embeddings, distance: Distance, **options: int) -> RetrievalScores:
    counted = RetrievalScores(gallery, distance, **options)
    counted.update(queries)
    return counted


@settings(deadline=None)
@given(
    asked=st.integers(0, 12), held=st.integers(1, 25), seed=st.integers(0, 999), ties=st.booleans(),
    distance=st.sampled_from(DISTANCES),
)  # fmt: skip
def test_scores_are_those_of_loops(asked: int, held: int, seed: int, ties: bool, distance: Distance) -> None:
    queries, gallery = inputs(asked, seed, ties=ties), inputs(held, seed + 1000, ties=ties)
    gallery.identities[0] = 0
    expected, answered, skipped = by_loops(queries, gallery, distance)
    counted = fed(queries, gallery, distance, chunk=5)
    assert (counted.answered, counted.skipped) == (answered, skipped)
    if answered:
        assert counted.scores() == pytest.approx(expected)
    else:
        assert all(math.isnan(value) for value in counted.scores().values())


def test_a_ranking_worked_out_by_hand() -> None:
    # Nearest first: the same camera (left out), a wrong one, a right one, junk (left out), a wrong one, a right one.
    gallery = Embeddings(
        torch.tensor([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]]),
        torch.tensor([7, 1, 7, JUNK, 2, 7]),
        torch.tensor([0, 1, 1, 1, 1, 2]),
    )
    query = Embeddings(torch.zeros(1, 1), torch.tensor([7]), torch.tensor([0]))
    scores = fed(query, gallery, "euclidean").scores()
    assert scores == {"rank1": 0, "rank5": 100, "rank10": 100, "mAP": pytest.approx(100 * (1 / 2 + 2 / 4) / 2)}


@both_distances
@given(seed=st.integers(0, 200))
def test_the_gallerys_order_changes_nothing_even_among_equals(distance: Distance, seed: int) -> None:
    queries, gallery = inputs(10, seed, ties=True), inputs(40, seed + 1, ties=True)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    assert fed(queries, gallery, distance).scores() == fed(queries, gallery.at(order), distance).scores()


@given(seed=st.integers(0, 200), factor=st.sampled_from([1e-3, 0.7, 3.0, 1e4]))
def test_lengths_change_nothing_under_cosine(seed: int, factor: float) -> None:
    queries, gallery = inputs(10, seed, ties=True), inputs(40, seed + 1, ties=True)
    longer = Embeddings(gallery.features * factor, gallery.identities, gallery.cameras)
    assert fed(queries, longer, "cosine").scores() == fed(queries, gallery, "cosine").scores()


@both_distances
def test_the_chunk_and_the_batches_change_nothing(distance: Distance) -> None:
    queries, gallery = inputs(30, 0), inputs(50, 1)
    whole = fed(queries, gallery, distance)
    parts = RetrievalScores(gallery, distance, chunk=4)
    for start in range(0, 30, 7):
        parts.update(queries.at(slice(start, start + 7)))
    assert parts.scores() == pytest.approx(whole.scores(), rel=1e-12)


def test_states_of_two_processes_add_up_to_all_queries() -> None:
    queries, gallery = inputs(31, 0), inputs(50, 1)
    first, second = (fed(queries.at(slice(rank, None, 2)), gallery, "cosine") for rank in range(2))
    joined = RetrievalScores(gallery)
    joined.load_state({name: value + second.state()[name] for name, value in first.state().items()})
    assert joined.scores() == pytest.approx(fed(queries, gallery, "cosine").scores(), rel=1e-12)
    assert {name: value.dtype for name, value in joined.state().items()} == {
        "hits": torch.int64,
        "precision": torch.float64,
        "answered": torch.int64,
    }


@both_distances
@pytest.mark.parametrize("value", [1.0, 0.0, math.nan, math.inf])
def test_a_network_that_tells_nobody_apart_ranks_every_wrong_image_first(distance: Distance, value: float) -> None:
    everybody = inputs(60, 0, junk=False)
    flat = Embeddings(torch.full((60, 4), value), everybody.identities, everybody.cameras)
    counted = fed(flat, flat, distance)
    assert counted.answered > 50
    assert counted.scores()["rank10"] == 0
    assert (counted.nearest(flat) != flat.identities).all()


@both_distances
def test_the_nearest_is_right_as_often_as_rank_one_says(distance: Distance) -> None:
    queries, gallery = inputs(60, 3, junk=False), inputs(60, 4)
    counted = fed(queries, gallery, distance)
    asked = queries.at(counted.answerable(queries))
    right = (counted.nearest(asked) == asked.identities).double().mean().item()
    assert 100 * right == pytest.approx(counted.scores()["rank1"])
    assert len(asked) == counted.answered


def test_a_query_that_only_its_own_camera_saw_is_counted_and_left_out() -> None:
    gallery = Embeddings(torch.randn(3, 2), torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]))
    queries = Embeddings(torch.randn(3, 2), torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]))
    counted = fed(queries, gallery, "cosine")
    assert (counted.answered, counted.skipped) == (1, 2)
    assert counted.answerable(queries).tolist() == [False, True, False]
    nobody = queries.at(slice(0, 0))
    assert counted.answerable(nobody).shape == counted.nearest(nobody).shape == (0,)


def test_perfect_features_score_a_hundred() -> None:
    everybody = inputs(80, 5, junk=False)
    perfect = Embeddings(
        torch.nn.functional.one_hot(everybody.identities).float(), everybody.identities, everybody.cameras
    )
    assert set(fed(perfect, perfect, "cosine").scores().values()) == {100}


def test_a_gallery_of_junk_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="got 2 images, all junk"):
        RetrievalScores(Embeddings(torch.zeros(2, 1), torch.tensor([JUNK, JUNK]), torch.zeros(2).long()))
