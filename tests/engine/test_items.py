"""A finished run keeps what it got on each image."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from ablata.records.items import FOLDER, read_items


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
