"""Every recipe as committed text: a change of any effective value, or of a model's size, shows in a review.

`pytest tests/recipes --update-golden` writes the files anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ablata.base.catalogue import Entry
from ablata.base.settings import as_text, expand, restore, settings_hash
from ablata.engine.train import train
from ablata.recipes.index import load_recipe, recipe_entries, restore_recipe
from ablata.tasks.any import RECIPES

GOLDEN = Path(__file__).with_name("golden")
COMPLEXITY = GOLDEN / "complexity.json"
ENTRIES = recipe_entries()
NAMES = [entry.name for entry in ENTRIES]

every_recipe = pytest.mark.parametrize("name", NAMES)


def test_there_are_recipes() -> None:
    assert {"digits", "resnet20_cifar10"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@every_recipe
def test_a_recipe_is_as_committed(name: str, update_golden: bool) -> None:
    text = as_text(load_recipe(name))
    if update_golden:
        (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_no_golden_file_is_left_over(update_golden: bool) -> None:
    left_over = [path for path in GOLDEN.glob("*.txt") if path.stem not in NAMES]
    if update_golden:
        for path in left_over:
            path.unlink()
    assert update_golden or not left_over


def test_parameters_operations_and_activations_are_as_committed(update_golden: bool) -> None:
    counted = {name: load_recipe(name).complexity().as_dict() for name in NAMES}
    if update_golden:
        COMPLEXITY.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    assert counted == json.loads(COMPLEXITY.read_text(encoding="utf-8"))


def test_counting_a_recipe_draws_no_random_number() -> None:
    before = torch.get_rng_state()
    load_recipe("digits").complexity()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_nominal_complexity_is_that_of_the_training(tmp_path: Path) -> None:
    recipe = load_recipe("digits", ["train.epochs=null", "train.steps=1"])
    cost = train(recipe, 0, tmp_path / "run", tmp_path).cost
    assert {name: cost[name] for name in ("parameters", "flops", "activations")} == recipe.complexity().as_dict()


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
@pytest.mark.parametrize("word", ["Command", "Expected", "Time", "Source"])
def test_a_docstring_says_how_what_how_long_and_from_where(entry: Entry, word: str) -> None:
    lines = [line.strip() for line in entry.text.splitlines()]
    (found,) = [line for line in lines if line.startswith(f"{word}: ")]
    assert len(found) > len(f"{word}: ")
    if word == "Command":
        assert found.startswith(f"Command: ablata train {entry.name}")


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_a_docstring_begins_with_one_full_sentence(entry: Entry) -> None:
    assert entry.summary.endswith(".")
    assert len(entry.summary) <= 100


@every_recipe
def test_a_recipe_survives_being_written_and_read(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    again = restore_recipe(json.loads(json.dumps(expand(recipe))), source="a file")
    assert again == recipe
    assert settings_hash(again) == settings_hash(recipe)
    assert restore(type(recipe), expand(recipe), source="a tree") == recipe


@every_recipe
def test_a_recipe_is_of_a_kind_that_can_be_rebuilt(name: str) -> None:
    assert type(load_recipe(name)) in RECIPES


def test_no_two_recipes_ask_for_the_same_training() -> None:
    hashes = [settings_hash(load_recipe(name)) for name in NAMES]
    assert len(set(hashes)) == len(hashes)
