"""What every re-identification set offers: identities by split, queries and gallery, loaders that share and resume."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ablata.base.errors import DataError
from ablata.data.loading.loaders import TrainLoader
from ablata.data.loading.sampling import Balanced
from ablata.data.reid.dataset import ReidDataset, first_of_each
from ablata.data.synthetic.persons import Persons
from ablata.data.transforms.classification import Augment
from ablata.structures.batch import ImageBatch

SETTINGS = Persons(
    train=9, val=5, cameras=2, images=3, height=32, width=16, minival=3,
    sampling=Balanced(images=2), augment=Augment(flip=True, pad=2),
)  # fmt: skip


@pytest.fixture
def data(shared_cache: Path) -> ReidDataset:
    return SETTINGS.build(shared_cache)


def augmented(loader: TrainLoader[ImageBatch], start: int, stop: int) -> list[ImageBatch]:
    batches = enumerate(loader.batches(start, stop), start=start)
    return [loader.augment(batch, step, loader.epoch_of(step)) for step, batch in batches]


def test_training_identities_are_numbered_from_zero_in_the_order_of_their_names(data: ReidDataset) -> None:
    labels = data.split_labels("train")
    assert sorted(set(labels.tolist())) == list(range(6))
    assert list(data.classes) == sorted(data.classes)
    assert data.retrieval_split("train").names[:6] == data.classes


def test_nobody_is_in_two_splits(data: ReidDataset) -> None:
    people = {}
    for split in ("train", "minival", "val"):
        retrieval_split = data.retrieval_split(split)
        people[split] = {retrieval_split.names[identity] for identity in retrieval_split.identities.tolist()}
    assert {split: len(names) for split, names in people.items()} == {"train": 6, "minival": 3, "val": 5}
    assert len(set.union(*people.values())) == 14


def test_the_held_out_identities_follow_the_split_seed_alone(shared_cache: Path) -> None:
    def held(**changes: object) -> tuple[str, ...]:
        return SETTINGS.model_copy(update=changes).build(shared_cache).retrieval_split("minival").names[6:]

    assert held() == held(sampling=Balanced(images=3))
    assert any(held() != held(split_seed=seed) for seed in (1, 2, 3))
    assert len(held(minival=1 / 3)) == 3


def test_without_minival_there_is_no_such_split(shared_cache: Path) -> None:
    data = SETTINGS.model_copy(update={"minival": 0}).build(shared_cache)
    assert set(data.splits) == {"train", "val"}
    with pytest.raises(DataError, match=r"set data\.minival"):
        data.retrieval_split("minival")


@pytest.mark.parametrize("amount", [8, 20, 2.5])
def test_a_minival_that_leaves_nobody_or_is_no_number_is_refused(shared_cache: Path, amount: float) -> None:
    with pytest.raises(DataError, match=f"data.minival={amount} of 9 identities"):
        SETTINGS.model_copy(update={"minival": amount}).build(shared_cache)


def test_one_query_for_each_identity_and_camera_and_the_rest_is_the_gallery(data: ReidDataset) -> None:
    val, minival = data.retrieval_split("val"), data.retrieval_split("minival")
    for retrieval_split, people in ((val, 5), (minival, 3)):
        pairs = list(zip(retrieval_split.identities.tolist(), retrieval_split.cameras.tolist(), strict=True))
        asked = [pair for pair, query in zip(pairs, retrieval_split.queries.tolist(), strict=True) if query]
        assert sorted(asked) == sorted(set(pairs))
        assert len(asked) == people * 2
    assert torch.equal(val.gallery, ~val.queries)
    assert minival.gallery.all()


def test_the_first_of_each_is_the_first() -> None:
    chosen = first_of_each(np.array([4, 4, 2, 4, 2]), np.array([1, 1, 0, 0, 0]))
    assert chosen.tolist() == [True, False, True, True, False]


def test_sightings_are_in_the_order_of_evaluation(data: ReidDataset) -> None:
    for split in ("train", "minival", "val"):
        seen = [batch.labels for batch in data.eval_loader(split, 4)]
        assert torch.equal(torch.cat(seen), data.retrieval_split(split).identities)


def test_two_processes_see_halves_of_one_balanced_batch(data: ReidDataset) -> None:
    for step in range(5):
        whole = augmented(data.train_loader(3, 8), step, step + 1)[0]
        halves = [augmented(data.train_loader(3, 8, rank, 2), step, step + 1)[0] for rank in range(2)]
        assert torch.equal(torch.cat([half.images for half in halves]), whole.images)
        assert torch.equal(torch.cat([half.labels for half in halves]), whole.labels)
        assert whole.labels.view(4, 2).unique(dim=1).shape == (4, 1)


def test_shuffled_batches_show_every_training_image_once_an_epoch(shared_cache: Path) -> None:
    settings = Persons(train=4, val=2, cameras=2, images=3, height=32, width=16)
    loader = settings.build(shared_cache).train_loader(0, 6)
    seen = torch.cat([batch.index for batch in loader.batches(0, loader.steps_per_epoch)])
    assert sorted(seen.tolist()) == list(range(24))
