"""The page of BiSeNet's factors is true: every setting it names is taken, and does or does not change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.settings import settings_hash
from ablata.recipes.index import load_recipe

PAGE = Path(__file__).parents[2] / "docs" / "systems" / "bisenet.md"


def cases() -> list[tuple[list[str], bool]]:
    """Return the settings of the rows, and whether each is called the default: the first where the word stands."""
    cells = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [
        (text.split(), number == 0 and "(default)" in value)
        for _, value, settings in cells
        for number, text in enumerate(re.findall(r"`([^`]+)`", settings))
    ]


def test_the_page_has_its_tables() -> None:
    assert len(cases()) > 120


@pytest.mark.parametrize(("overrides", "default"), cases(), ids=[" ".join(words) for words, _ in cases()])
def test_a_setting_of_the_page_is_taken_and_changes_all_but_the_default(overrides: list[str], default: bool) -> None:
    changed = load_recipe("bisenet_cityscapes", overrides)
    assert (settings_hash(changed) == settings_hash(load_recipe("bisenet_cityscapes"))) == default
