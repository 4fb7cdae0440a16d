"""The filter of the table of runs: `arm:wide state:completed model.width>16 noise`.

Words are looked for in a run's id, recipe, studies, settings and error; `key:value` compares a column; `key<value`,
`key>=value`, `key=value` and the like compare a setting, a score or a cost.
"""

from __future__ import annotations

import operator
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ablata.base.errors import SettingsError, choices

COLUMNS = ("id", "recipe", "study", "arm", "seed", "state")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_COMPARED = re.compile(r"([\w./@-]+?)(>=|<=|!=|>|<|=)(.+)")


@dataclass(frozen=True)
class RunFacts:
    """What a filter looks at.

    Args:
        columns: values of `COLUMNS` by name; a run of several studies has several.
        values: settings, scores and costs by key, as text.
        text: all that words are looked for in, lower case.
    """

    columns: dict[str, tuple[str, ...]]
    values: dict[str, str]
    text: str


def parse_filter(written: str) -> Callable[[RunFacts], bool]:
    """Return what a filter lets through.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        words = shlex.split(written)
    except ValueError as error:
        raise SettingsError(
            "A filter must have its quotation marks in pairs", found=written, do="close the quotation mark"
        ) from error
    tests = [_test(word) for word in words]
    return lambda facts: all(test(facts) for test in tests)


def _test(word: str) -> Callable[[RunFacts], bool]:
    column, colon, wanted = word.partition(":")
    if colon and column in COLUMNS:
        return lambda facts: any(wanted.lower() in value.lower() for value in facts.columns.get(column, ()))
    match = _COMPARED.fullmatch(word)
    if match is None:
        if colon and column.isidentifier():
            raise SettingsError(f"Before a colon must stand a column: {choices(COLUMNS, column)}", found=word,
                                do="a setting or a score is compared: model.width=16")  # fmt: skip
        return lambda facts: word.lower() in facts.text
    key, sign, value = match.groups()
    if sign not in ("=", "!=") and not _is_number(value):
        raise SettingsError(f"Behind {sign} must stand a number", found=word, do="words are compared with = and !=")
    return lambda facts: any(_compare(facts.values[name], sign, value) for name in _named(key, tuple(facts.values)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _named(key: str, names: Sequence[str]) -> list[str]:
    """Names that a key stands for: its own, else those that end with it (`width` for `model.width`)."""
    if key in names:
        return [key]
    return [name for name in names if name.endswith((f".{key}", f"/{key}"))]


def _compare(have: str, sign: str, wanted: str) -> bool:
    try:
        return _OPERATORS[sign](float(have), float(wanted))
    except ValueError:
        pass
    plain = have.strip('"')
    if sign == "=":
        return plain == wanted
    return sign == "!=" and plain != wanted
