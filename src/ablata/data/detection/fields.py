"""Fields of annotation files, read strictly: a number is a number, and what is not says where it stands.

A number that is written as text, and a whole number that is written as 5.0, mean one thing: they are read and told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ablata.data.detection.problems import Findings
from ablata.data.io.walk import is_name

_LETTERS = 60
_LARGEST = 2**63
_MOST_PIXELS = 1e9
"""Beyond it no number stands for pixels, and arithmetic in 32 bits would overflow."""


SPACES = "names of classes with spaces around them read without"
"""What is done about them."""


class FieldError(ValueError):
    """A field that has no meaning.

    Args:
        must: what must hold.
        found: the field and its value.
    """

    def __init__(self, must: str, found: str) -> None:
        self.must, self.found = must, found
        super().__init__(f"{must}: {found}")


def real(value: float | str) -> float:
    """Return a number as a file writes it: Python's `1_0`, which is 10, stands in none.

    Raises:
        ValueError: it is no number.
        OverflowError: it is too large for one.
    """
    if isinstance(value, str) and "_" in value:
        raise ValueError(f"no number: {value}")
    return float(value)


class Fields:
    """The fields of one image, object or category.

    Args:
        values: by name.
        where: file and entry, for messages.
        findings: where faults are noted.
    """

    def __init__(self, values: Mapping[str, Any], where: str, findings: Findings) -> None:
        self.values, self.where, self.findings = values, where, findings

    def has(self, name: str) -> bool:
        """Tell whether there is something in a field: neither missing nor null nor empty."""
        return self.values.get(name) not in (None, [], {}, "")

    def number(self, name: str) -> float:
        """Return a finite number.

        Raises:
            FieldError: it is missing or none.
        """
        return self.as_number(self._given(name), name)

    def whole(self, name: str, least: int | None = None) -> int:
        """Return a whole number of 64 bits, at least `least`.

        Raises:
            FieldError: it is missing or none.
        """
        value = self._given(name)
        number = self._read_whole(value)
        if number is None or (least is not None and number < least):
            limit = "" if least is None else f" from {least} on"
            raise FieldError(f"{name} must be a whole number{limit}", self.shown(name, value))
        if type(value) is not int:
            self._tell_written(name, value, number)
        return number

    def key(self, name: str) -> int | str:
        """Return what identifies an image: a whole number, or text that is none.

        Raises:
            FieldError: it is missing, or neither.
        """
        value = self._given(name)
        if isinstance(value, str) and value.strip() and self._read_whole(value) is None:
            return value
        return self.whole(name)

    def text(self, name: str) -> str:
        """Return text, a number as it is written.

        Raises:
            FieldError: it is missing or no text.
        """
        value = self._given(name)
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
            raise FieldError(f"{name} must be text", self.shown(name, value))
        return str(value)

    def title(self, name: str) -> str:
        """Return the name of a class: text without spaces around it, a number as it is written.

        Raises:
            FieldError: it is missing, no text, or no finite number.
        """
        written = self.text(name)
        if isinstance(self.values[name], float) and not math.isfinite(self.values[name]):
            raise FieldError(f"{name} must be text", self.shown(name, self.values[name]))
        if not is_name(written.strip()):
            raise FieldError(f"{name} must be text on one line", self.shown(name, written))
        if written != written.strip():
            must = "Names of classes must have no spaces around them"
            self.findings.repairable(must, SPACES, self.shown(name, written))
        return written.strip()

    def flag(self, name: str) -> bool:
        """Return whether a field is 1; missing and null are 0.

        Raises:
            FieldError: it is neither 0 nor 1.
        """
        value = self.values.get(name)
        if value is None or value is False:
            return False
        if value is True:
            return True
        number = self._read_whole(value)
        if number not in (0, 1):
            raise FieldError(f"{name} must be 0 or 1", self.shown(name, value))
        if type(value) is not int:
            self._tell_written(name, value, number)
        return number == 1

    def numbers(self, values: Any, name: str, count: int | None = None) -> list[float]:
        """Return finite numbers, `count` of them.

        Raises:
            FieldError: it is no list of that length, or holds something else.
        """
        if not isinstance(values, Sequence) or isinstance(values, str) or (count and len(values) != count):
            raise FieldError(f"{name} must be {count or 'a list of'} numbers", self.shown(name, values))
        return [self.as_number(value, name, values) for value in values]

    def as_number(self, value: Any, name: str, whole: Any = None) -> float:
        """Return a value as a finite number; `whole` is the list that it is part of.

        Raises:
            FieldError: it is no number, infinite, or larger than any image.
        """
        shown = self.shown(name, value if whole is None else whole)
        try:
            if isinstance(value, bool) or not isinstance(value, int | float | str):
                raise ValueError
            number = real(value)
        except (ValueError, OverflowError):
            raise FieldError(f"{name} must be {'numbers' if whole is not None else 'a number'}", shown) from None
        if not math.isfinite(number) or abs(number) > _MOST_PIXELS:
            raise FieldError(f"{name} must be finite, in pixels", shown)
        if isinstance(value, str):
            self.findings.repairable(
                "Numbers must not be written as text", "numbers written as text taken as numbers", shown
            )
        return number

    def shown(self, name: str, value: Any) -> str:
        """Return entry, field and value as a message shows them."""
        return f"{self.where} {name}={short(value)}"

    def _given(self, name: str) -> Any:
        value = self.values.get(name)
        if value is None:
            said = f"{name}=null" if name in self.values else f"no {name}"
            raise FieldError(f"{name} must be given", f"{self.where} {said}")
        return value

    def _read_whole(self, value: Any) -> int | None:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            number = int(value) if isinstance(value, int) else real(value)
            if not math.isfinite(number) or number != int(number) or not -_LARGEST <= int(number) < _LARGEST:
                return None
            return int(number)
        except (ValueError, OverflowError):
            return None

    def _tell_written(self, name: str, value: Any, number: int) -> None:
        self.findings.repairable(
            "Whole numbers must be written without quotation marks or decimals",
            "whole numbers written as text or with decimals taken as whole numbers",
            f"{self.shown(name, value)} as {number}",
        )


def short(value: Any) -> str:
    """Return a value as a message shows it, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists without end
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 3]}..."
