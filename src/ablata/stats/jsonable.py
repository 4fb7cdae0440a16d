"""Results as plain dictionaries: what the ledger stores of a look and what a page reads back."""

from __future__ import annotations

import enum
import types
from dataclasses import fields
from functools import cache
from typing import Any, Self, Union, get_args, get_origin, get_type_hints


class Jsonable:
    """Base of the frozen dataclasses of this room that are stored and read back.

    A field may be a bool, int, float, str, enum, another `Jsonable`, one of these or None, or a tuple of these.
    """

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that `json.dumps(..., allow_nan=False)` accepts; enums by value, tuples as lists."""
        return {field.name: _encoded(getattr(self, field.name)) for field in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the object that `to_json` wrote.

        Args:
            data: the dictionary; a field with a default may be missing.

        Raises:
            ValueError: a value breaks a rule of the class.
            TypeError: a key is unknown, or one without a default is missing.
        """
        hints = _hints(cls)  # type: ignore[arg-type]  # mypy takes no class for hashable
        return cls(**{key: _decoded(hints[key], value) if key in hints else value for key, value in data.items()})


_hints = cache(get_type_hints)
"""Types of a class's fields: read from its annotations once."""


def _encoded(value: Any) -> Any:
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple):
        return [_encoded(item) for item in value]
    return value


def _decoded(kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _decoded(inner, value)
    if origin is tuple:
        # Tables of scores and of bounds are long, and their entries need no look at each one's kind.
        if arguments[-1] is Ellipsis and arguments[0] in (float, int, str, bool):
            return tuple(map(float, value)) if arguments[0] is float else tuple(value)
        inners = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        return tuple(_decoded(inner, item) for inner, item in zip(inners, value, strict=True))
    if issubclass(kind, Jsonable):
        return kind.from_json(value)
    if issubclass(kind, enum.Enum) or kind is float:
        return kind(value)
    return value
