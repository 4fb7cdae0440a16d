"""Every recipe as committed text: a change of any effective value, or of a model's size, shows in a review.

`pytest tests/recipes --update-golden` writes the files anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_origin

import torch
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from ablata.base.fields import kind_of, parts
from ablata.base.settings import Settings, diff, expand, restore, settings_hash
from ablata.engine.recipe import Recipe
from ablata.engine.train import train
from ablata.recipes.index import load_recipe, recipe_entries, restore_recipe
from ablata.tasks.any import recipe_class, recipe_classes

GOLDEN = Path(__file__).with_name("golden")
COMPLEXITY = GOLDEN / "complexity.json"
ENTRIES = recipe_entries()
NAMES = [entry.name for entry in ENTRIES]

DEFAULTS = {recipe.__name__.lower(): recipe for recipe in recipe_classes()}


def changed(recipe: Recipe) -> str:
    """Return what of a recipe differs from the defaults of its task and of the parts it chooses."""
    lines = [f"{change.key} = {change.new}" for change in diff(type(recipe)(), recipe) if change.key != "name"]
    return "\n".join([f"task = {recipe.task}", *lines, ""])


def defaults(task: type[Recipe]) -> str:
    """Return the default of every setting that a task can have, class by class: those of all parts it can choose."""
    classes: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [task]
    while waiting:
        found = waiting.pop()
        if found.__name__ not in classes:
            classes[found.__name__] = found
            waiting += [part for field in found.model_fields.values() for part in parts(field.annotation).values()]
            waiting += [part for field in found.model_fields.values() for part in parts(inside(field)).values()]
    return "\n".join(f"[{name}]\n{one_default(classes[name])}" for name in sorted(classes))


def inside(field: FieldInfo) -> Any:
    """Return the type of the values of a field that holds a tuple, else Any."""
    return get_args(field.annotation)[0] if get_origin(field.annotation) is tuple else Any


def one_default(kind: type[BaseModel]) -> str:
    lines = []
    for name, field in kind.model_fields.items():
        value = None if field.is_required() else field.get_default(call_default_factory=True)
        value = kind_of(type(value)) if isinstance(value, Settings) else value
        lines.append(f"{name} = {'(given)' if field.is_required() else json.dumps(to_jsonable_python(value))}\n")
    return "".join(lines)


def test_there_are_recipes() -> None:
    assert {"digits", "resnet20_cifar10"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


def test_recipes_and_defaults_are_as_committed(update_golden: bool) -> None:
    texts = {name: changed(load_recipe(name)) for name in NAMES}
    texts |= {f"defaults_{name}": defaults(task) for name, task in DEFAULTS.items()}
    if update_golden:
        for path in GOLDEN.glob("*.txt"):
            path.unlink()
        for name, text in texts.items():
            (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
    committed = {path.stem: path.read_text(encoding="utf-8") for path in GOLDEN.glob("*.txt")}
    assert committed.keys() == texts.keys()
    for name, text in texts.items():
        assert text == committed[name], name


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


def test_a_docstring_says_how_what_how_long_and_from_where() -> None:
    for entry in ENTRIES:
        lines = [line.strip() for line in entry.text.splitlines()]
        for word in ("Command", "Expected", "Time", "Source"):
            (found,) = [line for line in lines if line.startswith(f"{word}: ")]
            assert len(found) > len(f"{word}: "), f"{entry.name}, {word}"
            if word == "Command":
                assert found.startswith(f"Command: ablata train {entry.name}")


def test_a_docstring_begins_with_one_full_sentence() -> None:
    for entry in ENTRIES:
        assert entry.summary.endswith("."), entry.name
        assert len(entry.summary) <= 100, entry.name


def test_a_recipe_survives_being_written_and_read() -> None:
    for name in NAMES:
        recipe = load_recipe(name)
        assert (recipe.name, type(recipe)) == (name, recipe_class({"task": recipe.task}, "a file"))
        again = restore_recipe(json.loads(json.dumps(expand(recipe))), source="a file")
        assert again == recipe, name
        assert settings_hash(again) == settings_hash(recipe), name
        assert restore(type(recipe), expand(recipe), source="a tree") == recipe, name


def test_no_two_recipes_ask_for_the_same_training() -> None:
    hashes = [settings_hash(load_recipe(name)) for name in NAMES]
    assert len(set(hashes)) == len(hashes)
