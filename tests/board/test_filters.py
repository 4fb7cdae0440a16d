"""The filter of the table of runs."""

from __future__ import annotations

import pytest

from ablata.base.errors import SettingsError
from ablata.board.filters import RunFacts, keys_of, parse_filter, values_of
from ablata.board.run_table import LabRuns

FACTS = RunFacts(
    {
        "id": ("r1",),
        "recipe": ("digits",),
        "study": ("first", "second"),
        "arm": ("wide", "control"),
        "state": ("failed",),
    },
    {"model.width": "32", "optim.kind": '"sgd"'},
    {"val/plain/top1": "97.5", "seconds": "12.5", "seed": "3"},
    "r1 digits failed out of memory first:wide",
)


class Known:
    """A lab of that run alone, whose others have a setting more."""

    names = ("model.depth", *FACTS.settings, *FACTS.own)
    columns = FACTS.columns


NOTHING = LabRuns((), {}, ())


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
        ("state:stopped", False),
        ("model.width>16", True),
        ("width>16", True),
        ("width>32", False),
        ("width>=32", True),
        ("width!=32", False),
        ("top1<98", True),
        ("optim.kind=sgd", True),
        ("kind!=sgd", False),
        ("seed=3", True),
        ("depth>1", False),
        ("'out of memory'", True),
        ("'of out'", False),
        ("arm:wide width<16", False),
    ):
        with subtests.test(written=written):
            assert parse_filter(written, Known())(FACTS) is passes


def test_an_open_quotation_mark_is_told() -> None:
    with pytest.raises(SettingsError, match="in pairs"):
        parse_filter("'open", NOTHING)


def test_what_would_silently_match_nothing_is_refused_with_what_there_is() -> None:
    for written, said in (
        ("stat:failed", "state"),
        ("width>>16", "a number"),
        ("width<wide", "a number"),
        ("unknown>1", "such as"),
        ("model.widht>16", "such as model.width"),
        ("top2=1", "such as val/plain/top1"),
        ("arm:narow", "wide, control"),
        ("study:third", "first, second"),
        ("state:complet-ish", "completed"),
    ):
        with pytest.raises(SettingsError, match=said):
            parse_filter(written, Known())
    assert parse_filter("12:30", Known())(FACTS) is False


def test_a_lab_without_runs_refuses_nothing_for_want_of_one() -> None:
    assert parse_filter("model.width>16 study:first", NOTHING)(FACTS) is False


def test_a_key_is_its_own_name_first_and_then_the_end_of_others() -> None:
    facts = RunFacts({}, {"width": "1", "model.width": "2"}, {}, "")
    assert values_of(facts, keys_of("width", ("model.width", "width"))) == ["1"]
    assert values_of(FACTS, keys_of("width", ("model.width", "width"))) == ["32"]
