"""YAML of people and tools: read as it stands there, refused where it is none, and never a bomb."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ablata.base.yaml_files import YamlFileError, parse_yaml, read_plain_yaml

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{'bcdefghij'[n]}: &{'bcdefghij'[n]} [{', '.join(['*' + 'abcdefghij'[n]] * 10)}]\n" for n in range(9)
)


def test_numbers_are_numbers_and_what_yaml_1_1_guesses_is_text() -> None:
    text = "{a: 1, b: -2.5, c: 1e-3, d: true, e: null, f: no, g: 010, h: 1:30, i: 2020-13-45, j: 0x10, k: 1_000, l: on}"
    assert parse_yaml(text) == {
        "a": 1, "b": -2.5, "c": 0.001, "d": True, "e": None, "f": "no", "g": "010", "h": "1:30", "i": "2020-13-45",
        "j": "0x10", "k": "1_000", "l": "on",
    }  # fmt: skip
    assert math.isnan(parse_yaml(".nan"))
    assert parse_yaml("[.inf, -.inf, 1., .5]") == [math.inf, -math.inf, 1.0, 0.5]
    assert parse_yaml("{yes: 1, 1: 2, 2020-01-01: 3}") == {"yes": 1, "1": 2, "2020-01-01": 3}
    assert parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}
    assert parse_yaml("") is None


@pytest.mark.parametrize("text", [
    "{a: 1, a: 2}", "&a [*a]", "&a {b: *a}", "? [1, 2]\n: 3", "!!int abc", "!!python/object:os.system {}", "a: *b",
    "[" * 5000, BOMB, "a: 1\n---\nb: 2", "\ta: 1", "a: \0", "<<: [1]", "!!timestamp 2020-13-45",
])  # fmt: skip
def test_what_is_no_plain_yaml_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(YamlFileError) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_scalars_of_tools_are_texts_and_bombs_are_refused_there_too(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_bytes("names: {0: no, 1: 12}".encode("utf-16"))
    assert read_plain_yaml(file) == {"names": {"0": "no", "1": "12"}}
    file.write_text(BOMB)
    with pytest.raises(YamlFileError, match="more than 1,000,000 values"):
        read_plain_yaml(file)
