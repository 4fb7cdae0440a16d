"""Batches of P identities with K images each: always full, always even, a function of the generator alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablata.base.errors import DataError
from ablata.data.loading.sampling import Balanced, Shuffled

counts = st.lists(st.integers(1, 9), min_size=3, max_size=12)


def rows_of(sizes: list[int]) -> np.ndarray:
    """Return the labels of identities with so many images each, mixed up."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(labels)


def ordered(labels: np.ndarray, batch: int, images: int, seed: int = 0) -> np.ndarray:
    order = Balanced(images=images).build(labels, np.arange(len(labels)), batch)
    return order(np.arange(len(labels)), np.random.default_rng(seed))


@settings(deadline=None, max_examples=50)
@given(sizes=counts, images=st.integers(1, 4), identities=st.integers(1, 3))
def test_every_batch_holds_p_identities_with_k_images_each(sizes: list[int], images: int, identities: int) -> None:
    labels = rows_of(sizes)
    order = ordered(labels, identities * images, images)
    assert len(order) == len(labels) // (identities * images) * identities * images
    for batch in order.reshape(-1, identities, images):
        owners = labels[batch]
        assert (owners == owners[:, :1]).all()
        assert len(set(owners[:, 0])) == identities
        for group, owner in zip(batch, owners[:, 0], strict=True):
            assert len(set(group)) == min(images, sizes[owner])


def test_identities_and_their_images_come_equally_often() -> None:
    sizes = [40, 8, 12, 4, 36]
    labels = rows_of(sizes)
    order = ordered(labels, batch=8, images=4)
    visits = np.bincount(labels[order][::4], minlength=5)
    assert visits.max() - visits.min() <= 1
    for identity, size in enumerate(sizes):
        seen = np.bincount(order[labels[order] == identity], minlength=len(labels))[labels == identity]
        assert seen.max() - seen.min() <= 1, size


def test_the_order_depends_on_the_generators_seed_alone() -> None:
    labels = rows_of([5, 6, 7, 8])
    assert np.array_equal(ordered(labels, 6, 3, seed=1), ordered(labels, 6, 3, seed=1))
    assert not np.array_equal(ordered(labels, 6, 3, seed=1), ordered(labels, 6, 3, seed=2))


def test_only_the_training_samples_are_drawn() -> None:
    labels, index = np.array([0, 0, 9, 1, 1, 9, 2, 2]), np.array([0, 1, 3, 4, 6, 7])
    order = Balanced(images=2).build(labels, index, 4)(index, np.random.default_rng(0))
    assert set(order) <= set(index)


def test_shuffling_takes_every_sample_once() -> None:
    index = np.array([3, 5, 8, 9])
    order = Shuffled().build(np.zeros(10, np.int64), index, 3)(index, np.random.default_rng(0))
    assert sorted(order) == index.tolist()


def test_a_batch_that_is_no_multiple_of_the_images_is_refused_with_one_that_is() -> None:
    with pytest.raises(DataError, match=r"multiple of data.sampling.images\n.*train.batch=10(.|\n)*train.batch=8"):
        ordered(rows_of([4, 4, 4]), batch=10, images=4)


def test_more_identities_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(DataError, match=r"4 identities a batch .* of 3\n.*train.batch of at most 12"):
        ordered(rows_of([4, 4, 4]), batch=16, images=4)
