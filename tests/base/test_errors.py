"""Messages: a choice of many names is told in short, the likeliest first; each error says of which key it is, and what
to do."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import ablata
from ablata.base import errors
from ablata.base.errors import AblataError, at_key, choices, suggestion


def test_a_choice_of_few_is_told_whole_and_one_of_many_by_the_five_likeliest() -> None:
    few = ["b", "a", "d", "c", "f", "e"]
    assert choices(few, "e") == "b, a, d, c, f, e"
    assert choices([], "e") == "nothing"
    many = [*(f"unet_{size}" for size in range(20)), "resnet18", "resnet34"]
    told = choices(many, "Resnet43")
    assert told.startswith("resnet34, resnet18, ")
    assert told.endswith(" and 17 more")
    assert len(told.split(", ")) == 5


def test_advice_is_the_nearest_name_or_a_choice() -> None:
    assert suggestion("bets", ("best", "last")) == "did you mean best?"
    assert suggestion("zzz", ("best", "last")) == "choose one of them"


def test_a_sentence_names_its_key_once() -> None:
    assert at_key("loss", "It must be one of a, b") == "loss must be one of a, b"
    assert at_key("loss", "A loss must return a scalar") == "loss: A loss must return a scalar"
    assert at_key("", "It must be one of a, b") == "It must be one of a, b"


def test_every_error_of_the_users_says_what_to_do(subtests: pytest.Subtests) -> None:
    told = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AblataError)}
    told -= {"DivergedError", "LeaseLostError", "StoppedError"}  # what became of a run, which is told beside them
    package = Path(ablata.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path == package / "base" / "fields.py":  # passes on what a validator said, whose sentence has the advice
            continue
        with subtests.test(file=str(path.relative_to(package))):
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            without = [
                ast.unparse(call.args[0])
                for call in calls
                if isinstance(call.func, ast.Name) and call.func.id in told and call.args
                if not {"do", None} & {keyword.arg for keyword in call.keywords if not _may_be_none(keyword.value)}
            ]
            assert without == []


def _may_be_none(advice: ast.expr) -> bool:
    ways = (advice.body, advice.orelse) if isinstance(advice, ast.IfExp) else (advice,)
    return any(isinstance(way, ast.Constant) and way.value is None for way in ways)
