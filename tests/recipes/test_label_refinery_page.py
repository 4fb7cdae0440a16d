"""The page of the label refinery's factors is true: every setting it names is taken, and does or does not change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.settings import settings_hash
from ablata.recipes.index import load_recipe, recipe_entries

PAGE = Path(__file__).parents[2] / "docs" / "systems" / "label_refinery.md"


def rows() -> list[tuple[str, str]]:
    """Return the value and the settings of every row of the page's tables."""
    cells = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [(value.strip(), settings.strip()) for _, value, settings in cells if "setting" not in settings]


def settings_of(cell: str) -> list[list[str]]:
    return [text.split() for text in re.findall(r"`([^`]+)`", cell) if "=" in text]


CASES = [
    (overrides, number == 0 and "(default)" in value)
    for value, cell in rows()
    for number, overrides in enumerate(settings_of(cell))
]
"""Settings, and whether the page calls them the default: the first of a row that has the word."""


def test_the_page_has_its_tables() -> None:
    assert len(CASES) > 100
    assert all(settings_of(cell) or cell.startswith("recipe `") for _, cell in rows())


@pytest.mark.parametrize(("overrides", "default"), CASES, ids=[" ".join(overrides) for overrides, _ in CASES])
def test_a_setting_of_the_page_is_taken_and_changes_all_but_the_default(overrides: list[str], default: bool) -> None:
    changed = load_recipe("resnet20_cifar10", overrides)
    assert (settings_hash(changed) == settings_hash(load_recipe("resnet20_cifar10"))) == default


def test_every_named_recipe_exists() -> None:
    named = re.findall(r"recipe `(\w+)`", PAGE.read_text())
    assert named
    assert set(named) <= {entry.name for entry in recipe_entries()}


def test_both_ways_to_count_the_layers_of_a_wide_network_are_one_recipe() -> None:
    hashes = {
        settings_hash(load_recipe("resnet20_cifar10", ["model=wide_resnet", f"model.depth={depth}"]))
        for depth in (28, 29)
    }
    assert len(hashes) == 1
