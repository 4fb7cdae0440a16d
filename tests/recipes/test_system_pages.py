"""The pages of the systems are true: every setting they name is taken, and does or does not change their recipe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.settings import settings_hash
from ablata.recipes.index import load_recipe, recipe_entries

PAGES = Path(__file__).parents[2] / "docs" / "systems"
RECIPES = {
    "bisenet": ("bisenet_cityscapes", 120),
    "contrastive_seg": ("contrast_camvid", 60),
    "imagenet": ("resnet50_imagenet", 60),
    "label_refinery": ("resnet20_cifar10", 100),
    "relation_rcnn": ("relation_rcnn_chest_xray", 90),
}
"""The recipe that each page changes, and how many settings it names at least."""


def rows(page: str) -> list[tuple[str, str]]:
    """Return the value and the settings of every row of a page's tables."""
    text = (PAGES / f"{page}.md").read_text()
    cells = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [
        (value, settings.strip()) for _, value, settings in cells if settings.strip() not in ("setting", "settings")
    ]


def cases(page: str) -> list[tuple[list[str], bool]]:
    """Return the settings of the rows, and whether each is called the default: the first where the word stands."""
    return [
        (text.split(), number == 0 and "(default)" in value)
        for value, cell in rows(page)
        for number, text in enumerate(re.findall(r"`([^`]+)`", re.sub(r"recipe `\w+`", "", cell)))
    ]


EVERY = [(page, *case) for page in RECIPES for case in cases(page)]


def test_every_page_is_looked_at() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} - {"index"} == set(RECIPES)


@pytest.mark.parametrize("page", RECIPES)
def test_the_page_has_its_tables(page: str) -> None:
    assert len(cases(page)) > RECIPES[page][1]
    assert all("=" in cell or "recipe `" in cell for _, cell in rows(page))


@pytest.mark.slow
def test_a_setting_of_the_page_is_taken_and_changes_all_but_the_default(subtests: pytest.Subtests) -> None:
    for page, overrides, default in EVERY:
        with subtests.test(page=page, overrides=overrides, default=default):
            recipe, _ = RECIPES[page]
            assert (settings_hash(load_recipe(recipe, overrides)) == settings_hash(load_recipe(recipe))) == default


def test_every_named_recipe_exists() -> None:
    texts = [(PAGES / f"{page}.md").read_text() for page in RECIPES]
    named = {name for text in texts for name in re.findall(r"recipe `(\w+)`", text)}
    assert named
    assert named <= {entry.name for entry in recipe_entries()}


def test_both_ways_to_count_the_layers_of_a_wide_network_are_one_recipe() -> None:
    hashes = {
        settings_hash(load_recipe("resnet20_cifar10", ["model=wide_resnet", f"model.depth={depth}"]))
        for depth in (28, 29)
    }
    assert len(hashes) == 1
