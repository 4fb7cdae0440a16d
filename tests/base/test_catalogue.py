"""Recipes and studies are found by name or in a file; a wrong reference is answered with what there is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablata.base.catalogue import entries, find, load
from ablata.base.errors import SettingsError

FIRST = '''
"""The module's own docstring."""
raise RuntimeError("listing must not import this")

def alpha():
    """One line.

    More lines.
    """

def beta(width=3, *, depth=2):
    """Arguments that can be left out."""

def needs(width):
    """No entry: it cannot be called."""

def needs_by_name(*, width):
    """No entry: it cannot be called."""

def _private():
    """No entry."""

class Gamma:
    """No entry: not a function."""

def undocumented():
    def inner():
        """No entry: inside."""
'''
SECOND = '''
def delta():
    """Comes after those of the first file."""
    return "four"
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Make an importable package of two modules."""
    folder = tmp_path / "made_catalogue"
    folder.mkdir()
    for name, text in (("__init__", ""), ("a_first", FIRST), ("b_second", SECOND)):
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "made_catalogue"
    for name in [name for name in sys.modules if name.startswith("made_catalogue")]:
        del sys.modules[name]


def test_entries_are_public_functions_that_can_be_called_in_order(package: str) -> None:
    found = entries(package)
    assert [entry.name for entry in found] == ["alpha", "beta", "undocumented", "delta"]
    assert found[0].summary == "One line."
    assert "More lines." in found[0].text
    assert (found[2].summary, found[3].module) == ("", "made_catalogue.b_second")


def test_listing_imports_none_of_the_modules(package: str) -> None:
    entries(package)
    find("alpha", package, "recipe")
    assert "made_catalogue.a_first" not in sys.modules


def test_a_name_is_loaded_from_its_module(package: str) -> None:
    assert load("delta", package, "recipe")() == "four"


def test_an_unknown_name_is_answered_with_the_nearest_and_all_names(package: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("detla", package, "study")
    text = str(caught.value)
    assert "A study must be one of alpha, beta, undocumented, delta, or path/to/file.py:function" in text
    assert "found: detla" in text
    assert "did you mean delta?" in text


def test_a_name_far_from_all_others_gets_no_guess(package: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find("xyzzy", package, "recipe")
    assert "did you mean" not in str(caught.value)


def test_a_reference_to_a_file_is_none_of_the_names(package: str) -> None:
    assert find("folder/own.py:delta", package, "recipe") is None
    assert find("own.py", package, "recipe") is None


def write(folder: Path, text: str) -> Path:
    (folder / "own.py").write_text(text)
    return folder / "own.py"


def test_a_function_of_a_file_is_loaded(package: str, tmp_path: Path) -> None:
    own = write(tmp_path, "def mine():\n    return 5\n")
    assert load(f"{own}:mine", package, "recipe")() == 5


def test_a_file_is_read_anew_each_time(package: str, tmp_path: Path) -> None:
    own = write(tmp_path, "def mine():\n    return 5\n")
    load(f"{own}:mine", package, "recipe")
    write(tmp_path, "def mine():\n    return 'changed'\n")
    assert load(f"{own}:mine", package, "recipe")() == "changed"


@pytest.mark.parametrize("name", ["", ":", ":other", ":join", ":Kind", ":_hidden", ":VALUE"])
def test_what_is_no_function_of_the_file_is_refused_with_those_there_are(
    package: str, tmp_path: Path, name: str
) -> None:
    own = write(
        tmp_path,
        "from os.path import join\nVALUE = 3\nclass Kind: ...\ndef _hidden(): ...\ndef mine(): ...\ndef yours(): ...\n",
    )
    with pytest.raises(SettingsError, match="choose one of mine, yours"):
        load(f"{own}{name}", package, "recipe")


def test_a_missing_file_is_named_with_the_place_it_was_looked_for(package: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load("nowhere/own.py:mine", package, "study")
    assert "nowhere/own.py, looked for in" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("x = 1\ny = x / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name\n", 1, "ModuleNotFoundError"),
        ("def deep():\n    raise KeyError('k')\n\ndeep()\n", 2, "KeyError: 'k'"),
        ("x = 1\n\ndef broken(:\n", 3, "SyntaxError"),
    ],
)
def test_a_file_that_does_not_run_is_refused_with_its_line(
    package: str, tmp_path: Path, text: str, line: int, what: str
) -> None:
    own = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load(f"{own}:mine", package, "recipe")
    assert f"own.py, line {line}: {what}" in str(caught.value)
