"""The labelled part of a training set: exact, stratified, its own seed, and lists that are of this data alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ablata.base.errors import DataError
from ablata.data.classification.digits import Digits
from ablata.data.classification.label_subset import LabelSubset, split_record


def test_every_class_has_as_many_labels(tmp_path: Path) -> None:
    data = Digits().build(tmp_path)
    small = LabelSubset(per_class=20).restrict(data)
    assert np.bincount(small.split_labels("train").numpy()).tolist() == [20] * 10
    assert small.sizes["train"] + small.sizes["unlabeled"] == data.sizes["train"]
    assert not set(small.splits["train"].index) & set(small.splits["unlabeled"].index)
    assert small.sizes["val"] == data.sizes["val"]
    assert data.sizes["train"] > small.sizes["train"], "the whole set stays as it was"


def test_the_choice_has_a_seed_of_its_own(tmp_path: Path) -> None:
    data = Digits().build(tmp_path)
    chosen = [LabelSubset(per_class=20, seed=seed).restrict(data).splits["train"].index for seed in (0, 0, 1)]
    assert np.array_equal(chosen[0], chosen[1])
    assert not np.array_equal(chosen[0], chosen[2])


def test_only_labelled_samples_are_loaded(tmp_path: Path) -> None:
    small = LabelSubset(per_class=20).restrict(Digits().build(tmp_path))
    seen = {int(index) for batch in small.train_loader(0, 50).batches(0, 8) for index in batch.index}
    assert seen == set(small.splits["train"].index.tolist())


def test_minival_keeps_its_samples(tmp_path: Path) -> None:
    data = Digits(minival=100).build(tmp_path)
    small = LabelSubset(per_class=20).restrict(data)
    assert np.array_equal(small.splits["minival"].index, data.splits["minival"].index)
    assert not set(small.splits["train"].index) & set(small.splits["minival"].index)


def test_a_saved_list_gives_the_same_choice(tmp_path: Path) -> None:
    data = Digits().build(tmp_path)
    small = LabelSubset(per_class=20, seed=7).restrict(data)
    (tmp_path / "splits.json").write_text(json.dumps(split_record(small)))
    again = LabelSubset(file=str(tmp_path / "splits.json")).restrict(data)
    assert np.array_equal(again.splits["train"].index, small.splits["train"].index)
    assert again.splits_hash == small.splits_hash


def test_a_list_of_another_data_set_is_refused_with_both_named(tmp_path: Path) -> None:
    other = Digits(val=400).build(tmp_path)
    (tmp_path / "splits.json").write_text(json.dumps(split_record(LabelSubset(per_class=20).restrict(other))))
    data = Digits().build(tmp_path)
    with pytest.raises(DataError, match=f"{other.fingerprint[:24]}, the data at hand is {data.fingerprint[:24]}"):
        LabelSubset(file=str(tmp_path / "splits.json")).restrict(data)


def test_a_list_that_is_none_is_refused(tmp_path: Path) -> None:
    for number, (content, words) in enumerate(
        (
            (None, "No such file"),
            ("{", "splits.json of a run"),
            ('{"train": [1]}', "splits.json of a run"),
            ('{"data": DATA, "splits": {"train": [0, 0]}}', "each once"),
            ('{"data": DATA, "splits": {"train": []}}', "each once"),
            ('{"data": DATA, "splits": {"train": [99999]}}', "99999"),
            ('{"data": DATA, "splits": {"train": ["a"]}}', "splits.json of a run"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        data = Digits().build(folder)
        if content is not None:
            (folder / "list.json").write_text(content.replace("DATA", json.dumps(data.fingerprint)))
        with pytest.raises(DataError, match=words):
            LabelSubset(file=str(folder / "list.json")).restrict(data)


def test_more_labels_than_a_class_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="class 0 has 128"):
        LabelSubset(per_class=500).restrict(Digits().build(tmp_path))
