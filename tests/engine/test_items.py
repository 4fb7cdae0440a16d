"""A finished run keeps what it got on each image."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from ablata.recipes.index import load_recipe
from ablata.records.run_folder.items import FOLDER, read_items


def test_the_items_of_a_run_have_its_scores_as_their_means(digits: Callable, training: Callable) -> None:
    recipe = digits("ema.decay=0.9", "protocols=[plain,mirror]")
    done = training(recipe)
    for protocol in recipe.protocols:
        found = read_items(done.folder, "val", protocol)
        assert found is not None
        assert len(found.items) == 1650
        for key, name in found.keys.items():
            if name != "margin":
                assert found.values[name].mean() == pytest.approx(done.outcome.scores[key], rel=1e-5)
        assert ((found.values["margin"] > 0) == (found.values["top1"] == 100)).all()


def test_a_run_that_was_cut_off_after_its_last_step_makes_its_items_again(digits: Callable, training: Callable) -> None:
    first = training(digits())
    before = read_items(first.folder, "val", "plain")
    shutil.rmtree(first.folder / FOLDER)
    training(digits())
    after = read_items(first.folder, "val", "plain")
    assert before is not None
    assert after is not None
    assert {name: values.tolist() for name, values in before.values.items()} == {
        name: values.tolist() for name, values in after.values.items()
    }


@pytest.mark.slow
def test_segmenters_and_retrieval_keep_theirs_too(training: Callable) -> None:
    for name, changes in (
        ("bisenet_scenes", ["train.steps=2", "data.val=6", "data.train=8", "train.batch=2"]),
        ("reid_scenes", ["train.steps=2", "schedule.warmup=null"]),
    ):
        done = training(load_recipe(name, ["train.epochs=null", "train.evaluate_every=0", *changes]), folder=name)
        key = load_recipe(name).metric().key
        split, protocol, score = key.split("/")
        found = read_items(done.folder, split, protocol)
        assert found is not None
        assert found.values[score].mean() == pytest.approx(done.outcome.scores[key], rel=1e-4)
        assert found.keys[key] == score
