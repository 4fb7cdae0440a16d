"""The filter of the table of runs: `arm:wide state:completed model.width>16 noise`.

Words are looked for in a run's id, recipe, studies and error; `key:value` compares a column; `key<value`, `key>=value`,
`key=value` and the like compare a setting, a score or a cost. What no run could pass, as no run has it, is refused.
"""

from __future__ import annotations

import difflib
import operator
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ablata.base.errors import SettingsError, choices

COLUMNS = ("id", "recipe", "study", "arm", "seed", "state")
STATES = ("waiting", "running", "interrupted", "stopped", "completed", "failed", "diverged", "cancelled")
"""What the column of states can hold, whether a run is in it now or not."""
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, "!=": operator.ne, ">": operator.gt, "<": operator.lt, "=": operator.eq,
}  # fmt: skip
_NEAREST = 5
_COMPARED = re.compile(r"([\w./@-]+?)(>=|<=|!=|>|<|=)(.+)")


@dataclass(frozen=True)
class RunFacts:
    """What a filter looks at.

    Args:
        columns: values of `COLUMNS` by name; a run of several studies has several.
        settings: values as JSON by dotted key; shared by runs of one recipe.
        own: scores, costs and seed by key, as JSON.
        text: all that words are looked for in, lower case.
    """

    columns: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, str]
    own: Mapping[str, str]
    text: str

    def value(self, key: str) -> str | None:
        """Return a setting, score or cost as JSON; None where the run has none of this key."""
        return self.own.get(key, self.settings.get(key))


class Known(Protocol):
    """What can be asked for: keys of settings, scores and costs of all runs, and what stands in each column."""

    @property
    def names(self) -> Collection[str]:
        """Keys of settings, scores and costs that a run has."""

    @property
    def columns(self) -> Mapping[str, Collection[str]]:
        """What stands in each of `COLUMNS`."""


def parse_filter(written: str, known: Known) -> Callable[[RunFacts], bool]:
    """Return what a filter lets through.

    Args:
        written: as above.
        known: the runs that it is for; of a lab without runs nothing is refused because no run has it.

    Raises:
        SettingsError: it cannot be read, or no run can pass, as none has such a setting or is of such a study.
    """
    try:
        words = shlex.split(written)
    except ValueError as error:
        raise SettingsError(
            "A filter must have its quotation marks in pairs", found=written, do="close the quotation mark"
        ) from error
    tests = [_test(word, known) for word in words]
    return lambda facts: all(test(facts) for test in tests)


def _test(word: str, known: Known) -> Callable[[RunFacts], bool]:
    column, colon, wanted = word.partition(":")
    if colon and column in COLUMNS:
        return _in_column(column, wanted.lower(), known)
    match = _COMPARED.fullmatch(word)
    if match is None:
        if colon and column.isidentifier():
            raise SettingsError(f"Before a colon must stand a column: {choices(COLUMNS, column)}", found=word,
                                do="a setting or a score is compared: model.width=16")  # fmt: skip
        return lambda facts: word.lower() in facts.text
    key, sign, value = match.groups()
    if sign not in ("=", "!=") and not _is_number(value):
        raise SettingsError(f"Behind {sign} must stand a number", found=word, do="words are compared with = and !=")
    compare, wanted_names = _OPERATORS[sign], keys_of(key, known.names)
    return lambda facts: any(_compare(have, sign, compare, value) for have in values_of(facts, wanted_names))


def _in_column(column: str, wanted: str, known: Known) -> Callable[[RunFacts], bool]:
    there = (*STATES, *known.columns.get(column, ())) if column == "state" else known.columns.get(column, ())
    if known.names and not any(wanted in value.lower() for value in there):
        raise SettingsError(
            f"After {column}: must stand one of {choices(dict.fromkeys(there), wanted)}",
            found=f"{column}:{wanted}",
            do="a part of it is enough",
        )
    return lambda facts: any(wanted in value.lower() for value in facts.columns.get(column, ()))


def keys_of(key: str, names: Collection[str]) -> tuple[str, ...]:
    """Return the names that a key stands for: its own first, then those that end with it (`width`: `model.width`).

    Args:
        key: as typed.
        names: of all settings, scores and costs; where there are none nothing is refused.

    Raises:
        SettingsError: none is of this name.
    """
    found = [key] * (key in names) + [name for name in names if name.endswith((f".{key}", f"/{key}"))]
    if not found and names:
        raise SettingsError(
            f"A key must be that of a setting, score or cost that a run has, such as {choices(_nearest(key, names))}",
            found=key,
            do="write it as a run's page has it; the end of a key is enough",
        )
    return tuple(found)


def _nearest(key: str, names: Collection[str]) -> list[str]:
    """The few names most like a key, by their whole and by their last part."""
    ends = {name: re.split(r"[./]", name)[-1] for name in names}
    last = re.split(r"[./]", key)[-1]

    def likeness(name: str) -> float:
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in ((key, name), (last, ends[name])))

    return sorted(names, key=likeness, reverse=True)[:_NEAREST]


def values_of(facts: RunFacts, names: Iterable[str]) -> list[str]:
    """Return what a run has under the names of `keys_of`: that of the key's own name alone, if it has it."""
    found = []
    for place, name in enumerate(names):
        if (value := facts.value(name)) is not None:
            found.append(value)
            if place == 0:
                break
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _compare(have: str, sign: str, compare: Callable[[float, float], bool], wanted: str) -> bool:
    try:
        return compare(float(have), float(wanted))
    except ValueError:
        pass
    plain = have.strip('"')
    if sign == "=":
        return plain == wanted
    return sign == "!=" and plain != wanted
