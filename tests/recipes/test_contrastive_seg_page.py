"""The page of the contrast's factors is true: every setting it names is taken, and does or does not change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablata.base.settings import settings_hash
from ablata.recipes.index import load_recipe

PAGE = Path(__file__).parents[2] / "docs" / "systems" / "contrastive_seg.md"


def cases() -> list[tuple[list[str], bool]]:
    """Return the settings of every row, and whether the page calls them the default."""
    lines = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    rows = [(value, settings) for _, value, settings in lines if settings.strip() != "setting"]
    return [(text.split(), "(default)" in value) for value, cell in rows for text in re.findall(r"`([^`]+)`", cell)]


def test_the_page_has_its_tables() -> None:
    assert len(cases()) > 60


@pytest.mark.parametrize(("overrides", "default"), cases(), ids=[" ".join(overrides) for overrides, _ in cases()])
def test_a_setting_of_the_page_is_taken_and_changes_all_but_the_default(overrides: list[str], default: bool) -> None:
    changed = load_recipe("contrast_camvid", overrides)
    assert (settings_hash(changed) == settings_hash(load_recipe("contrast_camvid"))) == default
