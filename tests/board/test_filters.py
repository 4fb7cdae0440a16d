"""The filter of the table of runs."""

from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.board.filters import RunFacts, parse_filter

FACTS = RunFacts(
    {
        "id": ("r1",),
        "recipe": ("digits",),
        "study": ("first", "second"),
        "arm": ("wide", "control"),
        "state": ("failed",),
    },
    {"model.width": "32", "optim.kind": '"sgd"', "val/plain/top1": "97.5", "seconds": "12.5", "seed": "3"},
    "r1 digits failed out of memory first:wide",
)


def test_words_columns_and_comparisons_are_joined_by_and(subtests: pytest.Subtests) -> None:
    for written, passes in (
        ("", True),
        ("memory", True),
        ("MEMORY digits", True),
        ("nothing", False),
        ("arm:wide", True),
        ("arm:con", True),
        ("study:second", True),
        ("state:completed", False),
        ("model.width>16", True),
        ("width>16", True),
        ("width>32", False),
        ("width>=32", True),
        ("width!=32", False),
        ("top1<98", True),
        ("optim.kind=sgd", True),
        ("kind!=sgd", False),
        ("seed=3", True),
        ("unknown>1", False),
        ("'out of memory'", True),
        ("'of out'", False),
        ("arm:wide width<16", False),
    ):
        with subtests.test(written=written):
            assert parse_filter(written)(FACTS) is passes


def test_an_open_quotation_mark_is_told() -> None:
    with pytest.raises(SettingsError, match="in pairs"):
        parse_filter("'open")


def test_what_would_silently_match_nothing_is_refused() -> None:
    for written, said in (("stat:failed", "state"), ("width>>16", "a number"), ("width<wide", "a number")):
        with pytest.raises(SettingsError, match=said):
            parse_filter(written)
    assert parse_filter("12:30")(FACTS) is False
